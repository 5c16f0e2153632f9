"""How the tokens of a text are trained on: windows of one text, or rows packed with documents."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.data.documents import cut
from aigc_jax.data.packing import pack_documents
from aigc_jax.transformer import Batch, next_tokens, packed_documents


class Batching(NamedTuple):
    """How a text is trained on, as `Task` takes it."""

    data: Any
    examples: int
    gather: Callable[[Any, Any], Batch]  # (data, indices [B] or fetched) -> batch
    fetch: Callable[[np.ndarray], np.ndarray] = lambda indices: indices


def windows_of(tokens: np.ndarray, context: int) -> Batching:
    """Windows of a text by where they begin: cut on the device, or on the host if the text is on
    disk.
    """
    length, examples = context + 1, len(tokens) - context
    if not isinstance(tokens, np.memmap):
        return Batching(
            tokens, examples, lambda data, starts: next_tokens(windows_at(data, starts, length))
        )

    def fetch(starts: np.ndarray) -> np.ndarray:
        return np.asarray(tokens[starts[..., None] + np.arange(length)], np.int32)

    return Batching((), examples, lambda _, rows: next_tokens(rows), fetch)


def windows_at(tokens: jax.Array, starts: jax.Array, length: int) -> jax.Array:
    """Row b is the `length` tokens from `starts[b]` on: int `[M]`, int `[B]` → `[B, length]`."""
    return tokens[starts[:, None] + jnp.arange(length)[None]]


def rows_of(tokens: np.ndarray, end: int, context: int) -> Batching:
    """Documents, several to a row, each of which attends only to itself.

    Args:
      tokens: as `documents.encoded` gives them.
      end: the token that separates them.
      context: of a row; a longer document is cut into parts that do not see each other.
    """
    packed = pack_documents(cut(tokens, end), context)[:-1]
    return Batching(
        packed, len(packed[0]), lambda data, rows: packed_documents([x[rows] for x in data])
    )
