"""The front door of the room: a configuration, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.transformer.decode import sample
from aigc_jax.transformer.networks import NanoTransformer, TextbookTransformer, decoder
from aigc_jax.transformer.step import Networks, init, step


@dataclass(frozen=True)
class Config:
    """A language model. The defaults are what works best at this size.

    Attributes:
      vocabulary_size: V.
      context: the greatest number of tokens that the model sees at once.
      layers, heads, width: the number of blocks, of heads, and the model's width.
      module: the network's Linen module.
      learning_rate: the peak.
      warmup_steps: of the linear warm-up.
      decay_steps: where the cosine reaches its end, a tenth of the peak; None keeps the rate
        constant.
      weight_decay: AdamW's, on matrices; None is plain Adam, unclipped.
    """

    vocabulary_size: int
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    module: Callable[..., Any] = NanoTransformer
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    decay_steps: int | None = 2000
    weight_decay: float | None = 0.1


def textbook(vocabulary_size: int, **changes: Any) -> Config:
    """The source article's: post-norm, ReLU, sinusoidal positions; Adam at a constant rate."""
    base: dict[str, Any] = {
        "module": TextbookTransformer,
        "learning_rate": 3e-4,
        "decay_steps": None,
        "weight_decay": None,
    }
    return Config(vocabulary_size, **{**base, **changes})


def optimizer(config: Config) -> optax.GradientTransformation:
    """The optimiser that `config` describes."""
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.decay_steps is not None:
        rate = optim.warmup_cosine(rate, config.warmup_steps, config.decay_steps)
    if config.weight_decay is None:
        return optim.adam(rate)
    return optim.clipped_adam(rate, weight_decay=config.weight_decay)


def networks_of(config: Config) -> Networks:
    """The network that `config` describes."""
    return decoder(
        config.module,
        config.vocabulary_size,
        config.context,
        config.layers,
        config.heads,
        config.width,
    )


def make(
    config: Config,
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over the network and optimiser of `config`.

    Args:
      config: see `Config`.
      nets: a network to use in place of the one that `config` describes.
      tx: an optimiser to use in place of the one that `config` describes.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from aigc_jax import transformer
      >>> algorithm = transformer.make(transformer.Config(vocabulary_size=65))
      >>> state = algorithm.init(jax.random.key(0))
      >>> batch = transformer.Batch(jnp.zeros((12, 65), int), jnp.ones((12, 64)))
      >>> state, info = jax.jit(algorithm.step)(state, batch)
      >>> algorithm.sample(state, jax.random.key(1), 2, jnp.array([0]), 10).shape
      (2, 10)
    """
    nets = nets or networks_of(config)
    tx = tx or optimizer(config)
    return Algorithm(
        init=partial(init, networks=nets, tx=tx),
        step=partial(step, networks=nets, tx=tx),
        sample=partial(sample, networks=nets),
    )
