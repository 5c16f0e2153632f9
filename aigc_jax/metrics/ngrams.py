"""Trivial language models: counting tokens, and counting pairs of them."""

from collections.abc import Iterator

import numpy as np

_BLOCK = 2**20  # tokens that are looked up at once


def unigram_nll(train: np.ndarray, heldout: np.ndarray, vocabulary_size: int) -> float:
    """Mean −log p(x_t) in nats per token, p = (count + 1) / (total + V): no context at all.

    Args:
      train, heldout: int `[M]`; the first held-out token is not counted, as no model predicts it.
      vocabulary_size: V.
    """
    counts = np.bincount(train, minlength=vocabulary_size) + 1.0
    nll = -np.log(counts / counts.sum())
    return sum(float(nll[block[1:]].sum()) for block in _blocks(heldout)) / (len(heldout) - 1)


def bigram_nll(train: np.ndarray, heldout: np.ndarray, vocabulary_size: int) -> float:
    """Mean −log p(x_t | x_{t−1}) in nats per token, p = (count(ab) + 1) / (count(a) + V).

    Only pairs that occur are kept, since a table of V² would not fit for a large vocabulary.

    Args:
      train, heldout: int `[M]`.
      vocabulary_size: V.
    """
    before = np.bincount(train[:-1], minlength=vocabulary_size) + float(vocabulary_size)
    known, counts = np.unique(_pairs(train, vocabulary_size), return_counts=True)
    known, counts = np.append(known, -1), np.append(counts, 0)  # the last: pairs not seen
    total = 0.0
    for block in _blocks(heldout):
        pairs = _pairs(block, vocabulary_size)
        places = np.searchsorted(known[:-1], pairs)
        seen = np.where(known[places] == pairs, counts[places], 0)
        total -= float(np.log((seen + 1) / before[block[:-1]]).sum())
    return total / (len(heldout) - 1)


def _pairs(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """int64 `[M − 1]`: a number for each token and the one after it."""
    return tokens[:-1].astype(np.int64) * vocabulary_size + tokens[1:]


def _blocks(tokens: np.ndarray) -> Iterator[np.ndarray]:
    """The tokens some at a time; each block begins with the last token of the one before."""
    for i in range(0, len(tokens) - 1, _BLOCK):
        yield tokens[i : i + _BLOCK + 1]
