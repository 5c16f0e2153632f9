"""The VAE's options: presets are the package's, and what cannot be combined is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel, vae
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data.images import HELDOUT, TRAINING, binarised
from experiments.families.vae import experiment as launcher
from experiments.families.vae.evaluator import Evaluator
from experiments.families.vae.options import PRESETS, to_config

METADATA = {"image_shape": [28, 28, 1], "classes": 10}


@pytest.mark.parametrize("preset", vae.PRESETS, ids=lambda p: p.name)
def test_a_presets_command_trains_the_packages_configuration(preset):
    options = from_flags(PRESETS, {"preset": preset.name})
    assert to_config(options, METADATA) == preset.configured()
    assert {k: getattr(options, k) for k in vars(preset.run)} == vars(preset.run)


@pytest.mark.parametrize(
    ("values", "metadata", "message"),
    [
        ({"conditional": True}, {"classes": None}, "--conditional needs labelled images"),
        ({"preset": "conv"}, {"image_shape": [30, 30, 1]}, "images of 30x30 pixels"),
        ({"preset": "ladder"}, {"image_shape": [6, 6, 1]}, "images of 6x6 pixels"),
        ({"likelihood": "gaussian", "binarisation": "static"}, {}, "--binarisation=static is for"),
        ({"likelihood": "logistic_mixture"}, {"image_shape": [8, 8, 2]}, "1 or 3 channels"),
        ({"objective": "iwae", "free_nats": 1.0}, {}, "it belongs to --objective=elbo"),
        ({"objective": "dreg", "sampled_kl": True}, {}, "it belongs to --objective=elbo"),
        ({"preset": "ladder", "prior": "vamp"}, {}, "a ladder learns its prior"),
        ({"layers": 3}, {}, "it belongs to --preset=ladder"),
        ({"ema_decay": 1.0}, {}, "--ema_decay must be below 1"),
        ({"prior": "vamp", "conditional": True}, {}, r"only the prior N\(0, I\)"),
        ({"preset": "ladder", "objective": "dreg", "free_nats": 0.0}, {}, "a single layer"),
    ],
)
def test_what_does_not_fit_is_refused(values, metadata, message):
    with pytest.raises(InputError, match=message):
        to_config(from_flags(PRESETS, values), METADATA | metadata)


@pytest.mark.parametrize(
    "values",
    [
        {"beta": 0.0},
        {"beta": float("nan")},
        {"free_nats": -1.0},
        {"warmup_steps": -1},
        {"samples": 0},
        {"pseudo_inputs": 0, "prior": "vamp"},
        {"k": 0},
        {"latent_size": 0},
        {"layers": 0, "preset": "ladder"},
        {"ema_decay": -0.1},
    ],
)
def test_numbers_out_of_range_are_refused_by_name(values):
    with pytest.raises(InputError, match=f"--{next(iter(values))} must be"):
        from_flags(PRESETS, values)


def test_grey_values_are_not_binarised():
    for likelihood in ("continuous_bernoulli", "gaussian", "logistic_mixture"):
        options = from_flags(PRESETS, {"likelihood": likelihood})
        assert options.binarisation == "none"
        assert to_config(options, METADATA).pixels in (None, vae.dequantise)


def pictures(labelled=False):
    rng = np.random.default_rng(0)
    train, heldout = (rng.integers(256, size=(n, 8, 8, 1)).astype(np.uint8) for n in (40, 20))
    labels = [np.arange(n) % 3 if labelled else None for n in (40, 20)]
    return Images("noise", train, labels[0], heldout, labels[1])


def test_static_binarisation_draws_each_pixel_once():
    images = pictures()
    drawn = binarised(images.train, TRAINING, chunk=7)
    assert set(np.unique(drawn)) == {0, 255}
    np.testing.assert_array_equal(drawn, binarised(images.train, TRAINING))
    assert (drawn != binarised(images.train, HELDOUT)).any()
    assert abs(drawn.mean() - images.train.mean()) < 10


@pytest.mark.parametrize("binarisation", ["dynamic", "static", "none"])
def test_bounds_are_of_the_pixels_that_are_trained_on(binarisation):
    """Of grey values, and only of them, the cross-entropy is shown of grey values."""
    options = from_flags(PRESETS, {"binarisation": binarisation, "width": 8, "k": 3})
    images = pictures()
    metadata = {"image_shape": [8, 8, 1], "classes": None}
    model = launcher.algorithm(options, metadata)
    task = launcher.task(options, images, metadata, model)
    state = jax.jit(model.init)(jax.random.key(0))
    found = task.evaluate(state)["negative_elbo_nats"]
    key, key_elbo = jax.random.split(jax.random.key(HELDOUT))
    x = images.heldout.astype(np.float32) / 255
    if binarisation != "none":
        x = vae.binarise(parallel.example_keys(key, len(x)), x)
    config = to_config(options, metadata)
    given = {"networks": vae.networks_of(config), "likelihood": config.likelihood}
    expected = vae.heldout_elbo(state.ema, vae.Batch(jnp.asarray(x)), key_elbo, **given)
    assert found == pytest.approx(expected["negative_elbo_nats"], rel=1e-6)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic_mixture"])
def test_the_evaluator_gives_bits_of_the_images_values(likelihood):
    """Noise takes 8 bits for a value of 256 equally likely ones, and 1 in black and white."""
    options = from_flags(PRESETS, {"likelihood": likelihood, "width": 8, "k": 3})
    config = to_config(options, {"image_shape": [8, 8, 1], "classes": None})
    evaluator = Evaluator(pictures(), config, 3)
    state = jax.jit(vae.make(config).init)(jax.random.key(0))
    metrics = evaluator.likelihood(state)
    bits = metrics["nll_nats_per_image"] / (64 * np.log(2))
    expected = bits + 8 if likelihood == "gaussian" else bits
    assert metrics["bits_per_dim"] == pytest.approx(expected, rel=1e-6)
    assert metrics["bits_per_dim"] > (0.9 if likelihood == "bernoulli" else 7.9)
    assert metrics["active_units"] == int(metrics["active_units"])


def test_a_conditional_model_is_evaluated_with_the_labels():
    options = from_flags(PRESETS, {"conditional": True, "width": 8, "k": 3})
    config = to_config(options, {"image_shape": [8, 8, 1], "classes": 3})
    images = pictures(labelled=True)
    state = jax.jit(vae.make(config).init)(jax.random.key(0))
    told = Evaluator(images, config, 3).bound(state)
    others = images._replace(heldout_labels=(images.heldout_labels + 1) % 3)
    misled = Evaluator(others, config, 3).bound(state)
    assert told["negative_elbo_nats"] != misled["negative_elbo_nats"]
