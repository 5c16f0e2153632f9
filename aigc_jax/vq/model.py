"""What an autoencoder with discrete latents is made of: its networks, and a quantiser of features.

Dimensions: B batch, H W C image, F outputs for a pixel, h w the grid, D features of a position of
it, K codes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax

from aigc_jax import optim
from aigc_jax.algorithm import Key, Params
from aigc_jax.image_batch import Shape


class DiscreteNetworks(NamedTuple):
    """An encoder and a decoder as pure functions; the quantiser comes between them.

    Attributes:
      init: `(key) -> params`.
      encode: `(params, x [B, H, W, C]) -> features [B, h, w, D]`.
      decode: `(params, quantised [B, h, w, D]) -> outputs [B, H, W, F]`: the parameters of p(x|z).
      grid: (h, w).
      image_shape: (H, W, C) of the images that they are made for; None for any.
    """

    init: Callable[[Key], Params]
    encode: Callable[[Params, jax.Array], jax.Array]
    decode: Callable[[Params, jax.Array], jax.Array]
    grid: tuple[int, int]
    image_shape: Shape | None = None


class Quantised(NamedTuple):
    """Features, each replaced by one of K vectors."""

    vectors: jax.Array  # [B, h, w, D]; a gradient passes through to the features
    codes: jax.Array  # which of the K, int32 [B, h, w]
    commitment: jax.Array  # [B], see `vector_quantiser`; 0 where features cannot stray


class Quantiser(NamedTuple):
    """A finite set of vectors as pure functions; the step knows nothing else about it.

    Attributes:
      init: `(key) -> state`, a pytree of arrays that gradients do not train.
      quantise: `(state, features [B, h, w, D]) -> Quantised`.
      look_up: `(state, codes int [...]) -> vectors [..., D]`.
      update: `(state, features, codes, key, axis_name) -> (state, revived)`: what the state learns
        from a batch, the same on all devices, and how many codes were given a new vector.
      codes: K.
      features: D.
    """

    init: Callable[[Key], Any]
    quantise: Callable[[Any, jax.Array], Quantised]
    look_up: Callable[[Any, jax.Array], jax.Array]
    update: Callable[[Any, jax.Array, jax.Array, Key, str | None], tuple[Any, jax.Array]]
    codes: int
    features: int


class State(NamedTuple):
    """The networks in training, and what gradients do not train."""

    trained: optim.State
    quantiser: Any  # see `Quantiser`
    frequencies: jax.Array  # [h, w, K]: how often each code stood at each position, an average

    @property
    def step(self) -> jax.Array:
        """int32 [], the number of updates done."""
        return self.trained.step

    @property
    def params(self) -> Params:
        """The newest."""
        return self.trained.params

    @property
    def eval_params(self) -> Params:
        """The average."""
        return self.trained.eval_params


class Info(NamedTuple):
    """Means over the whole batch, under the parameters before the update."""

    loss_nats: jax.Array  # what is minimised
    reconstruction_nats: jax.Array  # −log p(x|z)
    commitment: jax.Array  # Σ (f − e)², before β
    batch_perplexity: jax.Array  # of the codes in this batch: below that of the set
    revived_codes: jax.Array


def straight_through(value: jax.Array, of: jax.Array) -> jax.Array:
    """`value`, exactly, whose gradient is passed on to `of` unchanged: both `[...]`.

    Source: Bengio et al. 2013, https://arxiv.org/abs/1308.3432, section 4.
    """
    return lax.stop_gradient(value) + (of - lax.stop_gradient(of))
