"""A classifier's outputs for a whole set of images or videos, in chunks that bound the memory.

Dimensions: M images, T frames of videos, H W image, D features, C classes.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Params
from aigc_jax.classifier.losses import cross_entropy
from aigc_jax.classifier.model import Networks

_CHUNKS = {4: 100, 5: 20}  # by axes: images, and videos


class Description(NamedTuple):
    """Of M images."""

    features: np.ndarray  # float32 [M, D]
    logits: np.ndarray  # float32 [M, C]

    @property
    def labels(self) -> np.ndarray:
        """The likeliest class of each image: int64 `[M]`."""
        return self.logits.argmax(-1)

    def nll(self, labels: np.ndarray) -> np.ndarray:
        """−log p(label|image) of labels `[M]`: `[M]` nats."""
        return np.asarray(cross_entropy(jnp.asarray(self.logits), jnp.asarray(labels)))


@partial(jax.jit, static_argnames="networks")
def _describe(params: Params, images: jax.Array, networks: Networks) -> tuple:
    features = networks.features(params, images.astype(jnp.float32) / 255)
    return features, networks.head(params, features)


def describe(
    params: Params, images: np.ndarray, *, networks: Networks, chunk: int | None = None
) -> Description:
    """Features and logits of a set of images, with one program for sets of any size.

    Args:
      params: of `networks`.
      images: uint8 `[M, H, W, channels]`, or videos `[M, T, H, W, channels]`, M ≥ 1.
      networks: the network.
      chunk: images in a pass; the last one is padded with blank images. None: 100 images, or 20
        videos. With more, temporary arrays outgrow what the C library keeps for reuse, and half of
        the time goes into allocating them again: 10,000 digits take 0.9 s in hundreds and 2.6 in
        thousands (2 CPU cores).
    """
    chunk = chunk or _CHUNKS[images.ndim]
    blanks = np.zeros((-len(images) % chunk, *images.shape[1:]), np.uint8)
    parts = []
    for i in range(0, len(images), chunk):
        part = images[i : i + chunk]
        if len(part) < chunk:
            part = np.concatenate([part, blanks])
        parts.append(_describe(params, part, networks))
    features, logits = (
        np.concatenate(arrays)[: len(images)] for arrays in zip(*parts, strict=True)
    )
    return Description(features, logits)
