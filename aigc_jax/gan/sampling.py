"""Images from a trained generator."""

import jax
import jax.numpy as jnp

from aigc_jax import parallel
from aigc_jax.algorithm import Key
from aigc_jax.gan.state import Networks, State, latents
from aigc_jax.labels import labels_to_draw

_BLOCK = 1000  # samples that are drawn at once, since activations take far more room than images


def sample(
    state: State, key: Key, n: int, labels: jax.Array | None = None, *, networks: Networks
) -> jax.Array:
    """n images of the averaged generator, `[n, H, W, C]` in [0, 1]; each of its own key.

    Args:
      state: see `State`.
      key: decides them.
      n: how many.
      labels: int `[n]`, of class-conditional networks; None takes the classes in turn.
      networks: as trained.

    Raises:
      InputError: labels that are no classes of these networks.
    """
    z = latents(parallel.example_keys(key, n), networks.latent_size)
    labels = labels_to_draw(labels, n, networks.classes)

    def generate(z, labels):
        return networks.generate(state.ema_g, z, labels, False, None)[0]

    if n <= _BLOCK:
        return generate(z, labels)
    blocks = -(-n // _BLOCK)

    def in_blocks(x):
        padded = jnp.pad(x, [(0, blocks * _BLOCK - n), *[(0, 0)] * (x.ndim - 1)])
        return padded.reshape(blocks, _BLOCK, *x.shape[1:])

    images = jax.lax.map(lambda pair: generate(*pair), jax.tree.map(in_blocks, (z, labels)))
    return images.reshape(blocks * _BLOCK, *images.shape[2:])[:n]
