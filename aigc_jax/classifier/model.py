"""What a classifier is made of: its networks as pure functions, and what a step reports.

Dimensions: B batch, D features, C classes, H W image, T frames of videos.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from aigc_jax.algorithm import Key, Params


class Networks(NamedTuple):
    """A classifier as two pure functions; the step knows nothing else of it.

    Neither mixes examples: what is computed of an image does not depend on its batch.

    Attributes:
      init: `(key) -> params`.
      features: `(params, images [B, H, W, channels] in [0, 1]) -> [B, D]`.
      head: `(params, features [B, D]) -> logits [B, C]`.
      image_shape: (H, W, channels), or of videos (T, H, W, channels), of the one kind of image that
        it is trained on; None for any.
      maps: `(params, images) -> [[B, h, w, D_l], …]`, what the layers before the features are; None
        where they are not told.
    """

    init: Callable[[Key], Params]
    features: Callable[[Params, jax.Array], jax.Array]
    head: Callable[[Params, jax.Array], jax.Array]
    image_shape: tuple[int, ...] | None = None
    maps: Callable[[Params, jax.Array], tuple[jax.Array, ...]] | None = None


class Info(NamedTuple):
    """Means over the whole batch as augmented, under the parameters before the update."""

    loss_nats: jax.Array
    accuracy: jax.Array
