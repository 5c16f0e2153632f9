"""The configuration of a Transformer, its presets, and the algorithm that it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm, Info, Key, State
from aigc_jax.layers import gelu_tanh
from aigc_jax.transformer.architecture import LLAMA, TEXTBOOK, Architecture
from aigc_jax.transformer.beam import Beams
from aigc_jax.transformer.model import PLAIN, Networks, Objective
from aigc_jax.transformer.networks import networks_of
from aigc_jax.transformer.optimisers import adamw, muon
from aigc_jax.transformer.step import init, step
from aigc_jax.transformer.stream import sample, translate

Schedule = Callable[[float, int, int], optax.Schedule]
Optimiser = Callable[[optax.ScalarOrSchedule, float, float], optax.GradientTransformation]


@dataclass(frozen=True)
class Config(Architecture):
    """A model and its training. The defaults are what works best at this size.

    Attributes:
      optimiser: `(rate, b2, weight_decay) -> ` a transformation: `adamw` or `muon`.
      learning_rate: the peak.
      schedule: `(peak, warm-up steps, steps) -> ` a schedule, of optim.py.
      warmup_steps: of the linear warm-up.
      decay_steps: where the schedule ends; None keeps the rate constant.
      b2: of the second moment.
      weight_decay: on linear layers' matrices.
      clip_norm: what the gradient's global norm is brought down to; None for no bound.
      objective: what is descended beyond the plain loss.
      microbatches: parts that a batch's gradient is summed up of.
      ema_decay: of the averaged parameters, which are evaluated, per step; 0 keeps none.
    """

    optimiser: Optimiser = muon
    learning_rate: float = 3e-3
    schedule: Schedule = optim.warmup_cosine
    warmup_steps: int = 100
    decay_steps: int | None = 2000
    b2: float = 0.99
    weight_decay: float = 0.1
    clip_norm: float | None = 1.0
    objective: Objective = PLAIN
    microbatches: int = 1
    ema_decay: float = 0.0


def textbook(vocabulary_size: int, **changes: Any) -> Config:
    """The source article's: post-norm, ReLU, sinusoidal positions; Adam at a constant rate."""
    own = {"optimiser": adamw, "weight_decay": 0.0, "clip_norm": None, "b2": 0.999}
    own |= {"learning_rate": 3e-4, "decay_steps": None}
    return Config(vocabulary_size, **{**TEXTBOOK, **own, **changes})


def nano(vocabulary_size: int, **changes: Any) -> Config:
    """Four layers of width 128, by Muon: the default.

    On the plays of Shakespeare, 2,000 steps of 12 windows: 1.62 nats per character, where AdamW at
    1e-3 reaches 1.90.
    """
    return Config(vocabulary_size, **changes)


def char(vocabulary_size: int, **changes: Any) -> Config:
    """Six layers of width 384, for 256 characters of context, with dropout.

    Source of the recipe: nanoGPT's for the plays of Shakespeare.
    """
    sizes = {"context": 256, "layers": 6, "heads": 6, "width": 384, "bias": False}
    own = {"dropout": 0.2, "decay_steps": 5000, "optimiser": adamw, "learning_rate": 1e-3}
    return Config(vocabulary_size, **{**sizes, **own, **changes})


def gpt2(vocabulary_size: int = 50_257, **changes: Any) -> Config:
    """The smallest GPT-2, 124M parameters with its own vocabulary.

    Source: Radford et al. 2019; the recipe is nanoGPT's.
    """
    sizes = {"context": 1024, "layers": 12, "heads": 12, "width": 768, "activation": gelu_tanh}
    rate = {"learning_rate": 6e-4, "warmup_steps": 2000, "decay_steps": 600_000, "b2": 0.95}
    own = {"optimiser": adamw, "dtype": jnp.bfloat16}
    return Config(vocabulary_size, **{**sizes, **rate, **own, **changes})


def llama_small(vocabulary_size: int, **changes: Any) -> Config:
    """Llama's blocks at eight layers of width 512: rotary, RMSNorm, SwiGLU, grouped queries."""
    sizes = {
        "context": 512,
        "layers": 8,
        "heads": 8,
        "num_kv_heads": 2,
        "width": 512,
        "hidden": 1408,
    }
    rate = {"optimiser": adamw, "learning_rate": 1e-3, "decay_steps": 20_000, "b2": 0.95}
    own = {"query_key_norm": True}
    return Config(vocabulary_size, **{**LLAMA, **sizes, **rate, **own, **changes})


def tiny_mt(vocabulary_size: int, **changes: Any) -> Config:
    """An encoder and a decoder of four layers of width 128, for sentences.

    On Multi30k, English to German: 39.7 BLEU (sacreBLEU, cased, beam 5) on the validation part.

    Source of the sizes: Wu et al. 2021, https://arxiv.org/abs/2105.14462, "tiny".
    """
    sizes = {"context": 128, "source_context": 128, "encoder_layers": 4, "hidden": 256}
    rate = {"learning_rate": 3e-3, "warmup_steps": 400, "decay_steps": 4000, "b2": 0.98}
    loss = {"objective": Objective(smoothing=0.1), "dropout": 0.3, "ema_decay": 0.998}
    return Config(vocabulary_size, **{**sizes, **rate, **loss, **changes})


def optimizer(config: Config) -> optax.GradientTransformation:
    """The optimiser that `config` describes."""
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.decay_steps is not None:
        rate = config.schedule(config.learning_rate, config.warmup_steps, config.decay_steps)
    tx = config.optimiser(rate, config.b2, config.weight_decay)
    return tx if config.clip_norm is None else optim.clipped(tx, config.clip_norm)


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
    config: Config,
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Any:
    """Closes `init`, `step`, and `sample` or `translate`, over network and optimiser of `config`.

    Args:
      config: see `Config`.
      nets: a network to use in place of the one that `config` describes.
      tx: an optimiser to use in place of the one that `config` describes.

    Returns:
      An `Algorithm`; where `config` has an encoder, a `Translator`.

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
    nets = nets or networks_of(config)
    tx = tx or optimizer(config)
    training = (
        partial(init, networks=nets, tx=tx, ema_decay=config.ema_decay),
        partial(
            step,
            networks=nets,
            tx=tx,
            objective=config.objective,
            microbatches=config.microbatches,
            ema_decay=config.ema_decay,
        ),
    )
    if config.encoder_layers:
        return Translator(*training, partial(translate, networks=nets))
    return Algorithm(*training, partial(sample, networks=nets))
