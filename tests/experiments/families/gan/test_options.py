"""The GAN's options: presets are the package's, and what cannot be combined is refused."""

import jax
import numpy as np
import pytest

from aigc_jax import gan
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags, from_stored, stored_options
from experiments.families.gan import experiment as launcher
from experiments.families.gan.options import PRESETS, to_config
from experiments.fidelity.evaluator import PIXELS

METADATA = {"image_shape": [28, 28, 1], "classes": 10}


@pytest.mark.parametrize("preset", gan.PRESETS, ids=lambda p: p.name)
def test_a_presets_command_trains_the_packages_configuration(preset):
    options = from_flags(PRESETS, {"preset": preset.name})
    assert to_config(options, METADATA) == preset.configured()
    assert {k: getattr(options, k) for k in vars(preset.run)} == vars(preset.run)


def test_textbook_is_the_articles_network():
    params_g, params_d = (v.params for v in networks("textbook").init(jax.random.key(0)))
    assert params_g["Dense_0"]["kernel"].shape == (100, 128)
    assert params_d["Dense_0"]["kernel"].shape == (784, 128)


def networks(preset, **values):
    options = from_flags(PRESETS, {"preset": preset, **values})
    return gan.networks_of(to_config(options, METADATA))


@pytest.mark.parametrize(
    ("values", "metadata", "message"),
    [
        ({"conditional": True}, {"classes": None}, "--conditional needs labelled images"),
        ({"preset": "dcgan"}, {"image_shape": [30, 30, 1]}, "images of 30x30 pixels"),
        ({"preset": "r3gan"}, {"image_shape": [6, 6, 3]}, "images of 6x6 pixels"),
        ({"packing": 3}, {}, "--packing=3 does not divide --batch_size=64"),
        ({"packing": 2, "conditional": True}, {}, "exclude each other"),
        ({"preset": "dcgan", "penalty": "r1"}, {}, "without batch normalisation"),
        ({"preset": "r3gan", "augment": "ada"}, {}, "ADA needs"),
    ],
)
def test_what_does_not_fit_is_refused(values, metadata, message):
    with pytest.raises(InputError, match=message):
        to_config(from_flags(PRESETS, values), METADATA | metadata)


@pytest.mark.parametrize(
    "values",
    [
        {"lecam_weight": -1.0},
        {"lecam_weight": float("nan")},
        {"lecam_weight": float("inf")},
        {"ema_half_life": -1},
        {"penalty_weight": 0.0},
        {"penalty_every": 0},
        {"packing": 0},
        {"steps_d": 0},
        {"width": 0},
        {"stop_at_fcd": 0.0},
        {"learning_rate_d": -1e-3},
    ],
)
def test_numbers_out_of_range_are_refused_by_name(values):
    with pytest.raises(InputError, match=f"--{next(iter(values))} must be"):
        from_flags(PRESETS, values)


def test_options_reach_the_configuration():
    values = {
        "preset": "mlp",
        "objective": "hinge",
        "penalty": "r1_r2",
        "penalty_weight": 0.5,
        "penalty_every": 4,
        "lecam_weight": 0.3,
        "augment": "ada",
        "steps_d": 3,
        "learning_rate": 1e-3,
        "learning_rate_d": 2e-3,
        "decay": True,
        "steps": 77,
        "ema_half_life": 500,
    }
    config = to_config(from_flags(PRESETS, values), METADATA)
    assert config.objective is gan.HINGE
    assert config.penalties == (gan.Penalty(gan.r1, 0.5, 4), gan.Penalty(gan.r2, 0.5, 4))
    assert (config.lecam_weight, config.augmentation, config.steps_d) == (0.3, gan.ADA, 3)
    assert (config.learning_rate_g, config.learning_rate_d) == (1e-3, 2e-3)
    assert (config.decay_steps, config.ema_half_life) == (77, 500)
    alone = to_config(from_flags(PRESETS, {"learning_rate": 1e-3}), METADATA)
    assert (alone.learning_rate_g, alone.learning_rate_d) == (1e-3, None)


@pytest.mark.parametrize(
    ("values", "weight", "every"),
    [
        ({}, 0.5, 1),
        ({"penalty": "wgan_gp"}, 10.0, 1),
        ({"penalty": "wgan_gp", "penalty_weight": 3.0}, 3.0, 1),
        ({"preset": "wgan_gp"}, 10.0, 1),
        ({"preset": "wgan_gp", "penalty": "r1"}, 0.5, 1),
        ({"preset": "mlp", "penalty": "dragan", "penalty_every": 4}, 10.0, 4),
    ],
)
def test_a_penalty_has_the_weight_that_suits_it(values, weight, every):
    penalty = to_config(from_flags(PRESETS, values), METADATA).penalties[0]
    assert (penalty.weight, penalty.every) == (weight, every)


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "mlp", "penalty_weight": 2.0},
        {"preset": "textbook", "penalty_every": 2},
        {"penalty": "none", "penalty_weight": 0.5},
    ],
)
def test_a_weight_without_a_penalty_is_refused(values):
    with pytest.raises(
        InputError, match=r"--penalty_\w+=\S+ has no .*it belongs to --penalty=r1 or"
    ):
        from_flags(PRESETS, values)


@pytest.mark.parametrize("values", [{}, {"preset": "mlp"}, {"penalty": "none"}])
def test_a_stored_runs_options_are_taken_as_they_are(values):
    options = from_flags(PRESETS, values)
    assert from_stored(PRESETS, stored_options(options)) == options


def test_conditional_networks_know_the_classes():
    assert networks("r3gan", conditional=True).classes == 10
    assert networks("r3gan").classes == 0


def labelled(labels, heldout=20):
    images = np.zeros((len(labels), 8, 8, 1), np.uint8)
    labels = np.array(labels)
    return Images("mine", images, labels, images[:heldout], labels[:heldout])


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        ({"batch_size": 8, "steps_d": 20}, [0, 1] * 30, "--batch_size=8 times --steps_d=20"),
        ({"conditional": True}, [3, 7] * 60, "each of the 8 classes"),
        (
            {"conditional": True},
            [0] * 80,
            "--conditional needs labelled images of at least two classes",
        ),
        ({"stop_at_fcd": 1.0}, [0] * 80, "--stop_at_fcd needs labelled images"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_a_classifier_is_trained(
    values, labels, message, monkeypatch
):
    monkeypatch.setattr(launcher, "feature_network", pytest.fail)
    values = {"preset": "mlp", "batch_size": 16, "workdir": "run", **values}
    options = from_flags(PRESETS, values)
    with pytest.raises(InputError, match=message):
        launcher.metadata(options, labelled(labels))


def test_images_of_one_class_are_evaluated_by_their_pixels():
    options = from_flags(PRESETS, {"preset": "mlp", "batch_size": 16})
    assert launcher.network_of(options, labelled([0] * 80)) is PIXELS
