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


def test_one_sgd_step_is_the_gradient_of_the_mean_negative_elbo(assert_close):
    networks, rate = vae.mlp((3, 2, 1), width=5), 0.01
    batch = jax.random.uniform(jax.random.key(9), (4, 3, 2, 1))
    state = vae.init(jax.random.key(0), networks, optax.sgd(rate))
    after, info = vae.step(state, batch, networks=networks, tx=optax.sgd(rate), pixels=None)
    _, key_z = jax.random.split(jax.random.fold_in(state.key, 0))
    keys = parallel.example_keys(key_z, 4)

    def loss(params):
        losses, _ = vae.elbo(params, batch, None, keys, networks=networks)
        return jnp.mean(losses)

    expected = jax.tree.map(lambda p, g: p - rate * g, state.params, jax.grad(loss)(state.params))
    assert_close(after.params, expected)
    assert float(info.negative_elbo_nats) == pytest.approx(float(loss(state.params)), rel=1e-6)
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


def test_dynamic_binarisation_is_redrawn_at_each_step():
    algorithm = vae.make(SMALL, tx=optax.sgd(0.0))
    state = algorithm.init(jax.random.key(0))
    grey = jnp.full((4, 3, 2, 1), 0.5)
    state, first = algorithm.step(state, grey)
    _, second = algorithm.step(state, grey)
    assert first.reconstruction_nats != second.reconstruction_nats


def test_without_binarisation_the_kl_of_a_batch_is_the_same_at_each_step():
    algorithm = vae.make(dataclasses.replace(SMALL, pixels=None), tx=optax.sgd(0.0))
    state = algorithm.init(jax.random.key(0))
    grey = jnp.full((4, 3, 2, 1), 0.5)
    state, first = algorithm.step(state, grey)
    _, second = algorithm.step(state, grey)
    assert first.kl_nats == second.kl_nats


def test_samples_are_probabilities():
    """softplus in place of the sigmoid would exceed 1."""
    algorithm = vae.make(SMALL)
    state = algorithm.init(jax.random.key(0))
    scaled = state._replace(ema=jax.tree.map(lambda p: 50 * p, state.ema))
    images = algorithm.sample(scaled, jax.random.key(1), 50)
    assert images.shape == (50, 3, 2, 1)
    assert 0 <= images.min() < 0.1
    assert 0.9 < images.max() <= 1
