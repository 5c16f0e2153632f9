"""Pure functions from Linen modules."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.nn.functions import pure_functions


class Sum(nn.Module):
    """x W + y V."""

    @nn.compact
    def __call__(self, x, y):
        return nn.Dense(3, use_bias=False)(x) + nn.Dense(3, use_bias=False)(y)


def test_each_part_has_parameters_of_its_own_under_its_name(rng):
    init, later, first = pure_functions(later=(Sum(), (3,), (2,)), first=(nn.Dense(3), (3,)))
    params = init(jax.random.key(0))
    assert sorted(params) == ["first", "later"]
    keys = jax.random.split(jax.random.key(0))
    expected = nn.Dense(3).init(keys[1], jnp.zeros((1, 3)))["params"]["kernel"]
    np.testing.assert_array_equal(params["first"]["params"]["kernel"], expected)
    x, y = (jnp.float32(rng.normal(size=(4, size))) for size in (3, 2))
    kernels = [params["later"]["params"][f"Dense_{i}"]["kernel"] for i in (0, 1)]
    np.testing.assert_allclose(later(params, x, y), x @ kernels[0] + y @ kernels[1], rtol=1e-5)
    np.testing.assert_allclose(first(params, x), x @ expected, rtol=1e-5)
