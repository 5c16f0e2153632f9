"""Many samples a block at a time, since activations take far more memory than images."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BLOCK = 1000  # rows at once


def in_blocks(function: Callable[..., Any], *rows: Any) -> Any:
    """`function(*rows)`, for a function that treats each row on its own.

    Args:
      function: from arrays with equally many rows, or trees of such arrays, to the same.
      rows: its arguments, `[n, ...]`. More than `BLOCK` rows are processed in blocks of that size,
        one after another; the last one is padded with copies of the last row.

    Returns:
      `[n, ...]`.
    """
    n = len(jax.tree.leaves(rows)[0])
    if n <= BLOCK:
        return function(*rows)
    blocks = -(-n // BLOCK)
    indices = jnp.minimum(jnp.arange(blocks * BLOCK), n - 1).reshape(blocks, BLOCK)
    found = jax.lax.map(lambda i: function(*jax.tree.map(lambda x: x[i], rows)), indices)
    return jax.tree.map(lambda x: x.reshape(blocks * BLOCK, *x.shape[2:])[:n], found)
