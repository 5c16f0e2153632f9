"""Trivial language models: counting tokens, and counting pairs of them."""

import numpy as np


def unigram_nll(train: np.ndarray, heldout: np.ndarray, vocabulary_size: int) -> float:
    """Mean −log p(x_t) in nats per token, p = (count + 1) / (total + V): no context at all.

    Args:
      train, heldout: int `[M]`; the first held-out token is not counted, as no model predicts it.
      vocabulary_size: V.
    """
    counts = np.bincount(train, minlength=vocabulary_size) + 1.0
    return float(-np.log(counts / counts.sum())[heldout[1:]].mean())


def bigram_nll(train: np.ndarray, heldout: np.ndarray, vocabulary_size: int) -> float:
    """Mean −log p(x_t | x_{t−1}) in nats per token, p = (count(ab) + 1) / (count(a) + V).

    Args:
      train, heldout: int `[M]`.
      vocabulary_size: V.
    """
    pairs = np.int64(train[:-1]) * vocabulary_size + train[1:]
    counts = np.bincount(pairs, minlength=vocabulary_size**2).reshape(vocabulary_size, -1) + 1.0
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(-log_p[heldout[:-1], heldout[1:]].mean())
