"""The contract that every family keeps, and the type aliases that its signatures are written in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from aigc_jax.errors import InputError

Key = jax.Array  # a typed PRNG key, as jax.random.key makes it: shape []
Keys = jax.Array  # one such key for each example: shape [B]
Params = Any  # a pytree of arrays
State = Any  # a NamedTuple of arrays
Info = Any  # a NamedTuple of float32 scalars, each in the unit that its name states


def narrow(tree: Any) -> Any:
    """The tree without 64-bit numbers: what JAX makes of it unless `jax_enable_x64` is set.

    A step converts its batch with this: one wide array would widen the state, and a `scan` body
    must not change the state's dtypes.

    Raises:
      InputError: an integer is known, and its value would change.
    """
    narrower: dict[Any, str] = {
        np.dtype(f"{kind}64"): f"{kind}32" for kind in ("float", "int", "uint")
    }

    def narrowed(x: Any) -> Any:
        dtype = narrower.get(getattr(x, "dtype", None))
        if dtype is None:
            return x
        narrow = x.astype(dtype)
        known = not isinstance(x, jax.core.Tracer)
        if known and np.issubdtype(x.dtype, np.integer) and (narrow != x).any():
            raise InputError(f"a batch holds integers that do not fit into {dtype}")
        return narrow

    return jax.tree.map(narrowed, tree)


class Algorithm(NamedTuple):
    """Three pure functions that share a state made of arrays and nothing else.

    What cannot sample has no `sample`: a `classifier.Classifier` or a `transformer.Translator` has
    the first two functions and others of its own.

    `step` is a `scan` body. All its randomness comes from `fold_in(state.key, state.step)` and from
    each example's index in the whole batch, so the numbers are the same under `jit`, `scan`,
    `vmap`, `pmap`, `shard_map` and a sharded `jit`.

    Attributes:
      init: `(key) -> state`.
      step: `(state, batch, axis_name=None) -> (state, info)`. With `axis_name`, the batch is this
        device's shard, and sums are taken over that mapped axis before they are divided.
      sample: `(state, key, n, ...) -> artefacts`.
    """

    init: Callable[[Key], State]
    step: Callable[..., tuple[State, Info]]
    sample: Callable[..., Any]
