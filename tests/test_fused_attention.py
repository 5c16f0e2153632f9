"""On CUDA attention is cuDNN's kernel where that can be: seen in programs lowered for there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo

from aigc_jax import fused_attention, transformer
from aigc_jax.attention import attention, causal_mask, padding_mask, scaled_dot_product_attention

B, T, S, N, K, H = 3, 12, 14, 4, 2, 8
CALL, BACKWARD = "__cudnn$fmhaSoftmax(", "__cudnn$fmhaSoftmaxBackward("


def program(function, *args):
    return jax.jit(function).trace(*args).lower(lowering_platforms=("cuda",)).as_text()


def setting(text, name):
    """What the kernel is told."""
    return re.search(rf"\\22{name}\\22: (?:\\22)?([^\\,}}]+)", text)[1]


def arrays(keys=T, size=H, dtype=jnp.bfloat16):
    rng = np.random.default_rng(0)
    shapes = (B, T, N, size), (B, keys, K, size), (B, keys, K, size)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def slope(**options):
    """Value and gradients of a scalar of attention."""

    def loss(args):
        return jnp.sum(jnp.sin(attention(*args, **options).astype(jnp.float32)))

    return jax.value_and_grad(loss)


LENGTHS = np.array([14, 3, 7], np.int32)
KNOWN = {
    "all": (S, {}, "NO_MASK", "0"),
    "causal": (T, {"causal": True}, "CAUSAL", "0"),
    "window": (T, {"causal": True, "window": 5}, "CAUSAL", "5"),
    "lengths": (S, {"lengths": LENGTHS}, "PADDING", "0"),
    "both": (T, {"causal": True, "lengths": LENGTHS - 2}, "PADDING_CAUSAL", "0"),
}


def in_types(first, second):
    """All cases of the first type; of the second "both", and in `make test-all` the rest."""
    rest = [case for case in KNOWN if case != "both"]
    return [
        *((case, first) for case in KNOWN),
        ("both", second),
        *(pytest.param(case, second, marks=pytest.mark.all) for case in rest),
    ]


@pytest.mark.parametrize(("case", "dtype"), in_types(jnp.bfloat16, jnp.float16))
def test_on_cuda_no_scores_of_all_queries_exist_in_value_and_gradient(case, dtype):
    keys, options, mask, window = KNOWN[case]
    text = program(slope(**options), arrays(keys, dtype=dtype))
    assert text.count(CALL) == text.count(BACKWARD) == 1
    assert setting(text, "mask_type") == mask
    assert setting(text, "sliding_window_length") == window
    assert float(setting(text, "fmha_scale")) == pytest.approx(H**-0.5)
    assert f"{T}x{keys}x" not in text


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        ({"dtype": jnp.float32}, {"causal": True}),
        ({"size": 12}, {"causal": True}),
        ({"keys": 13}, {}),
        ({"size": 136}, {"causal": True}),
        ({}, {"mask": causal_mask(T), "causal": True}),
        ({}, {"causal": True, "softcap": 3.0}),
        ({}, {"causal": True, "drop": lambda weights, first: weights}),
    ],
)
def test_what_the_kernel_does_not_take_is_the_plain_form(shapes, options):
    text = program(slope(**options), arrays(**shapes))
    assert "cudnn" not in text
    assert f"{T}x{shapes.get('keys', T)}x" in text


@pytest.mark.parametrize("case", KNOWN)
def test_other_backends_never_hold_the_kernel(case):
    keys, options, _, _ = KNOWN[case]
    traced = jax.jit(slope(**options)).trace(arrays(keys))
    for platform in ("cpu", "tpu", "rocm"):
        assert "cudnn" not in traced.lower(lowering_platforms=(platform,)).as_text()


def assert_same_sums(found, expected, dtype):
    """Up to the order of their terms, which have 8 bits where they are bfloat16."""
    close = {"rtol": 2**-6, "atol": 0.02} if dtype == jnp.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.float64(a), np.float64(b), **close)


@pytest.mark.parametrize(("case", "dtype"), in_types(jnp.float32, jnp.bfloat16))
def test_what_is_said_by_name_is_what_a_mask_says(case, dtype):
    keys, options, _, _ = KNOWN[case]
    mask = jnp.ones((1, 1, T, keys), bool)
    if options.get("causal"):
        mask &= causal_mask(T, window=options.get("window"))
    if "lengths" in options:
        mask &= padding_mask(options["lengths"], keys)

    def reference(args):
        out = scaled_dot_product_attention(*args, mask)
        return jnp.sum(jnp.sin(out.astype(jnp.float32)))

    args = arrays(keys, dtype=dtype)
    expected = jax.jit(jax.value_and_grad(reference))(args)
    found = jax.jit(slope(**options))(args)
    assert_same_sums(found, expected, dtype)


@jax.jit
def gradient(query, key, value, lengths):
    """Of the sum of attention."""

    def loss(x):
        return jnp.sum(attention(*x, lengths=lengths).astype(jnp.float32))

    return jax.grad(loss)((query, key, value))


@pytest.mark.parametrize("mapped", ["value", "lengths", "all"])
def test_some_of_its_arrays_may_be_mapped(mapped):
    """Also where the cotangent is not, as that of a sum."""
    names = ("query", "key", "value", "lengths")
    args = [*arrays(S), LENGTHS]
    axes = [0 if name in mapped or mapped == "all" else None for name in names]
    args = [np.asarray(x) for x in args]
    both = [x if a is None else np.stack([x, x[::-1]]) for x, a in zip(args, axes, strict=True)]
    each = jax.vmap(gradient, axes)
    assert "cudnn" in program(each, *both)
    found = jax.device_get(jax.jit(each)(*both))
    for i in range(2):
        one = [x if a is None else x[i] for x, a in zip(both, axes, strict=True)]
        expected = gradient(*one)
        assert_same_sums([x[i] for x in found], expected, jnp.bfloat16)


def test_a_gpu_too_old_for_the_kernel_has_the_plain_form(monkeypatch):
    class Device:
        def __init__(self, capability):
            self.compute_capability = capability

    for capability, fits in {"7.5": False, "8.0": True, "12.0": True, "gfx90a": True}.items():
        monkeypatch.setattr(jax, "local_devices", lambda c=capability: [Device("9.0"), Device(c)])
        assert fused_attention.fits(*arrays()) is fits


def test_jax_is_left_as_it_was():
    before = fused_attention_stablehlo.check_cudnn_version
    program(slope(causal=True), arrays())
    assert fused_attention_stablehlo.check_cudnn_version is before


def test_names_that_say_nothing_are_refused():
    args = arrays(S)
    with pytest.raises(ValueError, match="causal needs as many keys as queries, got 14 and 12"):
        attention(*args, causal=True)
    with pytest.raises(ValueError, match="a window needs causal attention"):
        attention(*args, window=3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scan": True, "remat": True},
        {"window": 5},
        {"positions": transformer.Positions.ROTARY, "num_kv_heads": 1, "tied": False},
    ],
)
def test_a_step_of_half_precision_trains_by_the_kernel_on_cuda(changes):
    sizes = {"context": T, "layers": 2, "heads": 2, "width": 16, "dtype": jnp.bfloat16}
    algorithm = transformer.make(transformer.gpt2(19, **{**sizes, **changes}))
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((B, T + 1), jnp.int32)
    text = program(lambda s, x: algorithm.step(s, transformer.next_tokens(x)), state, tokens)
    assert CALL in text
    assert BACKWARD in text
    assert f"{B}x2x{T}x{T}x" not in text
    assert f"{B}x1x2x{T}x{T}x" not in text
    assert setting(text, "sliding_window_length") == str(changes.get("window", 0))
