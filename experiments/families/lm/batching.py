"""How the tokens of a text are trained on: windows of one text, or rows packed with documents."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.data.documents import cut
from aigc_jax.data.packing import pack_documents
from aigc_jax.transformer import Batch, MaskedBatch, all_maskable, next_tokens, packed_documents


class Batching(NamedTuple):
    """How a text is trained on, as `Task` takes it."""

    data: Any
    examples: int
    gather: Callable[[Any, Any], Batch | MaskedBatch]  # (data, indices [B] or fetched) -> batch
    fetch: Callable[[np.ndarray], np.ndarray] = lambda indices: indices


def windows_of(tokens: np.ndarray, context: int, masked: bool = False) -> Batching:
    """Windows of a text by where they begin: cut on the device, or on the host if the text is on
    disk.

    Args:
      tokens: of the text, `[M]`.
      context: T.
      masked: whether T tokens are to be filled in; else each of T is predicted from those before
        it, the first of T + 1 being given.
    """
    batch_of: Callable[[Any], Batch | MaskedBatch] = all_maskable if masked else next_tokens
    length = context if masked else context + 1
    examples = len(tokens) - length + 1
    if not isinstance(tokens, np.memmap):
        return Batching(
            tokens, examples, lambda data, starts: batch_of(windows_at(data, starts, length))
        )

    def fetch(starts: np.ndarray) -> np.ndarray:
        return np.asarray(tokens[starts[..., None] + np.arange(length)], np.int32)

    return Batching((), examples, lambda _, rows: batch_of(rows), fetch)


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
