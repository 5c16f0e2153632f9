"""What is sampled from: averaged weights, under batch statistics of their own."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import gan, parallel
from aigc_jax.convolution import conv_up
from aigc_jax.gan import sampling

KEY = jax.random.key(1)


@cache
def trained(classes=0, side=8, steps=3, half_life=300.0):
    """A small DCGAN whose average lags behind, and its networks."""
    config = gan.Config(
        (side, side, 1),
        classes=classes,
        architecture=partial(gan.dcgan, width=4),
        latent_size=3,
        learning_rate_g=0.05,
        ema_half_life=half_life,
    )
    algorithm = gan.make(config)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    labels = np.arange(8, dtype=np.int32) % classes if classes else None
    batch = gan.Batch(np.ones((8, side, side, 1), np.float32), labels)
    step = jax.jit(algorithm.step)
    for _ in range(steps):
        state, _ = step(state, batch)
    return state, algorithm, gan.networks_of(config)


@pytest.fixture(scope="module", params=[0, 5], ids=["plain", "classes"])
def model(request):
    return trained(request.param)


def standing_batch(state, networks):
    """The latents that statistics are taken over, and their labels."""
    keys = parallel.example_keys(jax.random.fold_in(state.key, 2**32 - 1), 1000)
    labels = np.arange(1000) % networks.classes if networks.classes else None
    return gan.latents(keys, networks.latent_size), labels


def test_statistics_are_those_of_the_averaged_weights(model):
    state, _, networks = model
    z, labels = standing_batch(state, networks)
    told = np.float64(z)
    if networks.classes:
        told = np.concatenate([told, np.eye(networks.classes)[labels]], axis=1)
    h = told @ np.float64(state.ema_g.params["Dense_0"]["kernel"])
    h = h.reshape(-1, 4)  # the channels of the grid
    found = jax.jit(partial(gan.averaged, networks=networks))(state).stats["BatchNorm_0"]
    np.testing.assert_allclose(found["mean"], h.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["var"], h.var(0), rtol=1e-4)
    # The average over training is of other networks, and still holds of the first variance, 1.
    kept = state.ema_g.stats["BatchNorm_0"]["var"]
    assert np.abs(kept / h.var(0) - 1).max() > 0.2


def test_samples_are_normalised_by_them():
    # In float64 the one layer of statistics is undone by hand; each pixel is a product after it.
    state, algorithm, networks = trained(0)
    z = np.float64(gan.latents(parallel.example_keys(KEY, 6), 3))
    standing, _ = (np.float64(a) if a is not None else a for a in standing_batch(state, networks))
    params = jax.tree.map(np.float64, state.ema_g.params)
    before, all_before = (x @ params["Dense_0"]["kernel"] for x in (z, standing))
    channels = all_before.reshape(-1, 4)
    scale = params["BatchNorm_0"]["scale"] / np.sqrt(channels.var(0) + 1e-5)
    h = (before.reshape(6, 4, 4, 4) - channels.mean(0)) * scale + params["BatchNorm_0"]["bias"]
    assert len(params) == 3
    last = params["Convolution_0"]
    images = conv_up(jnp.float32(np.maximum(h, 0)), jnp.float32(last["kernel"]))
    expected = 1 / (1 + np.exp(-(np.float64(images) + last["bias"])))
    found = jax.jit(algorithm.sample, static_argnums=2)(state, KEY, 6)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_layer_has_its_own_in_a_deep_generator():
    # In a step the batch is normalised by its own statistics, layer by layer.
    state, _, networks = trained(side=16, steps=0)
    z, _ = standing_batch(state, networks)

    @jax.jit
    def both(state):
        expected, _ = networks.generate(state.ema_g, z, None, True, None)
        return networks.generate(gan.averaged(state, networks), z, None, False, None)[0], expected

    found, expected = both(state)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_they_are_a_function_of_the_state_under_every_transform(model, assert_close):
    state, algorithm, networks = model
    expected = gan.averaged(state, networks)
    assert_close(gan.averaged(state, networks), expected)
    assert_close(jax.jit(partial(gan.averaged, networks=networks))(state), expected)
    sample = jax.jit(algorithm.sample, static_argnums=2)
    images = np.asarray(sample(state, KEY, 5))
    # What the iterates' statistics were has no say.
    other = state._replace(
        ema_g=state.ema_g._replace(
            stats=jax.tree.map(lambda x: 7 + 3 * np.asarray(x), state.ema_g.stats)
        )
    )
    assert_close(sample(other, KEY, 5), images)
    states = jax.jit(partial(jax.tree.map, lambda x: jnp.stack([x, x])))(state)
    both = jax.jit(jax.vmap(lambda s: algorithm.sample(s, KEY, 5)))(states)
    assert_close(both, np.stack([images, images]), atol=1e-5)
    few = algorithm.sample(state, KEY, 3)  # and without any
    assert_close(few, images[:3])


def test_networks_without_statistics_are_not_run(monkeypatch):
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3))
    state = jax.eval_shape(algorithm.init, KEY)
    networks = gan.networks_of(gan.Config((2, 2, 1), latent_size=3))
    jaxpr = jax.make_jaxpr(lambda s: jax.tree.leaves(gan.averaged(s, networks)))(state)
    assert not any("dot_general" in str(equation) for equation in jaxpr.eqns)
    own = gan.plain_networks(
        init=lambda key: (jnp.float32(0.7), jnp.float32(-0.4)),
        generate=lambda theta, z: (theta * z).reshape(-1, 1, 1, 1),
        discriminate=lambda phi, x: phi * x.reshape(-1),
        latent_size=1,
    )
    monkeypatch.setattr(sampling, "_STANDING", 3)
    state = gan.make(gan.Config(), nets=own).init(KEY)
    assert gan.averaged(state, own) == state.ema_g
