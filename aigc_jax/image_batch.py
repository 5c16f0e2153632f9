"""What a step on images takes: images, and their labels where networks are given classes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import narrow
from aigc_jax.errors import InputError
from aigc_jax.labels import check_labels

Shape = tuple[int, int, int]  # (H, W, C)


class Batch(NamedTuple):
    """Images with their labels. Images alone may be given instead where there are none."""

    images: jax.Array  # [B, H, W, C] in [0, 1]
    labels: jax.Array | None = None  # int [B]


def check_images(images: Any, image_shape: tuple[int, ...] | None = None) -> None:
    """Refuses what is not `[B, H, W, C]`, or not of `image_shape`, which may be (T, H, W, C).

    Raises:
      InputError: says what was given.
    """
    shape = jnp.shape(images)
    wanted: tuple[Any, ...] = image_shape or ("H", "W", "C")
    if len(shape) != 1 + len(wanted) or (image_shape and tuple(image_shape) != shape[1:]):
        sides = ", ".join(map(str, wanted))
        raise InputError(f"images must be of shape [B, {sides}], got {shape}")


def as_batch(batch: Any, classes: int = 0, image_shape: Shape | None = None) -> Batch:
    """A `Batch` from a `Batch` or from images alone, without numbers of 64 bits.

    Args:
      batch: either.
      classes: how many the networks distinguish; labels are dropped where it is 0.
      image_shape: (H, W, C) that the networks are made for; None for any.

    Raises:
      InputError: images are of another shape; labels are needed, and are missing or not classes.
    """
    whole = batch if isinstance(batch, Batch) else Batch(batch)
    check_images(whole.images, image_shape)
    if not classes:
        return narrow(Batch(whole.images))
    return narrow(Batch(whole.images, check_labels(whole.labels, len(whole.images), classes)))
