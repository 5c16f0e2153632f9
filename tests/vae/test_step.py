"""The VAE's update, its randomness and its two kinds of data."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import parallel, vae

SMALL = vae.Config((3, 2, 1), architecture=partial(vae.mlp, width=5))


@pytest.fixture(scope="module")
def state():
    """At any rate: SGD keeps nothing of its own."""
    networks = vae.mlp((3, 2, 1), width=5)
    return jax.jit(partial(vae.init, networks=networks, tx=optax.sgd(0.0)))(jax.random.key(0))


def test_one_sgd_step_is_the_gradient_of_the_mean_negative_elbo(state, assert_close):
    networks, rate = vae.mlp((3, 2, 1), width=5), 0.01
    batch = np.random.default_rng(9).random((4, 3, 2, 1), np.float32)
    step = jax.jit(partial(vae.step, networks=networks, tx=optax.sgd(rate), pixels=None))
    after, info = jax.device_get(step(state, batch))
    _, key_z = jax.random.split(jax.random.fold_in(state.key, 0))
    keys = parallel.example_keys(key_z, 4)

    def loss(params):
        losses, _ = vae.elbo(params, batch, None, keys, networks=networks)
        return jnp.mean(losses)

    value, grads = jax.device_get(jax.jit(jax.value_and_grad(loss))(state.params))
    before = jax.device_get(state.params)
    assert_close(after.params, jax.tree.map(lambda p, g: p - rate * g, before, grads))
    assert float(info.negative_elbo_nats) == pytest.approx(float(value), rel=1e-6)
    total = info.reconstruction_nats + info.kl_nats
    assert float(info.negative_elbo_nats) == pytest.approx(float(total), rel=1e-6)


def test_reparameterised_samples_have_the_posteriors_moments():
    mean, log_variance = jnp.array([1.0, -2.0]), jnp.array([0.5, -1.0])
    n = 20_000
    keys = parallel.example_keys(jax.random.key(0), n)
    spread = [jnp.broadcast_to(a, (n, 2)) for a in (mean, log_variance)]
    z = np.asarray(vae.reparameterise(keys, *spread), np.float64)
    deviation = np.exp(0.5 * np.asarray(log_variance))
    error = 4 * deviation / np.sqrt(n)  # four standard errors
    np.testing.assert_array_less(np.abs(z.mean(0) - mean), error)
    np.testing.assert_array_less(np.abs(z.std(0) - deviation), error)


def test_binarisation_is_fair_and_binary():
    n, grey = 20_000, jnp.array([0.0, 0.2, 0.9, 1.0])
    keys = parallel.example_keys(jax.random.key(0), n)
    x = np.asarray(vae.binarise(keys, jnp.broadcast_to(grey, (n, 4))))
    assert set(np.unique(x)) == {0.0, 1.0}
    np.testing.assert_array_less(np.abs(x.mean(0) - grey), 4 * 0.5 / np.sqrt(n) + 1e-9)
    assert x[:, 0].max() == 0
    assert x[:, 3].min() == 1


def test_dynamic_binarisation_is_redrawn_at_each_step(state):
    step = jax.jit(vae.make(SMALL, tx=optax.sgd(0.0)).step)
    grey = np.full((4, 3, 2, 1), 0.5, np.float32)
    state, first = step(state, grey)
    _, second = step(state, grey)
    assert first.reconstruction_nats != second.reconstruction_nats


def test_without_binarisation_the_kl_of_a_batch_is_the_same_at_each_step(state):
    step = jax.jit(vae.make(dataclasses.replace(SMALL, pixels=None), tx=optax.sgd(0.0)).step)
    grey = np.full((4, 3, 2, 1), 0.5, np.float32)
    state, first = step(state, grey)
    _, second = step(state, grey)
    assert first.kl_nats == second.kl_nats


def test_samples_are_probabilities(state):
    """softplus in place of the sigmoid would exceed 1."""
    sample = jax.jit(vae.make(SMALL).sample, static_argnums=2)
    scaled = state._replace(ema=jax.tree.map(lambda p: 50 * p, jax.device_get(state.ema)))
    images = np.asarray(sample(scaled, jax.random.key(1), 50))
    assert images.shape == (50, 3, 2, 1)
    assert 0 <= images.min() < 0.1
    assert 0.9 < images.max() <= 1
