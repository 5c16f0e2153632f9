"""A convolutional network for images.

Dimensions: B batch, D features, C classes, H W image.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.algorithm import narrow
from aigc_jax.classifier.model import Networks
from aigc_jax.convolution import conv_down, conv_max_pool
from aigc_jax.layers import Convolution, Dense
from aigc_jax.nn.functions import pure_functions


class Features(nn.Module):
    """image → convolution 3×3 → max of 2×2 → (convolution 4×4, stride 2) … → dense, with ReLUs.

    The first layer has stride 1, which is cheap for one channel and worth a percentage point on
    Fashion-MNIST; pooling and strides make the others small. There is no batch normalisation.
    At 28×28×1, with 32 and 64 channels and 64 features: 233,920 parameters.

    Attributes:
      halvings: how often height and width are halved.
      width: channels after the first halving, doubled with each.
      features: D.
    """

    halvings: int
    width: int
    features: int

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """The features, and the maps of the convolutions, the largest first."""
        images = padded(images, 2**self.halvings)
        maps = [nn.relu(Convolution(conv_max_pool, self.width, 3)(images))]
        for i in range(1, self.halvings):
            maps.append(nn.relu(Convolution(conv_down, self.width * 2**i, 4)(maps[-1])))
        h = maps[-1].reshape(len(images), -1)
        features = Dense(self.features, kernel_init=nn.initializers.he_normal())(h)
        return nn.relu(features), tuple(maps)


def convolutional(
    image_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    width: int = 32,
    features: int = 64,
) -> Networks:
    """Convolutions, a hidden layer of features, and a linear head, for images of any size.

    Args:
      image_shape: (H, W, channels).
      classes: C.
      width: channels after the first halving, doubled with each.
      features: D.
    """
    trunk, head = Features(_halvings(image_shape), width, features), Dense(classes)

    init, apply, head_of = pure_functions(features=(trunk, image_shape), head=(head, (features,)))

    def features_of(params, x):
        return apply(params, narrow(x))[0]

    def maps_of(params, x):
        return apply(params, narrow(x))[1]

    return Networks(init, features_of, head_of, image_shape, maps_of)


def _halvings(image_shape: tuple[int, int, int]) -> int:
    """How often the sides are halved until the shorter one has 4 to 7 pixels; at least once."""
    count, shorter = 1, min(image_shape[:2]) // 2
    while shorter >= 8:
        shorter, count = shorter // 2, count + 1
    return count


def padded(images: jax.Array, multiple: int) -> jax.Array:
    """Zeros added below and to the right, up to sides that `multiple` divides."""
    below, right = (-side % multiple for side in images.shape[1:3])
    return jnp.pad(images, ((0, 0), (0, below), (0, right), (0, 0)))
