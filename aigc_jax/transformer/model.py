"""What a Transformer is made of: its networks as pure functions, and what they read.

Dimensions: B batch, T positions, S source positions, D width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Params
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.settings import Settings, setting
from aigc_jax.transformer.generation import Extend


class Source(NamedTuple):
    """What an encoder reads."""

    tokens: jax.Array  # int32 [B, S]
    segments: jax.Array  # int32 [B, S], from 1: of which sequence, see Batch; 0: padding
    positions: jax.Array | None = None  # int32 [B, S], within the segment; None: within the row


class Batch(NamedTuple):
    """What a model reads, and what it is to predict at each position."""

    inputs: jax.Array  # int32 [B, T]
    labels: jax.Array  # int32 [B, T]: what comes next
    weights: jax.Array  # float32 [B, T]: 1 for each label that counts, 0 for padding
    # Sequences packed into a row see only themselves, each in its own part of the source.
    segments: jax.Array | None = None  # int32 [B, T], from 1; 0: padding; None: one sequence
    positions: jax.Array | None = None  # int32 [B, T], within the segment; None: within the row
    prefix: jax.Array | None = None  # int32 [B]: this many first tokens are bidirectional
    source: Source | None = None  # what an encoder reads: where there is one, it must be given


class Cache(NamedTuple):
    """Keys and values of the tokens so far; every array has the rows on its first axis."""

    layers: Any  # as the networks have it
    source: jax.Array | None = None  # bool [B, 1, 1, S]: which source tokens there are


class Networks(NamedTuple):
    """A Transformer as pure functions; the step knows nothing else about it.

    Attributes:
      init: `(key) -> params`.
      hidden: `(params, batch, keys [B] or None) -> states [B, T, D]`; states at t depend on inputs
        up to t, and on the source. `keys` are dropout's: None drops nothing.
      logits: `(params, states [..., D]) -> float32 [..., V]`.
      start: `(params, rows, length, source or None) -> cache` of `length` slots in each row; with
        an encoder there must be a source, of as many rows.
      grow: `(cache, length) -> cache`, with `length` slots in each row, the old ones first.
      extend: `(params, cache, tokens [B, T], positions [B, T], prefix [B] or None) -> (states,
        cache)`: the states of further tokens, which see the slots up to their own.
      vocabulary_size: V.
      context: the greatest T.
      own_logits: of a model that reads R sequences side by side, rows R by R, of which sequence r
        has the K tokens from r K on for itself: `(params, states [B R, T, D], K) -> float32
        [B R, T, K]`, those of its own tokens alone. None: they are to be found among all.
    """

    init: Callable[[Key], Params]
    hidden: Callable[..., jax.Array]
    logits: Callable[[Params, jax.Array], jax.Array]
    start: Callable[..., Cache]
    grow: Callable[[Cache, int], Cache]
    extend: Callable[..., tuple[jax.Array, Cache]]
    vocabulary_size: int
    context: int
    own_logits: Callable[[Params, jax.Array, int], jax.Array] | None = None


def extender(params: Params, networks: Networks, prefix: jax.Array | None = None) -> Extend:
    """What the decoding core needs of a model: `(cache, tokens, positions) -> (logits, cache)`.

    Args:
      params: of `networks`.
      networks: the network.
      prefix: int `[B]`, tokens at the beginning of each row that are attended bidirectionally.
    """

    def extend(cache, tokens, positions):
        states, cache = networks.extend(params, cache, tokens, positions, prefix)
        return networks.logits(params, states), cache

    return extend


@dataclass(frozen=True, repr=False)
class Objective(Settings):
    """What is minimised beyond the plain loss; see `losses.regularised_nll` and `in_chunks`."""

    smoothing: float = setting(
        0.0, "Share of each label that is spread over all symbols.", least=0, below=1
    )
    z_weight: float = setting(
        0.0, "Weight of the penalty that keeps the softmax's normaliser near 1.", least=0
    )
    chunk: int | None = setting(
        None, "Positions whose logits exist at once, for large vocabularies. Default: all."
    )


PLAIN = Objective()


class Info(NamedTuple):
    """Sums and means over the whole batch, under the parameters before the update."""

    nll_nats: jax.Array  # mean over counted tokens, of the plain loss
    tokens: jax.Array  # how many were counted
    gradient_norm: jax.Array  # the global L2 norm, before any clipping


def padded_source(tokens: jax.Array, lengths: jax.Array) -> Source:
    """Sources `[B, S]` that are padded on the right, of which row b has `lengths[b]` tokens."""
    present = jnp.arange(tokens.shape[1])[None] < lengths[:, None]
    return Source(tokens, present.astype(jnp.int32))


def next_tokens(tokens: jax.Array, weights: jax.Array | None = None) -> Batch:
    """The batch in which each token of a text is predicted from those before it.

    Args:
      tokens: int `[B, T + 1]`.
      weights: `[B, T]`; None counts all.
    """
    labels = tokens[:, 1:]
    return Batch(
        tokens[:, :-1], labels, jnp.ones(labels.shape, jnp.float32) if weights is None else weights
    )


def packed_documents(rows: Sequence[jax.Array]) -> Batch:
    """The batch of rows as `pack_documents` gives them, without its count."""
    inputs, labels, weights, segments, positions = rows
    return Batch(inputs, labels, weights, segments, positions)


def check_batch(batch: Batch, vocabulary_size: int) -> None:
    """Refuses a batch whose arrays do not fit each other, or the vocabulary.

    Raises:
      InputError: names the array.
    """
    if not isinstance(batch, Batch):
        raise InputError("batch must be a transformer.Batch, as next_tokens(tokens) makes one")
    shape = jnp.shape(batch.inputs)
    if len(shape) != 2 or not shape[1]:
        raise InputError(f"inputs must be of shape [B, T], T at least 1, got {shape}")
    expected = dict.fromkeys(("labels", "weights", "segments", "positions"), shape)
    for name, wanted in {**expected, "prefix": shape[:1]}.items():
        array = getattr(batch, name)
        if array is not None and jnp.shape(array) != wanted:
            raise InputError(f"{name} must be of shape {wanted}, got {jnp.shape(array)}")
    check_choices("inputs", batch.inputs, vocabulary_size)
    check_choices("labels", batch.labels, vocabulary_size)
    if batch.source is not None:
        read = jnp.shape(batch.source.tokens)
        if read[:1] != shape[:1]:
            raise InputError(f"source.tokens must be of shape [{shape[0]}, S], got {read}")


def check_source(source: Source | None, vocabulary_size: int) -> None:
    """Refuses a source that no encoder can read.

    Raises:
      InputError: says what is wrong with which of its arrays.
    """
    if source is None:
        raise InputError("source is missing: a model with an encoder needs a transformer.Source")
    if not isinstance(source, Source):
        raise InputError(f"source must be a transformer.Source, got {_kind(source)}")
    shape = jnp.shape(source.tokens)
    if len(shape) != 2 or not shape[1]:
        raise InputError(f"source.tokens must be of shape [B, S], S at least 1, got {shape}")
    for name in ("segments", "positions"):
        own = getattr(source, name)
        if own is not None and jnp.shape(own) != shape:
            raise InputError(f"source.{name} must be of shape {shape}, got {jnp.shape(own)}")
    check_choices("source.tokens", source.tokens, vocabulary_size)


def _kind(value: Any) -> str:
    return f"an array of shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
