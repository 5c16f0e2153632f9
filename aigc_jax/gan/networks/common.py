"""What the architectures share: pure functions from Linen modules.

Dimensions: B batch, Z latent, H W C image, m images packed into one input of D.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key
from aigc_jax.gan.model import Networks, Variables
from aigc_jax.nn.classes import append_class

Shape = tuple[int, int, int]  # (H, W, C)


def from_linen(
    generator: nn.Module,
    discriminator: nn.Module,
    image_shape: Shape,
    latent_size: int,
    classes: int = 0,
    packing: int = 1,
    mixes_examples: bool = False,
    memoryless: nn.Module | None = None,
) -> Networks:
    """Pure functions from two modules.

    The generator takes the class as a one-hot vector next to z.

    Args:
      generator: `(z [B, Z + classes], train, axis_name) -> images [B, H, W, C]` in [0, 1].
      discriminator: `(images [B, H, W, mC], labels, train, axis_name) -> logits [B]`.
      image_shape: (H, W, C) of one image.
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      packing: m.
      mixes_examples: see `Networks`.
      memoryless: the generator whose statistics are only those of the last batch, where it has
        any.
    """
    height, width, channels = image_shape

    def init(key: Key) -> tuple[Variables, Variables]:
        key_g, key_d = jax.random.split(key)
        labels = jnp.zeros(1, jnp.int32) if classes else None
        z = jnp.zeros((1, latent_size + classes), jnp.float32)
        images = jnp.zeros((1, height, width, packing * channels), jnp.float32)
        g = generator.init(key_g, z, False, None)
        d = discriminator.init(key_d, images, labels, False, None)
        return _variables(g), _variables(d)

    def generate(variables, z, labels, train, axis_name):
        inputs = append_class(z, labels, classes)
        return _apply(generator, variables, train, inputs, train, axis_name)

    def discriminate(variables, images, labels, train, axis_name):
        return _apply(discriminator, variables, train, images, labels, train, axis_name)

    def standing(variables, z, labels):
        if memoryless is None:
            return variables.stats
        return _apply(memoryless, variables, True, append_class(z, labels, classes), True, None)[1]

    return Networks(
        init,
        generate,
        discriminate,
        latent_size,
        classes,
        mixes_examples,
        standing,
        image_shape,
    )


def _variables(tree: Mapping[str, Any]) -> Variables:
    return Variables(tree["params"], tree.get("batch_stats", {}))


def _apply(module: nn.Module, variables: Variables, train: bool, *inputs):
    tree = {"params": variables.params, "batch_stats": variables.stats}
    if not train:
        return module.apply(tree, *inputs), variables.stats
    output, changed = module.apply(tree, *inputs, mutable=["batch_stats"])
    return output, changed.get("batch_stats", variables.stats)
