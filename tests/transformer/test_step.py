"""The language model's update: weights decide what counts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import transformer

NETWORKS = transformer.decoder(
    transformer.NanoTransformer, 7, context=4, layers=1, heads=1, width=4
)


def batch_of(weights):
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 7, (2, 5)))
    return transformer.Batch(tokens, jnp.asarray(weights, jnp.float32))


@pytest.fixture(scope="module")
def state():
    return transformer.init(jax.random.key(0), NETWORKS, optax.sgd(0.1))


def step(state, batch):
    return transformer.step(state, batch, networks=NETWORKS, tx=optax.sgd(0.1))


def test_padding_has_no_influence(state, assert_close):
    weights = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
    batch = batch_of(weights)
    other = batch._replace(tokens=batch.tokens.at[0, 3:].set(6))
    assert_close(step(state, batch), step(state, other), rtol=0, atol=0)


def test_the_loss_is_the_mean_over_counted_tokens(state):
    weights = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    batch = batch_of(weights)
    _, info = step(state, batch)
    losses, _ = transformer.token_losses(state.params, batch, networks=NETWORKS)
    assert float(info.nll_nats) == pytest.approx(float((losses * weights).sum() / 3), rel=1e-6)
    assert float(info.tokens) == 3


def test_an_empty_batch_is_no_step(state, assert_identical):
    after, info = step(state, batch_of(np.zeros((2, 4))))
    assert_identical(after.params, state.params)
    assert float(info.nll_nats) == 0


def test_the_gradient_norm_is_that_of_the_update(state):
    after, info = step(state, batch_of(np.ones((2, 4))))
    moved = jax.tree.map(lambda a, b: (a - b) / 0.1, after.params, state.params)
    assert float(info.gradient_norm) == pytest.approx(float(optax.tree.norm(moved)), rel=1e-3)
