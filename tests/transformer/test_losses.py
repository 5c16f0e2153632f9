"""Next-token losses against NumPy, and evaluation that counts each token once."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer


def test_next_token_nll(rng):
    logits, targets = rng.normal(size=(2, 3, 5)) * 10, rng.integers(0, 5, (2, 3))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_p, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(transformer.next_token_nll(logits, targets), expected, rtol=1e-5)


def test_half_precision_logits_are_widened_before_the_softmax():
    logits = jnp.full((1, 1, 1000), 8.0, jnp.bfloat16)
    actual = transformer.next_token_nll(logits, jnp.zeros((1, 1), int))
    assert actual.dtype == jnp.float32
    assert float(actual[0, 0]) == pytest.approx(np.log(1000), rel=1e-6)


@pytest.mark.parametrize(("smoothing", "z_weight"), [(0.0, 0.0), (0.1, 0.0), (0.3, 0.01), (0, 1)])
def test_smoothing_spreads_over_all_symbols_and_z_is_squared(rng, smoothing, z_weight):
    logits, targets = rng.normal(size=(2, 3, 5)) * 10, rng.integers(0, 5, (2, 3))
    normaliser = np.log(np.exp(logits).sum(-1))
    log_p = logits - normaliser[..., None]
    q = (1 - smoothing) * np.eye(5)[targets] + smoothing / 5
    expected = -(q * log_p).sum(-1) + z_weight * normaliser**2
    actual = transformer.regularised_nll(logits, targets, smoothing, z_weight)
    np.testing.assert_allclose(actual.loss, expected, rtol=1e-5)
    np.testing.assert_allclose(actual.nll, -(np.eye(5)[targets] * log_p).sum(-1), rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 5, 7, 20])
def test_chunks_change_neither_losses_nor_gradients(rng, chunk):
    weights, states = rng.normal(size=(4, 6)), rng.normal(size=(3, 7, 4))
    targets = rng.integers(0, 6, (3, 7))

    def losses(table):
        return lambda s, t: transformer.regularised_nll(s @ table, t, 0.1, 0.01)

    def whole(table, states):
        return losses(table)(states, targets)

    def parts(table, states):
        return transformer.in_chunks(losses(table), states, jnp.asarray(targets), chunk)

    def gradient(function):
        scalar = lambda *args: jnp.sum(jnp.sin(function(*args).loss))  # noqa: E731
        return jax.jit(jax.grad(scalar, (0, 1)))(np.float32(weights), np.float32(states))

    losses_of_parts, losses_of_whole = (jax.jit(f)(weights, states) for f in (parts, whole))
    for a, b in zip(losses_of_parts, losses_of_whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for a, b in zip(gradient(parts), gradient(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_chunks_keep_the_logits_of_a_chunk_alone():
    """The largest array of the program, forwards and backwards, is not `[B, T, V]`."""
    table, states = jnp.ones((4, 1000)), jnp.ones((2, 64, 4))
    targets = jnp.zeros((2, 64), int)

    def loss(table, chunk):
        def losses(s, t):
            return transformer.regularised_nll(s @ table, t)

        if chunk is None:
            return losses(states, targets).loss.sum()
        return transformer.in_chunks(losses, states, targets, chunk).loss.sum()

    def memory(chunk):
        compiled = jax.jit(jax.grad(lambda t: loss(t, chunk))).lower(table).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(8) < memory(None) / 3


def bigram_network(table):
    table = jnp.float32(table)
    return transformer.Networks(
        init=lambda key: {},
        hidden=lambda _, batch, keys: batch.inputs,
        logits=lambda _, states: table[states],
        start=None,
        grow=None,
        extend=None,
        vocabulary_size=len(table),
        context=4,
    )


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("length", [2, 5, 6, 23])
def test_heldout_nll_counts_every_token_but_the_first_once(rng, chunk, length):
    table, tokens = rng.normal(size=(7, 7)), rng.integers(0, 7, length)
    log_p = table - np.log(np.exp(table).sum(-1, keepdims=True))
    expected = -np.mean([log_p[a, b] for a, b in pairwise(tokens)])
    actual = transformer.heldout_nll({}, tokens, networks=bigram_network(table), chunk=chunk)
    assert actual == pytest.approx(expected, rel=1e-6)
