"""Augmentation of what the discriminator sees, differentiable, and ADA's control of how often.

The discriminator sees real and generated images through the same random transforms, in its own
update and in the generator's, so that G learns to make what looks real *behind* the transforms and
the transforms themselves need not leak into its images.

A transform takes one key and one image [H, W, C] in [0, 1], and is linear or affine in the image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys

Transform = Callable[[Key, jax.Array], jax.Array]


class Augmentation(NamedTuple):
    """What is done to images before D sees them.

    Attributes:
      transforms: in this order, each with the current probability p.
      target: r* of ADA; None for a fixed p = 1 (DiffAugment).
      speed: how many images it takes ADA at least to raise p from 0 to 1.
    """

    transforms: tuple[Transform, ...]
    target: float | None = None
    speed: float = 500_000.0


def augment(
    keys: Keys, images: jax.Array, transforms: tuple[Transform, ...], probability: jax.Array | float
) -> jax.Array:
    """Each transform on each image with probability p, independently: `[B, H, W, C]` → the same.

    Args:
      keys: `[B]`. Equal keys give equal transforms, which is how a pair of a real and a generated
        image sees the same.
      images: in [0, 1].
      transforms: see the functions of this module.
      probability: p in [0, 1], `[]`.

    Source: Karras et al. 2020 (ADA), https://arxiv.org/abs/2006.06676; Zhao et al. 2020
    (DiffAugment, p = 1), https://arxiv.org/abs/2006.10738.
    """

    def one(key: Key, image: jax.Array) -> jax.Array:
        for index, transform in enumerate(transforms):
            key_chance, key_transform = jax.random.split(jax.random.fold_in(key, index))
            chosen = jax.random.uniform(key_chance, (), jnp.float32) < probability
            image = jnp.where(chosen, transform(key_transform, image), image)
        return image

    return jax.vmap(one)(keys, images)


def brightness(key: Key, image: jax.Array) -> jax.Array:
    """x + b, b ~ U(−¼, ¼)."""
    return image + 0.5 * (jax.random.uniform(key, (), jnp.float32) - 0.5)


def saturation(key: Key, image: jax.Array) -> jax.Array:
    """m + 2u (x − m), m the mean over the channels of each pixel, u ~ U(0, 1)."""
    mean = jnp.broadcast_to(image.mean(-1, keepdims=True), image.shape)
    return mean + 2 * jax.random.uniform(key, (), jnp.float32) * (image - mean)


def contrast(key: Key, image: jax.Array) -> jax.Array:
    """m + (u + ½) (x − m), m the mean of the image, u ~ U(0, 1)."""
    mean = image.mean()
    return mean + (jax.random.uniform(key, (), jnp.float32) + 0.5) * (image - mean)


def translation(key: Key, image: jax.Array) -> jax.Array:
    """Shifted by up to an eighth of its height and width, rounded; zeros come in."""
    height, width, _ = image.shape
    key_y, key_x = jax.random.split(key)
    # Products with shifted unit matrices: derivatives of every order are again products.
    rows = _shift(key_y, height, (height + 4) // 8)
    columns = _shift(key_x, width, (width + 4) // 8)
    return jnp.einsum("hi,wj,ijc->hwc", rows, columns, image)


def _shift(key: Key, size: int, reach: int) -> jax.Array:
    """M[i, j] = 1 where j = i + offset, for one random offset: `[size, size]`."""
    offset = jax.random.randint(key, (), -reach, reach + 1, jnp.int32)
    index = jnp.arange(size)
    return (index[None, :] == index[:, None] + offset).astype(jnp.float32)


def cutout(key: Key, image: jax.Array) -> jax.Array:
    """A rectangle of half the height and width, rounded up, set to 0, its centre any pixel."""
    height, width, _ = image.shape
    key_y, key_x = jax.random.split(key)
    rows = _inside(key_y, height)[:, None, None]
    columns = _inside(key_x, width)[None, :, None]
    return image * (1 - rows * columns)


def _inside(key: Key, size: int) -> jax.Array:
    """1 on the half of an axis around a random centre, `[size]`.

    Pixels c − ⌊s/2⌋ … c − ⌊s/2⌋ + s − 1 for s = ⌊size/2 + ½⌋. An odd s has its centre on one of the
    pixels, an even one between two of them, or at either edge: size or size + 1 places, so that no
    pixel is cut more often than its mirror image.
    """
    half = (size + 1) // 2
    first = jax.random.randint(key, (), 0, size + 1 - half % 2, jnp.int32) - half // 2
    index = jnp.arange(size)
    return ((index >= first) & (index < first + half)).astype(jnp.float32)


TRANSFORMS = (brightness, saturation, contrast, translation, cutout)
DIFFAUGMENT = Augmentation(TRANSFORMS)
"""Colour, translation and cutout on every image; the cut is black where the paper's is grey."""
ADA = Augmentation(TRANSFORMS, target=0.6)
"""The same transforms, the more often the more D overfits; the published pipeline has others."""
AUGMENTATIONS = {"none": None, "diffaugment": DIFFAUGMENT, "ada": ADA}
"""By name."""


class Controller(NamedTuple):
    """ADA's state."""

    probability: jax.Array  # p, float32 []
    signs: jax.Array  # Σ sign D(x) since the last adjustment, float32 []
    images: jax.Array  # how many images that is the sum of, float32 []


def controller(augmentation: Augmentation | None) -> Controller:
    """The state before the first update: p = 0 for ADA, 1 for a fixed augmentation."""
    fixed = augmentation is not None and augmentation.target is None
    return Controller(jnp.float32(fixed), jnp.float32(0), jnp.float32(0))


def update_controller(
    state: Controller,
    mean_sign: jax.Array,
    images: jax.Array | int,
    augmentation: Augmentation,
    window: int = 4,
) -> Controller:
    """p ← clip(p + sign(r_t − r*) · images / speed, 0, 1), at every fourth batch of D.

    r_t = mean sign D(x) over the real images since the last adjustment: 0 where D does not overfit,
    1 where it has memorised every training image.

    Args:
      state: see `Controller`.
      mean_sign: mean sign D(x) over the whole batch, on all devices.
      images: the number of images in it.
      augmentation: one with a target.
      window: batches between adjustments.

    Source: Karras et al. 2020, section 3.1 (r* = 0.6, 500,000 images).
    """
    assert augmentation.target is not None
    signs, seen = state.signs + mean_sign * images, state.images + images
    due = seen >= window * images
    change = jnp.sign(signs / seen - augmentation.target) * seen / augmentation.speed
    adjusted = jnp.clip(state.probability + change, 0.0, 1.0)
    return Controller(
        jnp.where(due, adjusted, state.probability),
        jnp.where(due, 0.0, signs),
        jnp.where(due, 0.0, seen),
    )
