"""Attention of many queries, in blocks: the formula's numbers, and memory that grows with T."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import aigc_jax.attention as module
from aigc_jax.attention import (
    attention,
    causal_mask,
    padding_mask,
    same_segment,
    scaled_dot_product_attention,
)

B, N, K, H = 2, 4, 2, 4
LENGTHS = np.array([5, 11], np.int32)


@pytest.fixture
def short(monkeypatch):
    """What is long, here."""
    monkeypatch.setattr(module, "LONG", 2)
    monkeypatch.setattr(module, "BLOCK", 3)


def arrays(rng, queries, keys):
    shapes = (B, queries, N, H), (B, keys, K, H), (B, keys, K, H)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def slope(function, **options):
    """Value and gradients of a scalar of attention."""
    return jax.value_and_grad(lambda args: jnp.sum(jnp.sin(function(*args, **options))))


CASES = {
    "everything": (7, 11, {}),
    "lengths": (7, 11, {"lengths": LENGTHS}),
    "a mask of keys": (7, 11, {"mask": np.asarray(padding_mask(LENGTHS, 11))}),
    "a mask": (11, 11, {"mask": np.asarray(causal_mask(11)), "softcap": 0.5}),
    "causal": (20, 20, {"causal": True}),
    "one block in each stretch": (11, 11, {"causal": True, "lengths": LENGTHS}),
    "fewer blocks than stretches": (5, 5, {"causal": True}),
    "no surplus": (24, 24, {"causal": True, "softcap": 0.5}),
    "window": (23, 23, {"causal": True, "window": 4}),
    "packed": (17, 17, {"causal": True, "mask": "segments"}),
}


def visible(queries, keys, mask=None, causal=False, window=None, lengths=None):
    """One mask of all that hides a key."""
    seen = jnp.ones((1, 1, queries, keys), bool)
    seen = seen if mask is None else seen & mask
    seen = seen & causal_mask(queries, window=window) if causal else seen
    return seen if lengths is None else seen & padding_mask(lengths, keys)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("case", CASES)
def test_blocks_give_the_formula_in_value_and_gradient(case, rng):
    queries, keys, options = CASES[case]
    if options.get("mask") is not None and isinstance(options["mask"], str):
        options = {**options, "mask": same_segment(*[rng.integers(1, 3, (B, queries))] * 2)}
    softcap = options.get("softcap")
    mask = visible(queries, keys, **{k: v for k, v in options.items() if k != "softcap"})
    args = arrays(rng, queries, keys)
    found = jax.jit(slope(attention, **options))(args)
    expected = jax.jit(slope(scaled_dot_product_attention, mask=mask, softcap=softcap))(args)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


@pytest.mark.usefixtures("short")
def test_blocks_are_exact_under_other_transforms(rng):
    args = arrays(rng, 11, 11)

    def derivatives(function):
        """Two rows mapped, and the slope of a squared gradient along a direction."""

        def squared(x):
            mapped = jax.vmap(lambda *one: function(*(a[None] for a in one))[0])
            grads = jax.grad(lambda x: jnp.sum(jnp.sin(mapped(*x))))(x)
            return sum(jnp.sum(g**2) for g in grads)

        return jax.jit(lambda x: jax.jvp(squared, (x,), (jax.tree.map(jnp.cos, x),)))(args)

    found = derivatives(lambda *x: attention(*x, causal=True))
    expected = derivatives(lambda *x: scaled_dot_product_attention(*x, causal_mask(11)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.usefixtures("short")
def test_each_block_drops_with_a_number_of_its_own(rng):
    query, key, value = arrays(rng, 8, 8)
    found = attention(query, key, value, drop=lambda weights, first: weights * first)
    plain = np.asarray(scaled_dot_product_attention(query, key, value))
    first = np.array([0, 0, 0, 3, 3, 3, 6, 6])[:, None, None]
    np.testing.assert_allclose(found, plain * first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_memory_grows_with_the_length_and_not_its_square(causal, masked):
    def megabytes(length):
        shape = jax.ShapeDtypeStruct((1, length, 4, 16), jnp.float32)
        mask = padding_mask(np.array([900]), length) if masked else None
        step = jax.jit(slope(attention, causal=causal, mask=mask)).lower([shape] * 3)
        return step.compile().memory_analysis().temp_size_in_bytes / 2**20

    scores = 4 * 4096**2 * 4 / 2**20
    assert megabytes(4096) < min(2.3 * megabytes(2048), scores / 3)


def test_programs_for_gpus_without_the_kernel_hold_no_scores_of_all_queries():
    shape = jax.ShapeDtypeStruct((1, 2048, 4, 16), jnp.float32)
    traced = jax.jit(slope(attention, causal=True)).trace([shape] * 3)
    for platform in ("cuda", "rocm", "tpu"):
        assert "2048x2048x" not in traced.lower(lowering_platforms=(platform,)).as_text()


def test_long_sequences_of_half_precision_have_the_kernel_on_cuda_and_blocks_elsewhere():
    shape = jax.ShapeDtypeStruct((1, 2048, 4, 16), jnp.bfloat16)
    traced = jax.jit(slope(attention, causal=True)).trace([shape] * 3)
    texts = [traced.lower(lowering_platforms=(p,)).as_text() for p in ("cuda", "cpu")]
    assert ["cudnn" in text for text in texts] == [True, False]
    assert not any("2048x2048x" in text for text in texts)
