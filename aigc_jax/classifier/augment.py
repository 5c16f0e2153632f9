"""Random transforms of training images that change pixels but no classes.

Each example has a key of its own, and of a video all frames are changed alike. Dimensions: B batch,
T frames of videos, H W C image.
"""

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys


def augment(keys: Keys, images: jax.Array, *, reach: int, mirrored: bool) -> jax.Array:
    """`mirror`, if wanted, and then `shift`, each by a key derived from the example's own.

    Args:
      keys: `[B]`.
      images: `[B, H, W, C]` or `[B, T, H, W, C]`.
      reach: see `shift`.
      mirrored: whether reflection preserves classes: of garments it does, of digits it does not.

    Returns:
      As many, of the same shape.
    """
    pairs = jax.vmap(jax.random.split)(keys)
    if mirrored:
        images = mirror(pairs[:, 0], images)
    return shift(pairs[:, 1], images, reach)


def mirror(keys: Keys, images: jax.Array) -> jax.Array:
    """Left and right exchanged, with probability ½: keys `[B]`, `[B, …, H, W, C]` → the same."""
    chosen = jax.vmap(lambda key: jax.random.bernoulli(key, jnp.float32(0.5)))(keys)
    return jnp.where(_beside(chosen, images), images[..., ::-1, :], images)


def shift(keys: Keys, images: jax.Array, reach: int) -> jax.Array:
    """Shifted by up to `reach` pixels on either axis, all offsets equally likely; zeros come in.

    Args:
      keys: `[B]`.
      images: `[B, H, W, C]` or `[B, T, H, W, C]`.
      reach: in pixels; 0 leaves the images as they are.

    Returns:
      As many, of the same shape.
    """
    draw = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * reach + 1, jnp.int32))
    offsets = draw(keys)
    for i in (0, 1):
        images = _moved(images, offsets[:, i], images.ndim - 3 + i, reach)
    return images


def _moved(images: jax.Array, offsets: jax.Array, axis: int, reach: int) -> jax.Array:
    """One of the 2·reach + 1 windows of each padded image, picked by a sum of products with 0 or 1.

    XLA:CPU turns this into one pass over the images, but windows cut by index into a loop over
    pixels.
    """
    border = [(reach, reach) if i == axis else (0, 0) for i in range(images.ndim)]
    padded, size = jnp.pad(images, border), images.shape[axis]
    chosen = jax.nn.one_hot(offsets, 2 * reach + 1, dtype=jnp.float32)
    moved = jnp.zeros_like(images)
    for k in range(2 * reach + 1):
        window = jax.lax.slice_in_dim(padded, k, k + size, axis=axis)
        moved += _beside(chosen[:, k], images) * window
    return moved


def _beside(x: jax.Array, images: jax.Array) -> jax.Array:
    """`[B]` → `[B, 1, …, 1]`, as many axes as the images have."""
    return x.reshape(-1, *[1] * (images.ndim - 1))
