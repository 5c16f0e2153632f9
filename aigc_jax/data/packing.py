"""Rows of a fixed length from sequences of many lengths, so that one program serves them all.

Training packs several sequences into a row; decoding sorts them into batches of similar length.
What a row says of its sequences:

    tokens     7  8  9  3  4  0     0 where it is empty
    segments   1  1  1  2  2  0     which sequence, from 1; attention stays within a segment
    positions  0  1  2  0  1  0     from 0 within each

Dimensions: N sequences, R rows, S source length, T target length.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from aigc_jax.errors import InputError

# Sequences that are fitted against each other: enough to fill rows well, and few enough for rows to
# be a random mixture of the data rather than runs of one length.
WINDOW = 4096

Length = TypeVar("Length", int, np.ndarray)


class PackedDocuments(NamedTuple):
    """Documents in rows. Where nothing is to be predicted, all of them are 0."""

    inputs: np.ndarray  # int32 [R, T]: a document without its last token
    labels: np.ndarray  # int32 [R, T]: without its first, so what is to follow each input
    weights: np.ndarray  # float32 [R, T]: 1 where there is a label
    segments: np.ndarray  # int32 [R, T]
    positions: np.ndarray  # int32 [R, T]
    dropped: int  # documents of fewer than two tokens, none of which is predicted


class PackedPairs(NamedTuple):
    """Pairs in rows. A pair has the same segment, in the same row, of source and of target."""

    sources: np.ndarray  # int32 [R, S]
    source_segments: np.ndarray  # int32 [R, S]
    source_positions: np.ndarray  # int32 [R, S]
    inputs: np.ndarray  # int32 [R, T], as are all that follow, as for documents
    labels: np.ndarray
    weights: np.ndarray  # float32 [R, T]
    segments: np.ndarray
    positions: np.ndarray
    dropped: int  # pairs with a side that is too long for a row


def pack_pairs(
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    source_length: int,
    target_length: int,
    seed: int = 0,
) -> PackedPairs:
    """Packs pairs, for encoders and decoders that attend within a segment, as if each were alone.

    Args:
      sources: N int arrays `[≥ 1]`.
      targets: N int arrays `[≥ 2]`, from the begin token to the end token. A target of M tokens
        takes M − 1 places: it is input up to the last but one, and label from the second on.
      source_length: S.
      target_length: T.
      seed: of the order in which pairs are put into rows.

    Returns:
      Every pair except those dropped, once. Within a window of rows the longest come first, so rows
      are to be shuffled, as by `batches.shuffled`.

    Raises:
      ValueError: N differs, or a sequence is too short.
    """
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources for {len(targets)} targets")
    sizes = np.stack([_lengths(sources), _lengths(targets) - 1], axis=1)
    if (sizes < 1).any():
        pair = int((sizes < 1).any(axis=1).argmax())
        raise ValueError(f"pair {pair}: a source needs at least one token, and a target two")
    capacity = np.array([source_length, target_length])
    fitting = np.flatnonzero((sizes <= capacity[None]).all(axis=1))
    order, rows = _fit(sizes, fitting, capacity, seed)
    source = _lay([sources[i] for i in order], rows, source_length)
    target = _lay_shifted([targets[i] for i in order], rows, target_length)
    return PackedPairs(*source, *target, dropped=len(sources) - len(fitting))


def pack_documents(documents: Sequence[np.ndarray], length: int, seed: int = 0) -> PackedDocuments:
    """Packs documents, for language models that attend within a segment, as if each were alone.

    A document of more than T + 1 tokens is cut into pieces that predict T tokens each, the last one
    what is left. The last token of a piece is the next one's first, so that every token but the
    document's first is predicted once; a piece is a segment and sees no other.

    Args:
      documents: int arrays, with whatever tokens begin and end them.
      length: T.
      seed: of the order in which pieces are put into rows.

    Returns:
      Every document except those dropped, once; rows are to be shuffled, as those of `pack_pairs`.
    """
    long_enough = [document for document in documents if len(document) >= 2]
    pieces = [
        document[start : start + length + 1]
        for document in long_enough
        for start in range(0, len(document) - 1, length)
    ]
    sizes = _lengths(pieces)[:, None] - 1
    order, rows = _fit(sizes, np.arange(len(pieces)), np.array([length]), seed)
    laid = _lay_shifted([pieces[i] for i in order], rows, length)
    return PackedDocuments(*laid, dropped=len(documents) - len(long_enough))


def fill(segments: np.ndarray) -> float:
    """The share of places that hold a token, in [0, 1]; nan of no rows."""
    return float(np.mean(segments > 0)) if segments.size else float("nan")


def bucket_by_length(lengths: np.ndarray, tokens_per_batch: int, multiple: int) -> list[np.ndarray]:
    """Sorts sequences into batches that waste little when each is padded to its bucket's length.

    A sequence of length l is of the bucket L = multiple × ⌈l / multiple⌉ (L = multiple when empty),
    and a batch is of one bucket: ⌊tokens_per_batch / L⌋ rows, the bucket's last batch what is left.
    So there are at most two shapes to compile for each bucket; one, if that batch is padded too.

    Args:
      lengths: int `[N]`.
      tokens_per_batch: the most that rows × L may be.
      multiple: what lengths are padded to a multiple of.

    Returns:
      int32 arrays of indices into `lengths`, the shortest first; every index in one of them, once.

    Raises:
      InputError: a single sequence is above `tokens_per_batch`.
    """
    lengths = np.asarray(lengths)
    buckets = padded_length(np.maximum(lengths, 1), multiple)
    if len(lengths) and buckets.max() > tokens_per_batch:
        message = f"a sequence of {lengths.max()} tokens, {buckets.max()} with padding"
        raise InputError(f"{message}, is above the {tokens_per_batch} tokens of a batch")
    batches = []
    for bucket in np.unique(buckets):
        members = np.flatnonzero(buckets == bucket).astype(np.int32)
        members = members[np.argsort(lengths[members], kind="stable")]
        rows = tokens_per_batch // bucket
        batches += [members[i : i + rows] for i in range(0, len(members), rows)]
    return batches


def padded_length(length: Length, multiple: int) -> Length:
    """⌈length / multiple⌉ × multiple, of one length or of an array of them."""
    return -(-length // multiple) * multiple


def _lengths(sequences: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(sequence) for sequence in sequences], np.int64)


def _fit(
    sizes: np.ndarray, chosen: np.ndarray, capacity: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """First-fit decreasing, within windows of a random order.

    Args:
      sizes: int `[N, D]`: what a sequence takes of each of D lengths, one or two.
      chosen: int `[M]`, indices of sequences that fit into a row.
      capacity: int `[D]`, the lengths of a row.
      seed: of the order.

    Returns:
      The chosen in order of their rows, and the row of each: int `[M]` both.
    """
    shuffled = np.random.default_rng(seed).permutation(chosen)
    rows = np.empty(len(chosen), np.int64)
    opened = 0
    for start in range(0, len(chosen), WINDOW):
        window = shuffled[start : start + WINDOW]
        largest = (sizes[window] / capacity[None]).max(axis=1)
        window[:] = window[np.argsort(-largest, kind="stable")]
        rows[start : start + len(window)] = opened + _first_fit(sizes[window], capacity)
        opened = rows[start : start + len(window)].max() + 1
    by_row = np.argsort(rows, kind="stable")
    return shuffled[by_row], rows[by_row]


def _first_fit(sizes: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """The first row that has room for each in turn: int `[M, D]` → int `[M]`."""
    rows = np.empty(len(sizes), np.int64)
    free = np.tile(capacity[:, None], len(sizes))  # of each length, in each row
    opened = 0
    for i, size in enumerate(sizes):
        rows[i] = row = (free[:, : opened + 1] >= size[:, None]).all(axis=0).argmax()
        free[:, row] -= size
        opened = max(opened, row + 1)
    return rows


def _lay(
    sequences: list[np.ndarray], rows: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lays sequences one after another into their rows, whose numbers never decrease.

    Returns:
      Tokens, segments and positions, int32 `[R, length]`.
    """
    lengths = _lengths(sequences)
    count = int(rows[-1]) + 1 if len(rows) else 0
    first = np.searchsorted(rows, np.arange(count))  # sequence of each row
    before = np.cumsum(lengths) - lengths  # tokens in all sequences before
    starts = rows * length + before - before[first][rows]
    positions = np.arange(lengths.sum()) - np.repeat(before, lengths)
    places = np.repeat(starts, lengths) + positions
    laid = np.zeros((3, count * length), np.int32)
    if count:
        laid[0, places] = np.concatenate(sequences)
    laid[1, places] = np.repeat(np.arange(len(rows)) - first[rows] + 1, lengths)
    laid[2, places] = positions
    tokens, segments, positions = laid.reshape(3, count, length)
    return tokens, segments, positions


def _lay_shifted(
    sequences: list[np.ndarray], rows: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, labels, weights, segments and positions, `[R, length]` each."""
    inputs, segments, positions = _lay([sequence[:-1] for sequence in sequences], rows, length)
    labels, _, _ = _lay([sequence[1:] for sequence in sequences], rows, length)
    return inputs, labels, (segments > 0).astype(np.float32), segments, positions
