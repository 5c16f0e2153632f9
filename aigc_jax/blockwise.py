"""Many samples a block at a time, since activations take far more memory than images."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BLOCK = 1000  # rows at once


def in_blocks(function: Callable[..., Any], *rows: Any, block: int | None = None) -> Any:
    """`function(*rows)`, for a function that treats each row on its own.

    Args:
      function: from arrays with equally many rows, or trees of such arrays, to the same.
      rows: its arguments, `[n, ...]`. More than a block of rows are processed block by block; the
        last one is padded with copies of the last row.
      block: rows at once; None: `BLOCK`.

    Returns:
      `[n, ...]`.
    """
    n, size = len(jax.tree.leaves(rows)[0]), BLOCK if block is None else block
    if n <= size:
        return function(*rows)
    blocks = -(-n // size)
    indices = jnp.minimum(jnp.arange(blocks * size), n - 1).reshape(blocks, size)
    found = jax.lax.map(lambda i: function(*jax.tree.map(lambda x: x[i], rows)), indices)
    return jax.tree.map(lambda x: x.reshape(blocks * size, *x.shape[2:])[:n], found)
