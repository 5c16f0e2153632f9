"""Euclidean distances between all pairs of two sets, exact wherever a comparison depends on it.

‖x − y‖² = ‖x‖² + ‖y‖² − 2 x·y turns pairs into one product of matrices, but a distance loses the
digits that the norms have in common: all, for two points near each other and far from the rest. So
the expansion, in float64 and about the mean, only says which pairs need a closer look; those that
its rounding could misplace are decided by their difference.

Dimensions: N rows, M points, D features.
"""

from typing import NamedTuple

import numpy as np

_ROWS = 250  # of a matrix of distances in memory at a time
_NUMBERS = 2**22  # of differences in memory at a time


class Points(NamedTuple):
    """A set prepared for `near` and `closer`."""

    exact: np.ndarray  # [N, D] as given
    centred: np.ndarray  # float64 [N, D], minus an origin that all sets share
    squares: np.ndarray  # float64 [N], squared norms of these

    def of(self, rows: slice | np.ndarray) -> "Points":
        """Some of them."""
        return Points(self.exact[rows], self.centred[rows], self.squares[rows])


def prepare(points: np.ndarray, origin: np.ndarray) -> Points:
    """`[N, ...]` → `Points` about `origin [D]`: the mean of either set will do, or of both.

    Raises:
      ValueError: a number is not finite.
    """
    exact = np.asarray(points).reshape(len(points), -1)
    centred = exact.astype(np.float64) - origin
    squares = np.einsum("nd,nd->n", centred, centred)
    if not np.isfinite(squares).all():
        raise ValueError("points that are not finite have no distance")
    return Points(exact, centred, squares)


def mean(points: np.ndarray) -> np.ndarray:
    """An origin for `prepare`: `[N, ...]` → float64 `[D]`."""
    return np.asarray(points).reshape(len(points), -1).mean(axis=0, dtype=np.float64)


def blocks(count: int) -> list[slice]:
    """All rows, in parts whose matrices of distances fit into memory."""
    return [slice(start, start + _ROWS) for start in range(0, count, _ROWS)]


def expansion(x: Points, y: Points) -> tuple[np.ndarray, float]:
    """‖x_i‖² + ‖y_j‖² − 2 x_i·y_j, `[N, M]`, and by how much they may be wrong."""
    squares = (-2.0 * x.centred) @ y.centred.T
    squares += x.squares[:, None]
    squares += y.squares[None, :]
    # A sum of D products is off by D ε times the sum of their sizes, at most ‖x‖² + ‖y‖².
    rounding = 2 * (x.centred.shape[1] + 8) * np.finfo(np.float64).eps
    return squares, rounding * float(x.squares.max() + y.squares.max())


def of_pairs(x: Points, y: Points, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """‖x_i − y_j‖² of the pairs named, by their differences: int `[P]`, `[P]` → float64 `[P]`.

    The same number for the same two points, in either order and in any block.
    """
    found, size = np.empty(len(i)), max(1, _NUMBERS // max(1, x.exact.shape[1]))
    for start in range(0, len(i), size):
        part = slice(start, start + size)
        difference = np.subtract(x.exact[i[part]], y.exact[j[part]], dtype=np.float64)
        found[part] = np.square(difference, out=difference).sum(axis=1)
    return found


def near(x: Points, y: Points, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest points of each row, by index and by squared distance: both `[N, k]`.

    In ascending order, the first of equals first; k at most M.
    """
    squares, error = expansion(x, y)
    bound = np.partition(squares, k - 1, axis=1)[:, k - 1] + 2 * error
    i, j = np.nonzero(squares <= bound[:, None])
    exact = of_pairs(x, y, i, j)
    order = np.lexsort((exact, i))
    first = np.searchsorted(i, np.arange(len(x.squares)))
    chosen = order[first[:, None] + np.arange(k)]
    return j[chosen], exact[chosen]


def closer(
    x: Points, y: Points, squares: np.ndarray, error: float, radii: np.ndarray
) -> np.ndarray:
    """Where ‖x_i − y_j‖² < r_ij²: bool `[N, M]`.

    Args:
      x, y: `[N]` and `[M]` points.
      squares, error: their `expansion`.
      radii: r², `[N, 1]` or `[1, M]`, as `near` finds them. Nothing is closer than 0.
    """
    errors = np.where(radii > 0, error, -np.inf)
    within = squares < radii + errors
    doubtful = within & (squares >= radii - errors)
    i, j = np.nonzero(doubtful)
    if len(i):
        bounds = np.broadcast_to(radii, squares.shape)[i, j]
        within[i, j] = of_pairs(x, y, i, j) < bounds
    return within
