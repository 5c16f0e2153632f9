"""Attention against the formula in float64, and its masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.attention import (
    _by_xla,
    attention,
    cached_attention,
    causal_mask,
    padding_mask,
    same_segment,
    scaled_dot_product_attention,
)

B, T, S, N, H = 2, 5, 7, 3, 4


@pytest.fixture
def inputs(rng):
    return [rng.normal(size=(B, length, N, H)).astype(np.float32) for length in (T, S, S)]


def formula(query, key, value, mask=None):
    """softmax(Q Kᵀ / √H) V for each batch and head, in float64."""
    out = np.empty((B, T, N, H))
    for b in range(B):
        for n in range(N):
            q, k, v = (np.float64(a[b, :, n]) for a in (query, key, value))
            scores = q @ k.T / np.sqrt(H)
            if mask is not None:
                scores = np.where(np.broadcast_to(mask, (B, N, T, S))[b, n], scores, -np.inf)
            weights = np.exp(scores - scores.max(1, keepdims=True))
            out[b, :, n] = weights / weights.sum(1, keepdims=True) @ v
    return out


MASKS = {
    "none": None,
    "causal": np.asarray(causal_mask(T, S)),
    "padding": np.asarray(padding_mask(jnp.array([3, 7]), S)),
    "both": np.asarray(causal_mask(T, S) & padding_mask(jnp.array([3, 7]), S)),
}


# On a CPU `attention` is the formula; what it is elsewhere is tested by its name.
@pytest.mark.parametrize("function", [scaled_dot_product_attention, attention, _by_xla])
@pytest.mark.parametrize("mask", MASKS)
def test_equals_the_formula(function, mask, inputs):
    expected = formula(*inputs, MASKS[mask])
    actual = function(*inputs, MASKS[mask])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


# Every length with either cap and either mask; the two other pairs of them in `make test-all`.
@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("softcap", "segmented"),
    [
        (None, True),
        (0.5, False),
        pytest.param(None, False, marks=pytest.mark.all),
        pytest.param(0.5, True, marks=pytest.mark.all),
    ],
)
def test_what_a_causal_mask_hides_is_hidden_where_half_of_it_is_left_out(
    length, softcap, segmented, rng
):
    query, key, value = rng.normal(size=(3, B, length, 4, H)).astype(np.float32)
    key, value = key[:, :, :2], value[:, :, :2]
    mask = causal_mask(length)
    if segmented:
        mask &= same_segment(*[rng.integers(1, 3, (B, length))] * 2)

    def loss(function, **options):
        def scalar(args):
            return jnp.sum(jnp.sin(function(*args, mask, softcap=softcap, **options)))

        return jax.jit(jax.value_and_grad(scalar))((query, key, value))

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        loss(attention, causal=True),
        loss(scaled_dot_product_attention),
    )


@pytest.mark.parametrize("softcap", [None, 0.5])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_keys_kept_by_head_give_what_keys_by_slot_give(groups, softcap, rng):
    query = rng.normal(size=(B, T, 4, H)).astype(np.float32)
    key, value = rng.normal(size=(2, B, S, groups, H)).astype(np.float32)
    kept = (np.swapaxes(a, 1, 2) for a in (key, value))
    np.testing.assert_allclose(
        cached_attention(query, *kept, MASKS["both"], softcap=softcap),
        scaled_dot_product_attention(query, key, value, MASKS["both"], softcap=softcap),
        rtol=1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize("mask", MASKS)
def test_the_fast_path_equals_the_reference_in_value_and_gradient(mask, inputs):
    def loss(function):
        return lambda args: jnp.sum(jnp.sin(function(*args, MASKS[mask])))

    fast, reference = (
        jax.jit(jax.value_and_grad(loss(f)))(inputs)
        for f in (_by_xla, scaled_dot_product_attention)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), fast, reference
    )


def test_a_fully_masked_query_gets_the_mean_of_all_values_on_both_paths(inputs):
    nowhere = jnp.zeros((1, 1, T, S), bool)
    mean = np.broadcast_to(inputs[2].mean(1, keepdims=True), (B, T, N, H))
    for function in (_by_xla, attention, scaled_dot_product_attention):
        np.testing.assert_allclose(function(*inputs, nowhere), mean, rtol=1e-5, atol=1e-6)


def test_masked_tokens_have_no_influence_whatever_their_size(inputs):
    """A mask value near zero, or a finite one, would let large scores through."""
    query, key, value = inputs
    mask = padding_mask(jnp.array([3, 3]), S)
    before = attention(query, key, value, mask)
    after = attention(query, key.copy() + 1e4 * (np.arange(S) >= 3)[:, None, None], value, mask)
    np.testing.assert_array_equal(before, after)


def test_the_softmax_of_half_precision_inputs_is_float32(inputs):
    """At scores near 100 a bfloat16 softmax is off by whole units in the exponent."""
    query, key, value = (jnp.asarray(a, jnp.bfloat16) for a in inputs)
    query = query * 50
    expected = formula(*(np.asarray(a, np.float64) for a in (query, key, value)))
    for function in (attention, scaled_dot_product_attention):
        actual = function(query, key, value)
        assert actual.dtype == jnp.bfloat16
        # bfloat16 has 8 bits: weights and outputs are each rounded to 2⁻⁸ relative
        np.testing.assert_allclose(
            np.float64(actual), expected, atol=2 * 2**-7 * np.abs(value).max()
        )


def test_causal_masks_align_the_last_query_with_the_last_key():
    np.testing.assert_array_equal(causal_mask(1, 4)[0, 0], [[True] * 4])
    np.testing.assert_array_equal(causal_mask(2, 4)[0, 0], [[True, True, True, False], [True] * 4])
    np.testing.assert_array_equal(causal_mask(3)[0, 0], np.tril(np.ones((3, 3), bool)))


def test_causal_masks_need_enough_keys():
    with pytest.raises(ValueError, match="at least as many keys"):
        causal_mask(4, 2)


def test_padding_mask():
    np.testing.assert_array_equal(
        padding_mask(jnp.array([0, 2]), 3)[:, 0, 0], [[False] * 3, [True, True, False]]
    )
