"""Presets of Transformers: configurations that were tried, and what a run of each reaches."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp

from aigc_jax import optim
from aigc_jax.layers import gelu_tanh
from aigc_jax.settings import Preset, Run
from aigc_jax.transformer.architecture import LLAMA_BLOCKS, TEXTBOOK_BLOCKS, Positions
from aigc_jax.transformer.config import Config
from aigc_jax.transformer.masking import diffusion
from aigc_jax.transformer.model import Objective
from aigc_jax.transformer.optimisers import adamw

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

MASKED = Preset(
    "masked",
    "Masked diffusion, Sahoo et al. 2024: four layers of width 128 that fill in tokens in any "
    "order, with rotary positions.",
    Config(
        context=128,
        positions=Positions.ROTARY,
        learning_rate=6e-3,
        ema_decay=0.999,
        order=diffusion,
    ),
    replace(_SHORT, steps=9000, batch_size=16, eval_every=3000, checkpoint_every=1000),
    command=_COMMAND + "masked --text=tinyshakespeare.txt",
    time=f"1,940 s beside other work {_TWO_CORES}, of which 990 s of processor time",
    reaches="at most 1.8075 ± 0.0035 nats per character of Shakespeare's plays: a bound (seed 0)",
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

PRESETS = (DEFAULT, TEXTBOOK, NANO, CHAR, GPT2, LLAMA_SMALL, MASKED)
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
