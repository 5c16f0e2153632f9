"""The configuration of a Transformer, and the algorithm that it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm, Info, Key, State
from aigc_jax.errors import InputError
from aigc_jax.settings import Preset, configuration, constant, setting
from aigc_jax.transformer import filling
from aigc_jax.transformer.architecture import Architecture
from aigc_jax.transformer.beam import Beams
from aigc_jax.transformer.masked import masked_step
from aigc_jax.transformer.masking import Schedule as MaskSchedule
from aigc_jax.transformer.masking import diffusion, mask_of
from aigc_jax.transformer.model import PLAIN, Networks, Objective
from aigc_jax.transformer.networks import networks_of
from aigc_jax.transformer.optimisers import adamw, muon
from aigc_jax.transformer.step import init, step
from aigc_jax.transformer.stream import sample, translate

Schedule = Callable[[float, int, int], optax.ScalarOrSchedule]
Optimiser = Callable[[optax.ScalarOrSchedule, float, float], optax.GradientTransformation]


OPTIMISERS = {"adamw": adamw, "muon": muon}
SCHEDULES = {
    "cosine": optim.warmup_cosine,
    "stable": optim.warmup_stable_decay,
    "constant": optim.constant,
}
ORDERS: dict[str, MaskSchedule | None] = {"left": None, "diffusion": diffusion}


@dataclass(frozen=True, repr=False)
class Config(Architecture):
    """A model and its training. The defaults are what works best at this size.

    Attributes:
      optimiser: `(rate, b2, weight_decay) -> ` a transformation: `adamw` or `muon`.
      schedule: `(peak, warm-up steps, steps) -> ` a schedule, of optim.py.
      decay_steps: when the schedule ends; None keeps the rate constant.
      b2: of the second moment.
      clip_norm: the global norm that gradients are clipped to; 0 or None for no bound.
      objective: what is minimised beyond the plain loss.
      order: in which tokens are written. None: from the left, each given those before it.
        `diffusion`: in random order, each given all that are there already; the last of the V ids
        is then that of a masked token, which no text contains.
    """

    optimiser: Optimiser = setting(
        muon, "adamw, or muon on the blocks' matrices.", choices=OPTIMISERS
    )
    learning_rate: float = setting(
        3e-3, "Step size of the optimiser; the peak, where it has a schedule."
    )
    schedule: Schedule = setting(
        optim.warmup_cosine,
        "Learning rate after the warm-up: half a cosine to a tenth; stable, then a fall to 0 over "
        "the last fifth; or constant.",
        choices=SCHEDULES,
    )
    warmup_steps: int = setting(100, "Steps over which the learning rate rises from 0.", least=0)
    decay_steps: int | None = 2000
    b2: float = 0.99
    weight_decay: float = setting(0.1, "Weight decay of linear layers' matrices.", least=0)
    clip_norm: float | None = setting(
        1.0, "Global norm that gradients are clipped to; 0 for no bound.", name="clip", least=0
    )
    objective: Objective = PLAIN
    microbatches: int = setting(
        1, "Parts that a batch's gradient is computed in: less memory, the same step."
    )
    ema_decay: float = setting(
        0.0,
        "Decay per step of the averaged parameters, for evaluation; 0: none.",
        least=0,
        below=1,
    )
    order: MaskSchedule | None = constant(ORDERS, None)

    def __post_init__(self):
        """Refuses what does not fit together.

        Raises:
          ValueError: says what.
        """
        super().__post_init__()
        if self.order is not None and self.encoder_layers:
            raise InputError("a model with an encoder writes from the left: give it no order")
        if self.order is not None and self.window is not None:
            raise InputError("--window is for models that write from the left; leave it out")


def optimizer(config: Config) -> optax.GradientTransformation:
    """The optimiser that `config` describes."""
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.decay_steps is not None:
        rate = config.schedule(config.learning_rate, config.warmup_steps, config.decay_steps)
    tx = config.optimiser(rate, config.b2, config.weight_decay)
    return optim.clipped(tx, config.clip_norm) if config.clip_norm else tx


class Translator(NamedTuple):
    """The pure functions of an encoder and a decoder, which write nothing without a source.

    Attributes:
      init, step: those of an `Algorithm`.
      translate: `(state, source, begin=, stop=, ...) -> Beams`, see `stream.translate`.
    """

    init: Callable[[Key], State]
    step: Callable[..., tuple[State, Info]]
    translate: Callable[..., Beams]


def make(
    config: Config | Preset[Config],
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Any:
    """Closes `init`, `step`, and `sample` or `translate`, over network and optimiser of `config`.

    Args:
      config: see `Config`; or a preset, for a run of its length.
      nets: a network to use in place of the one that `config` describes.
      tx: an optimiser to use in place of the one that `config` describes.

    Returns:
      An `Algorithm`; where `config` has an encoder, a `Translator`. With `order`, its step takes a
      `MaskedBatch` of windows of T tokens, see `masked_step`, and its sample is `filling.sample`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from aigc_jax import transformer
      >>> algorithm = transformer.make(transformer.Config(vocabulary_size=65))
      >>> state = algorithm.init(jax.random.key(0))
      >>> batch = transformer.next_tokens(jnp.zeros((12, 65), int))
      >>> state, info = jax.jit(algorithm.step)(state, batch)
      >>> algorithm.sample(state, jax.random.key(1), 2, jnp.array([0]), 10).shape
      (2, 10)
      >>> translator = transformer.make(transformer.tiny_mt(vocabulary_size=1000))
      >>> state, tokens = translator.init(jax.random.key(0)), jnp.array([[4, 5, 2]])
      >>> source = transformer.Source(tokens, jnp.ones_like(tokens))
      >>> translator.translate(state, source, begin=1, stop=2).tokens.shape  # best of 4 beams first
      (1, 4, 22)
    """
    config = configuration(config)
    nets = nets or networks_of(config)
    tx = tx or optimizer(config)
    begin = partial(init, networks=nets, tx=tx, ema_decay=config.ema_decay)
    training: dict[str, Any] = {
        "networks": nets,
        "tx": tx,
        "objective": config.objective,
        "microbatches": config.microbatches,
        "ema_decay": config.ema_decay,
    }
    if config.order is not None:
        training |= {"mask_id": mask_of(nets), "choices": mask_of(nets)}
        fill = partial(masked_step, **training, schedule=config.order)
        return Algorithm(begin, fill, partial(filling.sample, networks=nets))
    update = partial(step, **training)
    if config.encoder_layers:
        return Translator(begin, update, partial(translate, networks=nets))
    return Algorithm(begin, update, partial(sample, networks=nets))
