"""Images from a trained generator.

Dimensions: Z latent, H W C image.
"""

import jax

from aigc_jax import parallel
from aigc_jax.algorithm import Key
from aigc_jax.blockwise import in_blocks
from aigc_jax.gan.model import Networks, State, Variables, latents
from aigc_jax.labels import labels_to_draw

_STANDING = 1000  # images that statistics are taken over


def averaged(state: State, networks: Networks) -> Variables:
    """The averaged generator, with batch statistics of its own.

        θ̄ = the average over training,   μ_l, σ²_l = mean and variance of layer l under θ̄

    An average of the statistics themselves over training would describe other networks, the
    iterates, whose activations the averaged weights do not have. So they are recomputed, over a
    batch of 1,000 images of θ̄ from latents that the state's key decides, the classes in turn: equal
    states give equal samples, on any number of devices. Networks without batch statistics are not
    run.

    Source: the standing statistics of Brock et al. 2019 (BigGAN), https://arxiv.org/abs/1809.11096,
    appendix B; one large batch in place of many.
    """
    # No step has this number.
    keys = parallel.example_keys(jax.random.fold_in(state.key, 2**32 - 1), _STANDING)
    z = latents(keys, networks.latent_size)
    labels = labels_to_draw(None, _STANDING, networks.classes)
    return Variables(state.ema_g.params, networks.standing(state.ema_g, z, labels))


def sample(
    state: State, key: Key, n: int, labels: jax.Array | None = None, *, networks: Networks
) -> jax.Array:
    """n images of the averaged generator, `[n, H, W, C]` in [0, 1]; each from its own key.

    Args:
      state: see `State`.
      key: decides them.
      n: how many.
      labels: int `[n]`, of class-conditional networks; None takes the classes in turn.
      networks: as trained.

    Raises:
      InputError: labels are not classes of these networks.
    """
    z = latents(parallel.example_keys(key, n), networks.latent_size)
    labels = labels_to_draw(labels, n, networks.classes)
    g = averaged(state, networks)
    return in_blocks(lambda z, labels: networks.generate(g, z, labels, False, None)[0], z, labels)
