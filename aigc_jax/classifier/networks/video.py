"""A network for videos: convolutions over each frame beside the one before, and a mean over time.

Dimensions: B batch, T frames, H W C frame, W width, D features, K kinds of one thing.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import narrow
from aigc_jax.classifier.model import Networks
from aigc_jax.classifier.networks.image import padded
from aigc_jax.convolution import average_pool, conv, conv_down, conv_max_pool
from aigc_jax.layers import Convolution, Dense
from aigc_jax.nn.functions import pure_functions

LARGEST = 64  # pixels, which the shorter side of a frame must stay below when convolutions begin


class Features(nn.Module):
    """(frame, frame before) → convolutions → maximum over places → dense → mean over time → dense.

    The maximum makes a digit the same wherever it is, and the mean makes it the same whenever. What
    moves is seen in two frames at once. Frames of 64 pixels are halved by means of 2×2 first,
    larger ones more often. The last activations are ELUs: of ReLUs, 12 to 18 of 32 features were 0
    for all videos. At one channel, width 16 and 32 features: 33,264 parameters.

    Attributes:
      width: W, the channels of the first convolution.
      features: D.
    """

    width: int
    features: int

    @nn.compact
    def __call__(self, videos: jax.Array) -> jax.Array:
        """`[B, T, H, W, C]`, T ≥ 2 → `[B, D]`."""
        batch, times = len(videos), videos.shape[1] - 1
        x = videos.reshape(-1, *videos.shape[2:])
        while min(x.shape[1:3]) >= LARGEST:
            x = average_pool(padded(x, 2))
        x = padded(x, 4)
        x = x.reshape(batch, times + 1, *x.shape[1:])
        x = jnp.concatenate([x[:, 1:], x[:, :-1]], axis=-1)
        h = nn.relu(Convolution(conv_max_pool, self.width, 3)(x.reshape(-1, *x.shape[2:])))
        h = nn.relu(Convolution(conv_down, 2 * self.width, 4)(h))
        h = nn.relu(Convolution(conv, 4 * self.width, 3)(h))
        h = jnp.max(h, axis=(1, 2)).reshape(batch, times, -1)
        h = nn.elu(Dense(4 * self.width, kernel_init=nn.initializers.he_normal())(h))
        h = jnp.mean(h, axis=1)
        return nn.elu(Dense(self.features, kernel_init=nn.initializers.he_normal())(h))


class Head(nn.Module):
    """Logits of classes that are combinations, (a, b, …): z_ab… = u_a + v_b + …

    So log p(a, b, …) = log p(a) + log p(b) + …, and the cross-entropy of the combination is the sum
    of the parts'. Class ((a · K_2 + b) · K_3 + …) is the combination (a, b, …).

    Attributes:
      sizes: how many values each part has, (K_1, K_2, …).
    """

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """`[B, D]` → `[B, K_1 · K_2 · …]`."""
        logits = Dense(sum(self.sizes))(features)
        first, *rest = jnp.split(logits, np.cumsum(self.sizes)[:-1], axis=-1)
        for part in rest:
            first = (first[:, :, None] + part[:, None, :]).reshape(len(features), -1)
        return first


def temporal(
    video_shape: tuple[int, int, int, int] = (20, 64, 64, 1),
    sizes: Sequence[int] = (10,),
    width: int = 16,
    features: int = 32,
) -> Networks:
    """`Features` and `Head`, for videos of any length and frames of any size.

    Args:
      video_shape: (T, H, W, channels) of the videos that it is trained on.
      sizes: see `Head`; of classes without parts their number.
      width: W.
      features: D.
    """
    trunk, head = Features(width, features), Head(tuple(sizes))
    init, features_of, head_of = pure_functions(
        features=(trunk, video_shape), head=(head, (features,))
    )
    return Networks(init, lambda params, x: features_of(params, narrow(x)), head_of, video_shape)


def class_of(parts: Any, sizes: Sequence[int]) -> Any:
    """The classes of combinations: int `[N, parts]` → int `[N]`; see `Head`."""
    found = parts[:, 0]
    for column, size in enumerate(sizes[1:], 1):
        found = found * size + parts[:, column]
    return found


def parts_of(classes: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """The inverse of `class_of`: int `[N]` → int `[N, parts]`.

    Raises:
      ValueError: a class is none of these.
    """
    classes = np.asarray(classes)
    if classes.size and not 0 <= classes.min() <= classes.max() < math.prod(sizes):
        raise ValueError(f"classes must be in [0, {math.prod(sizes)})")
    return np.stack(np.unravel_index(classes, tuple(sizes)), axis=-1)
