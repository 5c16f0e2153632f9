import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vae
from aigc_jax.data.images import load_images
from aigc_jax.errors import InputError
from aigc_jax.vae.compression import bitsback
from aigc_jax.vae.compression.bitsback import decode, encode, lanes_for, probe, turns
from aigc_jax.vae.compression.coder import BOUND, PER_UNIT, make_coder
from aigc_jax.vae.networks import mlp, one_layer

SIDE, LATENT = 12, 6
SHAPE = (SIDE, SIDE, 1)
LIKELIHOODS = {2: vae.BERNOULLI, 256: vae.logistic_mixture(2)}


def linear(levels, spread=0.0, log_variance=-4.0):
    """A VAE that says much in its latents, of means further apart than the prior expects."""
    outputs = LIKELIHOODS[levels].outputs(1)

    def init(key):
        a, b = jax.random.split(key)
        return {
            "a": jax.random.normal(a, (SIDE * SIDE, LATENT)) / SIDE,
            "b": jax.random.normal(b, (LATENT, SIDE * SIDE * outputs)) / outputs,
            "spread": jnp.float32(spread),
        }

    def encode(params, x):
        mean = 2.0 * (x.reshape(len(x), -1) @ params["a"]) * (1.0 + params["spread"])
        return mean, jnp.full_like(mean, log_variance)

    return one_layer(
        init, encode, lambda p, z: (z @ p["b"]).reshape(-1, SIDE, SIDE, outputs), LATENT
    )


def coder_of(levels, lanes, **changes):
    networks = linear(levels, **changes)
    params = networks.init(jax.random.key(0))
    model = {"networks": networks, "likelihood": LIKELIHOODS[levels]}
    return make_coder(params, **model, image_shape=SHAPE, lanes=lanes), params, model


@pytest.fixture(scope="module")
def digits():
    return load_images("mnist5k").heldout[:, 8:20, 8:20]


def values_of(kind, count, levels, digits):
    if kind == "random":
        return np.random.default_rng(1).integers(levels, size=(count, *SHAPE), dtype=np.uint8)
    if kind == "constant":
        return np.full((count, *SHAPE), levels - 1, np.uint8)
    return np.uint8(digits[:count] // (256 // levels))


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("count", [1, 2, 7, 101])
def test_a_round_trip_is_exact(levels, count, digits):
    coder = coder_of(levels, lanes=3)[0]
    for kind in ("random", "constant", "digits"):
        values = values_of(kind, count, levels, digits)
        coded = encode(coder, values)
        np.testing.assert_array_equal(decode(coder, coded.words, coded.below, count), values)


@pytest.mark.parametrize("levels", [2, 256])
def test_the_rate_is_the_negative_elbo_even_of_images_that_the_model_does_not_expect(
    levels, digits
):
    values = values_of("digits", 500, levels, digits)
    coder, params, model = coder_of(levels, lanes_for(500, SHAPE, levels))
    words = encode(coder, values).words
    x = np.float32(values) / (levels - 1)
    terms = [vae.heldout_elbo(params, x, jax.random.key(i), **model) for i in range(10)]
    goal = np.mean([t["negative_elbo_nats"] for t in terms]) / np.log(2)
    assert np.mean([t["kl_nats"] for t in terms]) > LATENT  # which the coder gets right
    coded, borrowed = 32 * len(words) / 500, 32 * LATENT / 500
    assert coded == pytest.approx(goal, rel=0.01)
    assert coded - borrowed == pytest.approx(goal, rel=0.005)


def test_the_start_costs_one_image_alone(digits):
    # A turn's images would borrow 8 to 9 bits for each latent of each.
    values = values_of("digits", 500, 2, digits)
    costs = [encode(coder_of(2, lanes)[0], values).borrowed for lanes in (1, 16)]
    assert costs[1] <= costs[0] + 2
    assert 32 * costs[0] <= 12 * LATENT + 64


def test_the_stack_ends_as_it_began_or_nothing_is_returned(digits):
    coder = coder_of(2, lanes=2)[0]
    values = values_of("digits", 7, 2, digits)
    words, below, _ = encode(coder, values)
    for i in range(0, len(words), 3):
        changed = words.copy()
        changed[i] ^= 1 << 7
        with pytest.raises(InputError):
            decode(coder, changed, below, 7)
    for wrong in ((words, below, 6), (words, below, 8), (words, below - 1, 7), (words, -1, 7)):
        with pytest.raises(InputError):
            decode(coder, *wrong)
    with pytest.raises(InputError):
        decode(coder, words[:-1], below, 7)
    with pytest.raises(InputError, match="not a stack"):
        decode(coder, np.append(words, np.uint32(0)), below, 7)


def test_another_model_does_not_decode_and_its_probe_differs(digits):
    values = values_of("digits", 20, 2, digits)
    coder, other = coder_of(2, lanes=4)[0], coder_of(2, lanes=4, spread=1e-6)[0]
    words, below, _ = encode(coder, values)
    assert probe(coder) == probe(coder_of(2, lanes=4)[0]) != probe(other)
    with pytest.raises(InputError):
        decode(other, words, below, 20)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 1000, 10_000])
@pytest.mark.parametrize("lanes", [1, 5, 64])
def test_turns_cover_the_set_and_grow_with_what_is_there(count, lanes):
    sizes = turns(count, lanes)
    assert sum(sizes) == count
    assert max(sizes) <= lanes
    done = np.cumsum([0, *sizes[:-1]])
    assert all(size == 1 or 8 * size <= before for size, before in zip(sizes, done, strict=True))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 512, 513, 10_000])
