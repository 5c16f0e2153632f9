"""The configuration of a Transformer, its presets, and the algorithm that it makes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm, Info, Key, State
from aigc_jax.layers import gelu_tanh
from aigc_jax.settings import Preset, Run, configuration, setting
from aigc_jax.transformer.architecture import LLAMA_BLOCKS, TEXTBOOK_BLOCKS, Architecture
from aigc_jax.transformer.beam import Beams
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


_SHORT = Run(
    steps=2000,
    batch_size=12,
    eval_every=500,
    checkpoint_every=500,
    steps_per_dispatch=20,
    decay=True,
)
_LONGER = replace(_SHORT, eval_every=250, checkpoint_every=250, log_every=50, steps_per_dispatch=10)
_SENTENCES = replace(_SHORT, steps=3000, batch_size=32, steps_per_dispatch=10)
_COMMAND = "python -m experiments.lm --preset="
_TWO_CORES = "on 2 cores of an AMD EPYC"
_NANO = Config()

DEFAULT = Preset(
    "default",
    "Four layers of width 128, by Muon.",
    _NANO,
    _SHORT,
    command="python -m experiments.lm",
    time=f"87 s {_TWO_CORES}",
    reaches="1.199 ± 0.010 nats per character of python_docs (3 seeds)",
)

NANO = replace(
    DEFAULT,
    name="nano",
    about="The default by another name.",
    command=_COMMAND + "nano --text=tinyshakespeare.txt",
    time=f"66 s {_TWO_CORES}",
    reaches="1.624 nats per character of Shakespeare's plays (seed 0)",
)

TEXTBOOK = Preset(
    "textbook",
    "The source article's: post-norm, ReLU, sinusoidal positions; Adam at a constant rate.",
    Config(
        **TEXTBOOK_BLOCKS,
        optimiser=adamw,
        weight_decay=0.0,
        clip_norm=0.0,
        b2=0.999,
        learning_rate=3e-4,
        schedule=optim.constant,
    ),
    _SHORT,
    command=_COMMAND + "textbook",
    time=f"54 s {_TWO_CORES}",
    reaches="1.507 ± 0.015 nats per character of python_docs (3 seeds)",
)

CHAR = Preset(
    "char",
    "Six layers of width 384, for 256 characters of context, with dropout; nanoGPT's recipe.",
    Config(
        context=256,
        layers=6,
        heads=6,
        width=384,
        bias=False,
        dropout=0.2,
        optimiser=adamw,
        learning_rate=1e-3,
    ),
    replace(_LONGER, steps=5000, batch_size=64),
    command=_COMMAND + "char --text=tinyshakespeare.txt",
    time="not measured: for an accelerator",
    reaches="not measured",
)

GPT2 = Preset(
    "gpt2",
    "The smallest GPT-2, 124M parameters with its own vocabulary: Radford et al. 2019.",
    Config(
        vocabulary_size=50_257,
        context=1024,
        layers=12,
        heads=12,
        width=768,
        activation=gelu_tanh,
        optimiser=adamw,
        learning_rate=6e-4,
        warmup_steps=2000,
        b2=0.95,
        dtype=jnp.bfloat16,
    ),
    replace(_LONGER, steps=20_000),
    command=_COMMAND + "gpt2 --text=FILE",
    time="not measured: for an accelerator",
    reaches="not measured",
)

LLAMA_SMALL = Preset(
    "llama_small",
    "Llama's blocks at eight layers of width 512: rotary, RMSNorm, SwiGLU, grouped queries.",
    Config(
        **LLAMA_BLOCKS,
        context=512,
        layers=8,
        heads=8,
        num_kv_heads=2,
        width=512,
        hidden=1408,
        query_key_norm=True,
        optimiser=adamw,
        learning_rate=1e-3,
        b2=0.95,
    ),
    replace(_LONGER, steps=20_000),
    command=_COMMAND + "llama_small --text=FILE",
    time="not measured: for an accelerator",
    reaches="not measured",
)

DATES = Preset(
    "default",
    "An encoder and a decoder of two layers of width 128, for short phrases, by Muon.",
    Config(
        layers=2,
        encoder_layers=2,
        objective=Objective(smoothing=0.1),
        learning_rate=2e-3,
        warmup_steps=200,
        b2=0.98,
        ema_decay=0.99,
    ),
    _SENTENCES,
    command="python -m experiments.translate",
    time="1,840 s on one core of an AMD EPYC, beside other work",
    reaches="exact match 100 % of 7,587 unseen dates, English to Chinese (seed 0)",
)

TINY_MT = Preset(
    "tiny_mt",
    "Four layers of width 128 each way, for sentences; sizes of Wu et al. 2021, "
    "https://arxiv.org/abs/2105.14462.",
    Config(
        context=128,
        source_context=128,
        encoder_layers=4,
        hidden=256,
        dropout=0.3,
        objective=Objective(smoothing=0.1),
        learning_rate=3e-3,
        warmup_steps=400,
        b2=0.98,
        ema_decay=0.998,
    ),
    replace(_SENTENCES, steps=4000),
    command="python -m experiments.translate --preset=tiny_mt --source=en --target=de, with "
    "Multi30k's files",
    time="4,420 s on one core of an AMD EPYC, beside other work",
    reaches="BLEU 39.7 on the validation part (sacreBLEU, cased, beam 5, seed 0)",
)

PRESETS = (DEFAULT, TEXTBOOK, NANO, CHAR, GPT2, LLAMA_SMALL)
"""Of language models; the first is the default."""
TRANSLATORS = (DATES, TINY_MT)
"""Of encoders with decoders; the first is the default."""


def _configured(preset: Preset[Config], vocabulary_size: int | None = None, **changes: Any):
    """A preset's config for a vocabulary of this size."""
    sizes = {} if vocabulary_size is None else {"vocabulary_size": vocabulary_size}
    return preset.configured(**sizes, **changes)


# `nano(65, layers=2)` is `NANO.configured(vocabulary_size=65, layers=2)`.
textbook = partial(_configured, TEXTBOOK)
nano = partial(_configured, NANO)
char = partial(_configured, CHAR)
gpt2 = partial(_configured, GPT2)
llama_small = partial(_configured, LLAMA_SMALL)
tiny_mt = partial(_configured, TINY_MT)


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
    config = configuration(config)
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
