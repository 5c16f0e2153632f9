"""The kernel distance between two sets of features: an unbiased MMD² with a cubic kernel.

Dimensions: n and m points, D features.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_ROWS = 1000  # of a kernel matrix in memory at a time


class Kid(NamedTuple):
    """A mean over subsets, and how far chance alone moves it."""

    value: float
    standard_error: float  # nan where there is a single subset


class _Points(NamedTuple):
    """Points about an origin c, and what the kernel needs of c."""

    centred: np.ndarray  # z − c [n, D]
    along: np.ndarray  # (z − c)·c / D [n]
    constant: float  # a = ‖c‖² / D + 1


def _kernel(x: _Points, y: _Points) -> np.ndarray:
    """(x_i·y_j / D + 1)³ − a³: `[n, m]`."""
    b = x.centred @ y.centred.T / x.centred.shape[1]
    b += x.along[:, None]
    b += y.along[None, :]
    return _cubes(b, x.constant)


def _kernel_sum(x: _Points, y: _Points) -> float:
    """Σ_ij k(x_i, y_j) − a³."""
    return float(sum(_kernel(part, y).sum() for part in _blocks(x)))


def _kernel_trace(x: _Points) -> float:
    b = np.square(x.centred).sum(axis=1) / x.centred.shape[1] + 2.0 * x.along
    return float(_cubes(b, x.constant).sum())


def _cubes(b: np.ndarray, a: float) -> np.ndarray:
    """(a + b)³ − a³."""
    return b * (3.0 * a * a + b * (3.0 * a + b))


def _about(points: np.ndarray, origin: np.ndarray) -> _Points:
    centred, size = points - origin, len(origin)
    return _Points(centred, centred @ origin / size, float(origin @ origin) / size + 1.0)


def _blocks(x: _Points) -> Iterator[_Points]:
    for start in range(0, len(x.along), _ROWS):
        rows = slice(start, start + _ROWS)
        yield x._replace(centred=x.centred[rows], along=x.along[rows])


def mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy, k(a, b) = (a·b / D + 1)³, in float64.

        1/(n(n−1)) Σ_{i≠j} k(x_i, x_j) + 1/(m(m−1)) Σ_{i≠j} k(y_i, y_j) − 2/(nm) Σ_ij k(x_i, y_j)

    Unbiased, so it falls slightly below 0 about half of the time where the sets come from one
    distribution. The kernel sees the first three moments.

    It is computed about the mean c of all points. What their products have in common, a³ with
    a = ‖c‖² / D + 1, cancels between the three means, and would cost sets that are far from 0 most
    of their digits.

    Args:
      x: `[n, D]`, n ≥ 2.
      y: `[m, D]`, m ≥ 2.

    Raises:
      ValueError: not two matrices of equal D, or a set of fewer than two points.

    Source: Gretton et al. 2012; the kernel of Bińkowski et al. 2018,
    https://arxiv.org/abs/1801.01401.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        message = f"mmd2 needs [n, D] and [m, D] with n, m >= 2, got {x.shape} and {y.shape}"
        raise ValueError(message)
    n, m = len(x), len(y)
    origin = (x.sum(axis=0) + y.sum(axis=0)) / (n + m)
    p, q = _about(x, origin), _about(y, origin)
    within_x = (_kernel_sum(p, p) - _kernel_trace(p)) / (n * (n - 1))
    within_y = (_kernel_sum(q, q) - _kernel_trace(q)) / (m * (m - 1))
    return within_x + within_y - 2.0 * _kernel_sum(p, q) / (n * m)


def kid(
    x: np.ndarray,
    y: np.ndarray,
    subset_size: int = 1000,
    subsets: int | None = None,
    seed: int = 0,
) -> Kid:
    """The mean of `mmd2` over disjoint subsets, called KID for short.

    Each set is permuted once and cut into consecutive pieces; the i-th pieces are compared. Papers
    draw subsets afresh each time, so that theirs overlap and their spread says little about the
    error. Disjoint pieces are independent: the standard error, s/√S over S pieces, is honest. What
    does not fill a piece is left out. The value is in expectation the same at every subset size.

    Features are of this package's own classifiers: values in papers are not comparable.

    Args:
      x: `[n, D]`.
      y: `[m, D]`.
      subset_size: points in a piece; no more than n and m are taken.
      subsets: the most pieces to take; None takes all min(n, m) // subset_size.
      seed: of the permutations.

    Raises:
      ValueError: as `mmd2`, or fewer than one subset or two points in each.
    """
    size = min(subset_size, len(x), len(y))
    if size < 2 or (subsets is not None and subsets < 1):
        message = f"kid needs subsets of 2 points or more, got {subsets} of {size}"
        raise ValueError(message)
    count = min(len(x), len(y)) // size
    count = count if subsets is None else min(count, subsets)
    draw = np.random.default_rng(seed)
    pieces_x = draw.permutation(len(x))[: count * size].reshape(count, size)
    pieces_y = draw.permutation(len(y))[: count * size].reshape(count, size)
    values = [mmd2(x[i], y[j]) for i, j in zip(pieces_x, pieces_y, strict=True)]
    error = np.std(values, ddof=1) / math.sqrt(count) if count > 1 else math.nan
    return Kid(float(np.mean(values)), float(error))