@pytest.mark.parametrize("lanes", [1, 5, 64])
def test_turns_go_backwards_as_they_came(count, lanes):
    forwards = list(enumerate(turns(count, lanes)))
    assert list(bitsback._backwards(count, lanes)) == forwards[::-1]


def test_turns_of_any_number_are_not_laid_out_at_once():
    last = next(iter(bitsback._backwards(10**15 + 1, 1)))
    assert last == (10**15, 1)


def test_lanes_stay_within_the_memory():
    assert lanes_for(10_000, (28, 28, 1), 256) == 64
    assert lanes_for(10_000, (256, 256, 1), 256) == 1
    assert lanes_for(1, (28, 28, 1), 2) == 1


def test_the_grid_is_far_below_the_posteriors_width_and_means_beyond_it_are_cut():
    coder = coder_of(2, lanes=2, spread=1e4)[0]
    mean, std = coder.posterior(np.ones((2, *SHAPE), np.uint8))
    assert mean.dtype == std.dtype == np.float64
    assert np.abs(mean).max() == BOUND * PER_UNIT
    np.testing.assert_allclose(std, np.exp(-2.0) * PER_UNIT, rtol=1e-6)


@pytest.mark.parametrize("std", [0.3, 2.0, 13.0, 100.0, 256.0])
def test_points_are_drawn_from_the_posterior_and_none_far_from_it(std, rng):
    words = rng.integers(1, 2**32, 300_000, dtype=np.uint32)
    mean = rng.uniform(-BOUND, BOUND, (300, 400)) * PER_UNIT
    stack, widths = bitsback._Stack(words), np.full(mean.shape, std)
    points = stack.pop_posterior(mean, widths)
    deviations = (points - mean) / np.sqrt(std**2 + 1 / 12)
    assert np.abs(deviations).max() < 17
    assert deviations.mean() == pytest.approx(0, abs=4 / np.sqrt(deviations.size))
    assert deviations.std() == pytest.approx(1, rel=0.01)
    stack.push_posterior(points, mean, widths)
    np.testing.assert_array_equal(stack.words(), words)


def test_latents_of_all_widths_go_back_in_the_order_in_which_they_came(rng):
    words = rng.integers(1, 2**32, 1000, dtype=np.uint32)
    mean, std = rng.normal(0, PER_UNIT, (9, 50)), np.exp(rng.uniform(-2, 9, (9, 50)))
    stack = bitsback._Stack(words)
    points = stack.pop_posterior(mean, std)
    assert len(stack.words()) < len(words)
    stack.push_posterior(points, mean, std)
    np.testing.assert_array_equal(stack.words(), words)


@pytest.mark.parametrize("log_variance", [-1000.0, 1000.0])
def test_widths_beyond_reason_are_cut_and_code_exactly(log_variance, digits):
    coder = coder_of(2, lanes=2, spread=1e4, log_variance=log_variance)[0]
    values = values_of("digits", 20, 2, digits)
    words, below, _ = encode(coder, values)
    np.testing.assert_array_equal(decode(coder, words, below, 20), values)


def test_a_model_that_has_diverged_is_refused(digits):
    values = values_of("digits", 7, 2, digits)
    for spoilt in ({"spread": np.nan}, {"log_variance": np.nan}):
        with pytest.raises(InputError, match="not finite"):
            encode(coder_of(2, lanes=2, **spoilt)[0], values)
    networks = linear(2)
    params = networks.init(jax.random.key(0))
    params["b"] *= np.nan
    coder = make_coder(
        params, networks=networks, likelihood=vae.BERNOULLI, image_shape=SHAPE, lanes=2
    )
    with pytest.raises(InputError, match="not finite"):
        encode(coder, values)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (vae.Config(likelihood=vae.GAUSSIAN), "a density"),
        (vae.Config(likelihood=vae.CONTINUOUS_BERNOULLI), "a density"),
        (vae.Config(prior=vae.Vamp(pseudo_inputs=3)), "VampPrior"),
        (vae.Config(classes=3), "class-conditional"),
        (vae.Config(image_shape=(4, 4, 3), likelihood=vae.LOGISTIC_MIXTURE), "3 channels"),
    ],
)
def test_models_that_cannot_code_are_refused(config, message):
    networks = vae.networks_of(config)
    params = jax.eval_shape(networks.init, jax.random.key(0))
    model = {"networks": networks, "likelihood": config.likelihood}
    with pytest.raises(InputError, match=message):
        make_coder(params, **model, image_shape=config.image_shape, lanes=1)


def test_latents_of_several_layers_are_refused():
    networks = mlp((4, 4, 1))._replace(encode=lambda params, x, labels=None: x)
    model = {"networks": networks, "likelihood": vae.BERNOULLI}
    with pytest.raises(InputError, match="single layer"):
        make_coder({}, **model, image_shape=(4, 4, 1), lanes=1)


def test_a_missing_entropy_coder_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(InputError, match=r"pip install 'aigc_jax\[compress\]'"):
        encode(coder_of(2, lanes=1)[0], np.zeros((1, *SHAPE), np.uint8))


def test_an_empty_stack_is_not_read(digits, monkeypatch):
    coder = coder_of(2, lanes=2)[0]
    monkeypatch.setattr(bitsback, "beginning", lambda coder: np.ones(4, np.uint32))
    with pytest.raises(InputError, match="not enough bits"):
        encode(coder, values_of("digits", 1, 2, digits))
