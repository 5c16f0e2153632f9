"""Images to codes and back, and images from codes drawn by their frequency.

Dimensions: B batch, H W C image, h w the grid, K codes.
"""

from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax import parallel
from aigc_jax.algorithm import Key
from aigc_jax.blockwise import in_blocks
from aigc_jax.labels import check_choices
from aigc_jax.likelihoods import GAUSSIAN, Likelihood
from aigc_jax.vq.model import DiscreteNetworks, Quantiser, State


def encode_images(
    state: State, images: jax.Array, *, networks: DiscreteNetworks, quantiser: Quantiser
) -> jax.Array:
    """Images `[B, H, W, C]` in [0, 1] → codes int32 `[B, h, w]`, by the averaged encoder."""
    features = networks.encode(state.eval_params, images)
    return quantiser.quantise(state.quantiser, features).codes


def decode_codes(
    state: State,
    codes: jax.Array,
    *,
    networks: DiscreteNetworks,
    quantiser: Quantiser,
    likelihood: Likelihood = GAUSSIAN,
) -> jax.Array:
    """Codes int `[B, h, w]` → E[x|z] `[B, H, W, C]` in [0, 1], by the averaged decoder.

    Raises:
      InputError: one is not a code.
    """
    codes = check_choices("codes", codes, quantiser.codes)
    vectors = quantiser.look_up(state.quantiser, codes)
    return likelihood.mean(networks.decode(state.eval_params, vectors))


def reconstruct(
    state: State,
    images: jax.Array,
    *,
    networks: DiscreteNetworks,
    quantiser: Quantiser,
    likelihood: Likelihood = GAUSSIAN,
) -> jax.Array:
    """Images → codes → images: both `[B, H, W, C]` in [0, 1]."""
    codes = encode_images(state, images, networks=networks, quantiser=quantiser)
    return decode_codes(state, codes, networks=networks, quantiser=quantiser, likelihood=likelihood)


def sample(
    state: State,
    key: Key,
    n: int,
    *,
    networks: DiscreteNetworks,
    quantiser: Quantiser,
    likelihood: Likelihood = GAUSSIAN,
) -> jax.Array:
    """n images from codes drawn by how often each occurred at each position in training.

    Each position is drawn independently, so the images show what is common at a position but hardly
    any shape: dependencies between the codes of an image are ignored. Realistic images need a
    learned prior over the codes, by a model of sequences or grids.

    Args:
      state: see `State`.
      key: decides them.
      n: how many.
      networks, quantiser, likelihood: as trained.

    Returns:
      `[n, H, W, C]` in [0, 1].
    """
    logits = jnp.log(state.frequencies)
    model: dict[str, Any] = {"networks": networks, "quantiser": quantiser, "likelihood": likelihood}

    def draw(keys):
        codes = jax.vmap(lambda key: jax.random.categorical(key, logits))(keys)
        return decode_codes(state, codes, **model)

    return in_blocks(draw, parallel.example_keys(key, n))
