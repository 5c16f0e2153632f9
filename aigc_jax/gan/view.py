"""What the discriminator sees, and the randomness of one of its updates.

Dimensions: B batch, Z latent, H W C image, m images packed into one input of D.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from aigc_jax import parallel
from aigc_jax.algorithm import Key, Keys
from aigc_jax.gan.augment import augment
from aigc_jax.gan.model import latents

View = Callable[[jax.Array], jax.Array]  # images [B, H, W, C] -> what D sees [B/m, H, W, mC]


class Draws(NamedTuple):
    """The randomness of one update of D, and of the update of G that reuses its fakes."""

    z: jax.Array  # [B, Z]
    augment: Keys  # [B]
    penalty: Keys  # [B/m]


def draw(
    key: Key, size: int, latent_size: int, packing: int = 1, axis_name: str | None = None
) -> Draws:
    """The randomness of `size` examples on this device, each from its own key."""
    keys = parallel.example_keys(key, size, axis_name)
    of_z, of_augment, of_penalty = (
        jax.vmap(lambda k, n=n: jax.random.fold_in(k, n))(keys) for n in range(3)
    )
    return Draws(latents(of_z, latent_size), of_augment, of_penalty[::packing])


def see(keys: Keys, probability, transforms, packing: int, images: jax.Array) -> jax.Array:
    """T: the images augmented and packed, `[B, H, W, C]` → `[B/m, H, W, mC]`."""
    return pack(augment(keys, images, transforms, probability), packing)


def pack(images: jax.Array, m: int) -> jax.Array:
    """m neighbours as the channels of one input: `[B, H, W, C]` → `[B/m, H, W, mC]`.

    Source: PacGAN, Lin et al. 2018, https://arxiv.org/abs/1712.04086.
    """
    size, height, width, channels = images.shape
    groups = images.reshape(size // m, m, height, width, channels).transpose(0, 2, 3, 1, 4)
    return groups.reshape(size // m, height, width, m * channels)
