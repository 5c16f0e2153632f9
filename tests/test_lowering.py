"""What a program for a GPU holds, seen where there is none; see also test_fused_attention.py."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer
from aigc_jax.layers import rounded_once
from aigc_jax.loop import make_dispatch

SIZES = {"context": 12, "layers": 2, "heads": 2, "width": 16}
PRODUCT = re.compile(r"stablehlo\.dot_general.*: \(tensor<(\S+)>, tensor<(\S+)>\) -> ")


def program(**changes):
    """A dispatch of two steps, and its state."""
    config = transformer.gpt2(19, **{**SIZES, "dtype": jnp.bfloat16, **changes})
    algorithm = transformer.make(config)
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    dispatch = make_dispatch(algorithm.step, lambda data, i: transformer.next_tokens(data[i]))
    data = jax.ShapeDtypeStruct((5, 13), jnp.int32)
    indices = jax.ShapeDtypeStruct((2, 3), jnp.int32)
    traced = dispatch.trace(state, data, indices)
    return traced.lower(lowering_platforms=("cuda",)).as_text(), state


@pytest.mark.parametrize(
    "changes", [{}, {"tied": False}, {"objective": transformer.Objective(chunk=4)}]
)
def test_a_step_of_half_precision_has_no_product_of_float32(changes):
    """The gradient of the logits' products is the one that would be: JAX's is as wide as they."""
    text, _ = program(**changes)
    operands = [kind.split("x")[-1] for pair in PRODUCT.findall(text) for kind in pair]
    assert len(operands) > 20
    assert set(operands) == {"bf16"}


def test_every_array_of_the_state_is_given_to_the_program():
    text, state = program()
    main = text[text.index("@main(") :].split("->")[0]
    donated = main.count("tf.aliasing_output") + main.count("jax.buffer_donor")
    assert donated == len(jax.tree.leaves(state))


def test_a_product_rounded_once_has_the_sums_of_the_wider_type_and_its_own_derivatives():
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=s), jnp.bfloat16) for s in ((5, 64), (64, 3)))

    def loss(x, kernel):
        return jnp.sum(jnp.sin(rounded_once(jnp.matmul, x, kernel, jnp.float32)))

    exact = np.float64(x) @ np.float64(kernel)
    found = rounded_once(jnp.matmul, x, kernel, jnp.float32)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)
    slope = np.cos(exact)
    expected = slope @ np.float64(kernel).T, np.float64(x).T @ slope
    for a, b in zip(jax.grad(loss, (0, 1))(x, kernel), expected, strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float64(a), b, atol=2**-7 * np.abs(b).max())
    along = jax.jvp(loss, (x, kernel), (x, kernel))[1]
    np.testing.assert_allclose(along, 2 * np.sum(slope * exact), rtol=2**-6)
