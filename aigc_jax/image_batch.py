"""What a step on images takes: images, and their labels where networks are told classes."""

from typing import Any, NamedTuple

import jax

from aigc_jax.algorithm import narrow
from aigc_jax.labels import check_labels


class Batch(NamedTuple):
    """Images with their labels. Plain images may be given in its place where there are none."""

    images: jax.Array  # [B, H, W, C] in [0, 1]
    labels: jax.Array | None = None  # int [B]


def as_batch(batch: Any, classes: int = 0) -> Batch:
    """A `Batch` from a `Batch` or from images alone, without numbers of 64 bits.

    Args:
      batch: either.
      classes: how many the networks are told; labels are dropped where it is 0.

    Raises:
      InputError: labels are needed, and are missing or no classes.
    """
    whole = batch if isinstance(batch, Batch) else Batch(batch)
    if not classes:
        return narrow(Batch(whole.images))
    return narrow(Batch(whole.images, check_labels(whole.labels, len(whole.images), classes)))
