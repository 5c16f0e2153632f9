"""The trivial model of images: independent pixels.

Dimensions: M images, H W C image.
"""

import numpy as np


def pixel_means(train: np.ndarray) -> np.ndarray:
    """p_d = (Σ_i x_id + ½) / (M + 1), smoothed means: `[M, H, W, C]` → `[H, W, C]`."""
    return (train.sum(axis=0, dtype=np.float64) + 0.5) / (len(train) + 1)


def independent_pixels_nll(probabilities: np.ndarray, x: np.ndarray) -> float:
    """The mean over images of −Σ_d [x_d log p_d + (1 − x_d) log(1 − p_d)], in nats.

    Args:
      probabilities: p, `[H, W, C]` in (0, 1).
      x: `[M, H, W, C]` in [0, 1].
    """
    frequency = x.mean(axis=0, dtype=np.float64)
    terms = frequency * np.log(probabilities) + (1 - frequency) * np.log1p(-probabilities)
    return float(-terms.sum())


def shuffled_pixels(train: np.ndarray, seed: int, n: int) -> np.ndarray:
    """n images, each pixel drawn from its own values in the training set, independently.

    Args:
      train: `[M, H, W, C]`.
      seed: of the draw.
      n: how many.

    Returns:
      `[n, H, W, C]`, with the right histogram at every pixel and no shape.
    """
    chosen = np.random.default_rng(seed).integers(len(train), size=(n, *train.shape[1:]))
    return np.take_along_axis(train, chosen, axis=0)
