"""Pure functions from Linen modules."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Params


def pure_functions(**parts: Any) -> tuple[Callable[..., Any], ...]:
    """`init`, and a function for each of several modules that are trained together.

    Args:
      parts: by name, a module and the shapes of its inputs, float32, without the batch's axis.

    Returns:
      `(key) -> params`, the variables of all parts by name; and for each part, in their order,
      `(params, *inputs) -> outputs`.

    Example:
      >>> import flax.linen as nn, jax
      >>> parts = {"encoder": (nn.Dense(2), (5,)), "decoder": (nn.Dense(5), (2,))}
      >>> init, encode, decode = pure_functions(**parts)
      >>> params = init(jax.random.key(0))
      >>> decode(params, encode(params, jax.numpy.zeros((3, 5)))).shape
      (3, 5)
    """

    def init(key: Key) -> Params:
        keys = jax.random.split(key, len(parts))
        return {
            name: module.init(own, *(jnp.zeros((1, *shape), jnp.float32) for shape in shapes))
            for own, (name, (module, *shapes)) in zip(keys, parts.items(), strict=True)
        }

    def function_of(name: str, module: Any) -> Callable[..., Any]:
        return lambda params, *inputs: module.apply(params[name], *inputs)

    return init, *(function_of(name, module) for name, (module, *_) in parts.items())
