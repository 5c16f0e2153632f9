"""Stacked-MNIST: three digits as the colours of one image, which makes a thousand modes to count.

Dimensions: M images, N digits, H W digit.
"""

from typing import NamedTuple

import numpy as np

from aigc_jax.errors import InputError

TRAIN, HELDOUT = 128_000, 10_000  # triples drawn from the training digits, and from the test digits
MODES = 1000

_SEED = 1000
_BLOCK = 1000  # triples composed at once, which bounds the memory beyond the result's


class Stacked(NamedTuple):
    """Triples of digits."""

    images: np.ndarray  # uint8 [M, H, W, 3]
    labels: np.ndarray  # uint16 [M], 0 … 999


def stack(digits: np.ndarray, labels: np.ndarray, triples: int) -> Stacked:
    """Draws triples of digits, with replacement, and lays each out as red, green and blue.

    The label of a triple of the digits a, b, c is 100a + 10b + c. Which triples are drawn depends
    on nothing but N and how many are asked for.

    Args:
      digits: uint8 `[N, H, W, 1]`.
      labels: integers `[N]` in 0 … 9.
      triples: M.

    Returns:
      The triples; those of the real digits take 2,352 bytes each.

    Raises:
      InputError: a label is above 9.

    Source: the Stacked-MNIST of Metz et al., "Unrolled generative adversarial networks" (2017), at
    the 128,000 training images of Lin et al., "PacGAN" (2018).
    """
    if labels.max() > 9:
        raise InputError(f"stacked_mnist is made of the digits 0 to 9; a label is {labels.max()}")
    count, height, width, _ = digits.shape
    chosen = np.random.default_rng([_SEED, triples]).integers(count, size=(triples, 3))
    images = np.empty((triples, height, width, 3), np.uint8)
    for i in range(0, triples, _BLOCK):
        images[i : i + _BLOCK] = digits[chosen[i : i + _BLOCK], ..., 0].transpose(0, 2, 3, 1)
    return Stacked(images, labels[chosen].astype(np.uint16) @ np.array([100, 10, 1], np.uint16))
