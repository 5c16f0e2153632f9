"""Trunks: sizes for any given number of halvings, and what a block computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.convolution import conv
from aigc_jax.nn.trunk import Down, ResidualBlock, Up


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_down_and_up_change_the_size_as_often_as_they_are_told(halvings):
    x, key = np.ones((2, 16, 24, 3), np.float32), jax.random.key(0)
    grid, _ = jax.jit(Down(4, halvings).init_with_output)(key, x)
    assert grid.shape == (2, 16 >> halvings, 24 >> halvings, 4 * 2 ** (halvings - 1))
    outputs, _ = jax.jit(Up(5, 4, halvings, blocks=0).init_with_output)(key, grid)
    assert outputs.shape == (2, 16, 24, 5)


def test_the_residual_block_is_its_formula(rng):
    x = jnp.float32(rng.normal(size=(2, 3, 4, 5)))
    found, params = ResidualBlock().init_with_output(jax.random.key(0), x)
    spatial, pointwise = (params["params"][f"Convolution_{i}"]["kernel"] for i in (0, 1))

    def elu(x):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))

    h = np.asarray(conv(jnp.float32(elu(np.asarray(x))), spatial))
    np.testing.assert_allclose(found, x + elu(h) @ pointwise[0, 0], rtol=1e-5, atol=1e-5)
