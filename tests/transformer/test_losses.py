"""Next-token losses against NumPy, and evaluation that counts each token once."""

from itertools import pairwise

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


def bigram_network(table):
    return transformer.Networks(lambda key: {}, lambda _, t: jnp.float32(table)[t], len(table), 4)


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("length", [2, 5, 6, 23])
def test_heldout_nll_counts_every_token_but_the_first_once(rng, chunk, length):
    table, tokens = rng.normal(size=(7, 7)), rng.integers(0, 7, length)
    log_p = table - np.log(np.exp(table).sum(-1, keepdims=True))
    expected = -np.mean([log_p[a, b] for a, b in pairwise(tokens)])
    actual = transformer.heldout_nll({}, tokens, networks=bigram_network(table), chunk=chunk)
    assert actual == pytest.approx(expected, rel=1e-6)
