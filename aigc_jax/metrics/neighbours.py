"""The nearest training image of each sample: whether a generator has learnt images by heart.

Dimensions: M training, N generated, D pixels (or features).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_ROWS, _COLUMNS = 1000, 10_000  # of a matrix of distances in memory at a time
_CANDIDATES = 8  # that float32 proposes to float64


class Neighbours(NamedTuple):
    """The nearest training image of each sample."""

    index: np.ndarray  # type: ignore[assignment]  # int [N], into the training set
    distance: np.ndarray  # float64 [N], Euclidean, in the unit of the images


class Memorisation(NamedTuple):
    """Mean distances to the nearest training image, in the unit of the images."""

    generated: float
    heldout: float
    ratio: float  # generated / heldout; nan where held-out images are training images all


def offsets(points: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """points − origin, subtracted in float64 and rounded to float32: `[N, ...]` → `[N, D]`.

    Distances do not change. What the points have in common costs their squares no digits any more,
    and with a point for an origin whole numbers stay whole.
    """
    points = np.asarray(points).reshape(len(points), -1)
    result = np.empty(points.shape, np.float32)
    # Rounded on the way, so that no float64 copy of a training set is made.
    return np.subtract(points, np.ravel(origin), out=result, dtype=np.float64, casting="unsafe")


def squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2 x_i·y_j in float32: `[N, D]`, `[M, D]` → `[N, M]`.

    The error is that of rounding the squared norms, some 1e-7 of them: see `offsets`.
    """
    # In full precision, since accelerators would round the factors and with them small distances.
    products = jnp.matmul(x, y.T, precision="highest")
    return jnp.sum(x * x, -1)[:, None] + jnp.sum(y * y, -1)[None, :] - 2.0 * products


@partial(jax.jit, static_argnames="k")
def _closest(x: jax.Array, y: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    negated, index = jax.lax.top_k(-squared_distances(x, y), k)
    return -negated, index


def nearest(train: np.ndarray, generated: np.ndarray) -> Neighbours:
    """The training image at the smallest Euclidean distance from each generated one.

        index_j = argmin_i ‖t_i − g_j‖,   distance_j = ‖t_i − g_j‖

    Products in float32 propose eight candidates, float64 differences decide among them and are what
    is returned: a copy is at distance 0 exactly.

    Args:
      train: `[M, ...]`, M ≥ 1, of any dtype; in the same unit as generated.
      generated: `[N, ...]`, of as many pixels.

    Raises:
      ValueError: there are no training images, or the images differ in size.
    """
    if not len(train) or not len(generated) or np.shape(train)[1:] != np.shape(generated)[1:]:
        message = f"no neighbours of images {np.shape(generated)} among {np.shape(train)}"
        raise ValueError(message)
    train = np.asarray(train).reshape(len(train), -1)
    generated = np.asarray(generated).reshape(len(generated), -1)
    origin = train[0]
    t = offsets(train, origin)
    blocks = [jnp.asarray(t[start : start + _COLUMNS]) for start in range(0, len(t), _COLUMNS)]
    index, distance = [], []
    for start in range(0, len(generated), _ROWS):
        g = generated[start : start + _ROWS]
        # Ascending, so that among equals the first training image is named.
        chosen = np.sort(_candidates(jnp.asarray(offsets(g, origin)), blocks), axis=1)
        exact = np.subtract(train[chosen], g[:, None], dtype=np.float64)
        distances = np.sqrt((exact * exact).sum(axis=-1))
        best = distances.argmin(axis=1)[:, None]
        index.append(np.take_along_axis(chosen, best, axis=1)[:, 0])
        distance.append(np.take_along_axis(distances, best, axis=1)[:, 0])
    return Neighbours(np.concatenate(index), np.concatenate(distance))


def _candidates(g: jax.Array, blocks: list[jax.Array]) -> np.ndarray:
    """Indices of the training images that float32 finds closest: int `[N, 8]`, or all if fewer."""
    squares, indices, start = [], [], 0
    for block in blocks:
        square, index = _closest(g, block, min(_CANDIDATES, len(block)))
        squares.append(np.asarray(square))
        indices.append(np.asarray(index) + start)
        start += len(block)
    order = np.argsort(np.concatenate(squares, axis=1), axis=1)[:, :_CANDIDATES]
    return np.take_along_axis(np.concatenate(indices, axis=1), order, axis=1)


def memorisation(train: np.ndarray, generated: np.ndarray, heldout: np.ndarray) -> Memorisation:
    """The mean nearest-training distance of samples, beside that of held-out images.

        generated = mean_j min_i ‖t_i − g_j‖,   heldout = mean_j min_i ‖t_i − h_j‖

    Held-out images are as far as new images of the same kind lie. A ratio well below 1 suggests
    copies of the training set. It does not prove them: blurred or plain images lie near to
    everything, so look at the pairs. Nor does a ratio of 1 prove novelty, where some samples are
    copies and others are noise: the distances themselves show that.

    Args:
      train: `[M, ...]`.
      generated: `[N, ...]`, in the same unit, rounded as the training set is.
      heldout: `[H, ...]`, in the same unit.

    Returns:
      Distances in the unit of the images: of pixels in [0, 1] or of grey levels, as given.

    Raises:
      ValueError: a set is empty, or the images differ in size.
    """
    mean_generated = float(nearest(train, generated).distance.mean())
    mean_heldout = float(nearest(train, heldout).distance.mean())
    ratio = mean_generated / mean_heldout if mean_heldout else float("nan")
    return Memorisation(mean_generated, mean_heldout, ratio)
