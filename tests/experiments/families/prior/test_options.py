"""The options of a prior: presets are the package's, and what has no effect is refused."""

import pytest
from tiny_codecs import OF_PREDICTIONS

from aigc_jax import codec
from aigc_jax.codec import prior_config
from aigc_jax.codec.config import AUDIO, IMAGE, VIDEO
from aigc_jax.errors import InputError
from aigc_jax.settings import to_json
from experiments.cli.options import from_flags
from experiments.families.codec.filing import span
from experiments.families.prior.descriptions import of_prior
from experiments.families.prior.options import PRESETS, to_config

ATTRIBUTES = [["pitch", ["C", "D", "E"]], ["timbre", ["reed", "bell"]]]


def metadata(preset, attributes=(), **changes):
    config = preset.config
    return {
        "medium": config.medium,
        "sides": list(config.sides),
        "channels": config.channels,
        "rate": config.rate,
        "attributes": list(attributes),
        "classifier_sha256": {name: "ab" for name, _ in attributes},
        "codec_config": to_json(config),
        **changes,
    }


IMAGES, SOUNDS = metadata(IMAGE, ATTRIBUTES[:1]), metadata(AUDIO, ATTRIBUTES)


def options(**values):
    return from_flags(PRESETS, values)


@pytest.mark.parametrize("preset", prior_config.PRESETS, ids=lambda p: p.name)
def test_a_presets_command_trains_the_packages_configuration(preset):
    asked = options(preset=preset.name)
    found = to_config(asked, IMAGES)
    assert (found.grid, found.stages, found.codes, found.sizes) == ((7, 7), 1, 512, (3,))
    assert found.network.decay_steps == asked.steps
    assert found.order is preset.config.order
    assert asked.config == preset.config
    assert {k: getattr(asked, k) for k in vars(preset.run)} == vars(preset.run)


def test_the_codes_and_their_labels_are_the_codecs():
    found = to_config(options(layout="delay"), SOUNDS)
    assert (found.grid, found.stages, found.codes, found.sizes) == ((64,), 4, 256, (3, 2))
    assert to_config(options(conditional=False), SOUNDS).sizes == ()
    assert to_config(options(), metadata(VIDEO)).sizes == ()


CAPTIONED = metadata(VIDEO, captions={"tokens": 20, "examples": ["a cat"]})


@pytest.mark.parametrize("changes", [{}, {"preset": "maskgit"}])
def test_captions_are_told_in_place_of_labels_and_as_long_as_the_datas(changes):
    known = metadata(VIDEO, ATTRIBUTES, captions=CAPTIONED["captions"])
    found = to_config(options(captions="files", **changes), known)
    assert (found.caption_symbols, found.caption_length, found.sizes) == (257, 20, ())
    made = prior_config.make(found)
    assert (made.of.told, made.of.captions.length) == (True, 20)


def test_a_run_is_named_after_its_codecs():
    assert options(codec="runs/codec-mnist5k-image").data_name == "mnist5k-image"
    assert options(codec="a b/digits/").data_name == "digits"


VIDEOS = metadata(VIDEO, sides=[6, 16, 16])
STRIDED = metadata(VIDEO, sides=[6, 16, 16])
STRIDED["codec_config"]["architecture"]["stride"] = 2
REFUSED = [
    (IMAGES, {"passes": 4}, "--passes=4 has no effect with --order=left"),
    (IMAGES, {"noise": 1.0}, "--noise=1.0 has no effect with --order=left"),
    (IMAGES, {"preset": "diffusion", "noise": 1.0}, "--noise=1.0 has no effect with --order=diff"),
    (IMAGES, {"context": 9}, "--context=9 has no effect: codes and labels decide it"),
    (IMAGES, {"given": 2}, "--given=2 is for videos"),
    (SOUNDS, {"given": 2}, "--given=2 is for videos"),
    (VIDEOS, {"given": 6}, "--given=6 leaves nothing of 6 frames to predict"),
    (STRIDED, {"given": 3}, "--given=3: a code is for 2 frames"),
    (IMAGES, {"conditional": False, "guidance": 3.0}, "--guidance=3.0 has no effect"),
    (VIDEOS, {"guidance": 3.0}, "--guidance=3.0 has no effect"),
    (SOUNDS, {"preset": "maskgit", "layout": "delay"}, "any order needs --layout=raster"),
    (
        IMAGES,
        {"captions": "labels", "conditional": False},
        "--noconditional has no effect with --captions=labels",
    ),
]


@pytest.mark.parametrize(("known", "values", "message"), REFUSED, ids=lambda v: str(v)[:30])
def test_what_codes_have_no_use_for_is_refused(known, values, message):
    asked = options(**values)
    with pytest.raises(InputError, match=message):
        to_config(asked, known)


def test_what_is_of_use_is_not_refused():
    to_config(options(preset="maskgit", passes=4, noise=1.0), IMAGES)
    to_config(options(preset="diffusion", passes=4), IMAGES)
    to_config(options(given=5), VIDEOS)
    to_config(options(given=4), STRIDED)
    to_config(options(guidance=3.0), IMAGES)
    to_config(options(conditional=False, guidance=1.0), IMAGES)
    to_config(options(captions="files", guidance=3.0), CAPTIONED)


@pytest.mark.parametrize("hop", [6, 128])
def test_how_much_of_a_signal_one_code_is_for(hop):
    sound = codec.networks_of(codec.Config((999,), architecture=codec.config.Sounds(hop=hop)))
    assert span(sound, ()) == hop
    video = codec.networks_of(codec.Config(architecture=codec.config.Videos(stride=3)))
    assert span(video, (16, 16)) == 3


def described(known, **values):
    return set(of_prior(options(**values), known))


def test_a_page_describes_the_metrics_that_such_a_run_has():
    told = {"fcd", "pitch_accuracy"}
    scores = {"inception_score", "modified_inception_score", "am_nats", "ndb_share"}
    predicted = {f"prediction_{name}" for name in OF_PREDICTIONS}
    common = described(VIDEOS) - {"nearest_train_distance"}
    assert described(VIDEOS, given=2) == common | predicted
    near = common | {"nearest_train_distance"}
    assert described(metadata(IMAGE)) == near
    assert described(IMAGES) == near | told
    assert described(IMAGES, conditional=False) == near | {"fcd"}
    with_pitch = near | scores | told | {"timbre_accuracy", "pitch_within_50_cents"}
    assert described(SOUNDS) == with_pitch
    assert described(SOUNDS, conditional=False) == near | scores | {"fcd"}
    assert described(SOUNDS, captions="labels") == with_pitch
    assert described(metadata(AUDIO)) == near
