"""The nearest training image of each sample: whether a generator has memorised images.

Dimensions: M training, N generated, D pixels (or features).
"""

from typing import NamedTuple

import numpy as np

from aigc_jax.metrics.distances import blocks, mean, near, prepare

_COLUMNS = 10_000  # training images in float64 at a time


class Neighbours(NamedTuple):
    """The nearest training image of each sample."""

    index: np.ndarray  # type: ignore[assignment]  # int [N], into the training set
    distance: np.ndarray  # float64 [N], Euclidean, in the unit of the images


class Memorisation(NamedTuple):
    """Mean distances to the nearest training image, in the unit of the images."""

    generated: float
    heldout: float
    ratio: float  # generated / heldout; nan where held-out images are training images all


def nearest(train: np.ndarray, generated: np.ndarray) -> Neighbours:
    """The training image at the smallest Euclidean distance from each generated one.

        index_j = argmin_i ‖t_i − g_j‖,   distance_j = ‖t_i − g_j‖

    Exact, see `distances`: a copy is at distance 0.

    Args:
      train: `[M, ...]`, M ≥ 1, of any dtype; in the same unit as generated.
      generated: `[N, ...]`, of as many pixels.

    Raises:
      ValueError: there are no training images, or the images differ in size.
    """
    if not len(train) or not len(generated) or np.shape(train)[1:] != np.shape(generated)[1:]:
        message = f"no neighbours of images {np.shape(generated)} among {np.shape(train)}"
        raise ValueError(message)
    origin = mean(generated)
    g = prepare(generated, origin)
    index, squares = np.zeros(len(generated), np.int64), np.full(len(generated), np.inf)
    for start in range(0, len(train), _COLUMNS):
        t = prepare(train[start : start + _COLUMNS], origin)
        for rows in blocks(len(generated)):
            found, square = (array[:, 0] for array in near(g.of(rows), t, 1))
            # Ties go to the first training image.
            better = square < squares[rows]
            index[rows] = np.where(better, start + found, index[rows])
            squares[rows] = np.where(better, square, squares[rows])
    return Neighbours(index, np.sqrt(squares))


def memorisation(train: np.ndarray, generated: np.ndarray, heldout: np.ndarray) -> Memorisation:
    """The mean nearest-training distance of samples, and that of held-out images.

        generated = mean_j min_i ‖t_i − g_j‖,   heldout = mean_j min_i ‖t_i − h_j‖

    Held-out images show how far away new images of the same kind are. A ratio well below 1 suggests
    copies of the training set. It does not prove them: blurred or plain images are near
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
