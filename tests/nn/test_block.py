"""The block's bidirectional and adaptive forms; its causal one is tested with the Transformer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.nn.block import Block, PositionsAndMask, Stack
from aigc_jax.nn.block_config import BlockConfig

CONFIG = BlockConfig(heads=2, width=8)
BOTH_WAYS = PositionsAndMask(jnp.arange(5)[None], None)
CAUSAL = PositionsAndMask(jnp.arange(5)[None], None, causal=True)
KEY = jax.random.key(0)


@pytest.fixture
def x(rng):
    return np.float32(rng.normal(size=(2, 5, 8)))


def test_without_a_mask_every_token_sees_every_other(x):
    stack = Stack(CONFIG, 1)
    params = jax.jit(stack.init)(KEY, x, BOTH_WAYS)

    def influence(where):
        """Whether token s of the input reaches token t of the output, `[T, S]`."""
        of_row = jax.jacobian(lambda row: stack.apply(params, row[None], where)[0][0])
        return np.abs(jax.jit(of_row)(x[0])).sum((1, 3)) > 1e-8

    assert influence(BOTH_WAYS).all()
    np.testing.assert_array_equal(influence(CAUSAL), np.tri(5, dtype=bool))


def test_an_adaptive_block_starts_as_the_identity(x, rng):
    condition = np.float32(rng.normal(size=(2, 3)))
    block = Block(CONFIG, 1)

    def apply(params):
        return block.apply(params, x, BOTH_WAYS, None, None, None, 0, condition)[0]

    params = jax.jit(block.init)(KEY, x, BOTH_WAYS, None, None, None, 0, condition)
    np.testing.assert_array_equal(jax.jit(apply)(params), x)
    # It is no constant: the gates have gradients, and the rest has once they are open.
    grads = jax.jit(jax.grad(lambda p: jnp.sum(apply(p) ** 2)))(params)["params"]
    for name in ("attention_norm", "feed_forward_norm"):
        gates = np.asarray(grads[name]["Dense_0"]["kernel"])[:, -8:]
        assert np.abs(gates).min() > 0


@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
def test_with_open_gates_an_adaptive_stack_is_the_plain_one(x, rng, scan):
    config = BlockConfig(heads=2, width=8, scan=scan)
    condition, stack = np.float32(rng.normal(size=(2, 3))), Stack(config, 2)
    init, apply = jax.jit(stack.init), jax.jit(stack.apply)
    plain = jax.device_get(init(KEY, x, BOTH_WAYS))
    adaptive = jax.device_get(init(KEY, x, BOTH_WAYS, condition=condition))

    def opened(path, leaf):
        names = [entry.key for entry in path]
        if "Dense_0" not in names:  # attention's and the feed-forward layer's
            found = plain
            for name in names:
                found = found[name]
            return found
        # A gate of 1 before every residual sum, whatever the condition.
        gate = np.zeros_like(leaf)
        gate[..., 16:] = 1
        return gate if names[-1] == "bias" else leaf

    params = jax.tree_util.tree_map_with_path(opened, adaptive)
    expected, _ = apply(plain, x, BOTH_WAYS)
    found, _ = apply(params, x, BOTH_WAYS, condition=condition)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected - x).max() > 0.1


def test_a_condition_and_normalised_sums_exclude_each_other(x):
    config = BlockConfig(heads=2, width=8, post_norm=True)
    with pytest.raises(ValueError, match="post_norm=False"):
        Stack(config, 1).init(KEY, x, BOTH_WAYS, condition=jnp.ones((2, 3)))
