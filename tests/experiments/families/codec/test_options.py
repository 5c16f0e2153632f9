"""The options of a codec: presets are the package's, a medium has its own."""

import pytest

from aigc_jax import codec
from aigc_jax.errors import InputError
from experiments import codec as program
from experiments.cli.options import from_flags
from experiments.data.signals import MEDIA
from experiments.families.codec.options import PRESETS, to_config

METADATA = {
    "image": {"sides": [28, 28], "channels": 1, "rate": None, "perceived_classes": 10},
    "audio": {"sides": [8192], "channels": 1, "rate": 8000, "perceived_classes": 24},
    "video": {"sides": [20, 64, 64], "channels": 1, "rate": 10, "perceived_classes": 0},
}


@pytest.mark.parametrize("preset", codec.PRESETS, ids=lambda p: p.name)
def test_a_presets_command_trains_the_packages_configuration(preset):
    options = from_flags(PRESETS, {"preset": preset.name})
    config = preset.configured()
    classes = METADATA[config.medium]["perceived_classes"]
    found = to_config(options, METADATA[config.medium])
    assert (found.classes, found.decay_steps) == (classes, options.steps)
    level = from_flags(PRESETS, {"preset": preset.name, "decay": False})
    assert to_config(level, METADATA[config.medium]).decay_steps is None
    same = {name: getattr(config, name) for name in ("classes", "decay_steps")}
    assert codec.Config(**{**vars(found), **same}) == config
    assert {k: getattr(options, k) for k in vars(preset.run)} == vars(preset.run)


@pytest.mark.parametrize("medium", MEDIA)
def test_a_medium_stands_for_its_preset_and_data(medium):
    given = program.chosen({"medium": medium, "preset": None})
    assert from_flags(PRESETS, given).medium == medium
    assert (
        from_flags(PRESETS, program.chosen({"medium": medium, "preset": medium})).dataset
        == {
            "image": "mnist5k",
            "audio": "tones",
            "video": "moving_mnist5k",
        }[medium]
    )
    assert program.chosen({"medium": None, "preset": "audio"}) == {
        "medium": None,
        "preset": "audio",
    }


def test_a_preset_of_another_medium_is_refused():
    with pytest.raises(InputError, match="--preset=image is of --medium=image, not of audio"):
        program.chosen({"medium": "audio", "preset": "image"})
    unknown = {"medium": "audio", "preset": "best"}
    assert program.chosen(unknown) == unknown  # which `from_flags` refuses


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hop": 64}, "--hop=64 has no effect with --preset=image; it belongs to --preset=audio"),
        ({"preset": "audio", "halvings": 3}, "--halvings=3 has no effect with --preset=audio"),
        ({"stage_dropout": -0.5}, "--stage_dropout must be at least 0"),
        ({"codes": 0}, "--codes must be at least 1"),
        ({"preset": "video", "frames": 1}, "--frames must be at least 2"),
    ],
)
def test_what_a_codec_has_no_use_for_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        from_flags(PRESETS, values)


def test_a_run_is_named_after_its_data():
    assert from_flags(PRESETS, {"preset": "video"}).data_name == "moving_mnist5k"
    assert from_flags(PRESETS, {"images": "a b/cats.npz"}).data_name == "cats"
    assert from_flags(PRESETS, {"preset": "audio", "sounds": "pets/"}).data_name == "pets"


def test_a_perceptual_weight_of_videos_would_have_no_effect():
    options = from_flags(PRESETS, {"preset": "video", "perceptual_weight": 0.5})
    with pytest.raises(InputError, match=r"--perceptual_weight=0\.5 has no effect on videos"):
        to_config(options, METADATA["video"])


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("weight", ["adversarial_weight", "matching_weight"])
def test_critics_act_on_every_medium_where_they_are_given_a_weight(medium, weight):
    none = {"adversarial_weight": 0.0, "matching_weight": 0.0}
    for given, acting in ((none, False), ({**none, weight: 0.3}, True)):
        options = from_flags(PRESETS, {"preset": medium, **given})
        critics = codec.config.critics_of(to_config(options, METADATA[medium]))
        assert (critics is not None) == acting
