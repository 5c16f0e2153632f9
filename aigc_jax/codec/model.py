"""What a codec is made of: networks as pure functions, and what training changes.

A codec turns a signal into a grid of discrete codes and back. A signal is float32 `[B, *S, C]`: an
image `[B, H, W, C]` in [0, 1], a sound `[B, T, 1]` in [−1, 1], a video `[B, T, H, W, C]` in [0, 1].

Dimensions: B batch, S the signal's sides, C channels, G the grid's sides, D features, K codes, N
stages, P positions that a critic judges.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Key, Params
from aigc_jax.codec.balancer import Balance
from aigc_jax.errors import InputError

Judgement = tuple[jax.Array, tuple[jax.Array, ...]]
"""One critic's logits `[B, P]`, and its features `[B, …]` layer by layer."""


class Networks(NamedTuple):
    """An encoder and a decoder as pure functions; the quantiser comes between them.

    A signal of any sides is taken, padded at its end as far as the grid needs it; the decoder is
    told the sides and cuts what was added.

    Attributes:
      init: `(key) -> params`.
      encode: `(params, x [B, *S, C]) -> features [B, *G, D]`.
      decode: `(params, vectors [B, *G, D], sides S) -> x̂ [B, *S, C]`.
      grid: `(sides S) -> G`.
      channels: C.
      axes: how many sides a signal has.
    """

    init: Callable[[Key], Params]
    encode: Callable[[Params, jax.Array], jax.Array]
    decode: Callable[[Params, jax.Array, tuple[int, ...]], jax.Array]
    grid: Callable[[tuple[int, ...]], tuple[int, ...]]
    channels: int
    axes: int


class Critics(NamedTuple):
    """Discriminators as pure functions.

    Attributes:
      init: `(key) -> params`.
      judge: `(params, x [B, *S, C]) -> ` a `Judgement` of each critic.
    """

    init: Callable[[Key], Params]
    judge: Callable[[Params, jax.Array], tuple[Judgement, ...]]


class Perception(NamedTuple):
    """A frozen network in whose features signals are compared.

    Attributes:
      init: `(key) -> params`: of the right shapes; a training replaces them by trained ones.
      distance: `(params, x̂, x) -> [B]`.
    """

    init: Callable[[Key], Params]
    distance: Callable[[Params, jax.Array, jax.Array], jax.Array]


class State(NamedTuple):
    """All that training changes, and the perception that it does not."""

    trained: optim.State  # encoder and decoder
    quantiser: Any  # see `vq.Quantiser`, of each stage
    params_d: Params  # of the critics
    opt_state_d: optax.OptState
    balance: Balance
    perception: Params  # frozen

    @property
    def step(self) -> jax.Array:
        """int32 [], the number of updates done."""
        return self.trained.step

    @property
    def params(self) -> Params:
        """The newest, of encoder and decoder."""
        return self.trained.params

    @property
    def eval_params(self) -> Params:
        """The average."""
        return self.trained.eval_params


class Coder(NamedTuple):
    """What codes and decodes once training is done: a state without what trains it."""

    params: Params
    quantiser: Any


class Info(NamedTuple):
    """Means over the whole batch, under the codec's parameters before the update.

    Distances are as the losses have them, unweighted; a loss that is not in use is 0. What the
    critics tell the decoder is by their new parameters, and their own loss by the old ones.
    """

    reconstruction: jax.Array  # the distance in samples that the step was given
    perceptual: jax.Array  # in features, or of log-mels
    adversarial: jax.Array  # the critics' loss for the decoder
    matching: jax.Array  # of the critics' features
    critic: jax.Array  # the critics' own loss
    commitment: jax.Array  # Σ over stages, mean over positions, of Σ_d (r − e)²
    batch_perplexity: jax.Array  # of the codes in this batch: mean over stages
    revived_codes: jax.Array


def check_signals(signals: Any, networks: Networks) -> None:
    """Refuses what is not a batch of signals of these networks, by its shape.

    Raises:
      InputError: another number of sides or of channels, or a side of 0.
    """
    sides, shape = networks.axes, tuple(signals.shape)
    if len(shape) != sides + 2 or shape[-1] != networks.channels or 0 in shape[1:]:
        plural = "side" if sides == 1 else "sides"
        raise InputError(
            f"signals must be of shape [B, *S, {networks.channels}], S {sides} {plural} of at least"
            f" 1, got {shape}"
        )
