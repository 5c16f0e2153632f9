"""The language model's options and presets: each is a `transformer.Config`, under its flags."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from aigc_jax import optim, transformer
from aigc_jax.data.text import DATASETS
from aigc_jax.errors import InputError
from aigc_jax.settings import setting
from experiments.cli.options import Options
from experiments.data import texts

OPTIMISERS = {"adamw": transformer.adamw, "muon": transformer.muon}
SCHEDULES = {"cosine": optim.warmup_cosine, "stable": optim.warmup_stable_decay, "constant": None}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerOptions(Options):
    """What every experiment with a Transformer can be told of its size and training."""

    learning_rate: float = setting(
        1e-3, "Step size of the optimiser; the peak, where it has a schedule."
    )
    layers: int = setting(4, "Transformer blocks; of the encoder too, where there is one.")
    heads: int = setting(4, "Attention heads in a block.")
    width: int = setting(128, "Width of the model, a multiple of the heads.")
    dropout: float = setting(
        0.0, "Share of activations and attention weights dropped in training.", least=0
    )
    optimiser: str = setting(
        "adamw", "adamw, or muon on the blocks' matrices.", choices=tuple(OPTIMISERS)
    )
    schedule: str = setting(
        "cosine",
        "Of the learning rate after its warm-up: half a cosine to a tenth; stable, then a fall to "
        "0 over the last fifth; or constant.",
        choices=tuple(SCHEDULES),
    )
    warmup_steps: int = setting(100, "Steps over which the learning rate rises from 0.", least=0)
    weight_decay: float = setting(0.1, "Of linear layers' matrices.", least=0)
    clip: float = setting(
        1.0, "Global norm that gradients are clipped to; 0 for no bound.", least=0
    )
    smoothing: float = setting(0.0, "Share of each label that is spread over all symbols.", least=0)
    z_weight: float = setting(
        0.0, "Of the penalty that keeps the softmax's normaliser near 1.", least=0
    )
    microbatches: int = setting(
        1, "Parts, one after another, of a batch's gradient: less memory, the same step."
    )
    chunk: int | None = setting(
        None, "Positions whose logits exist at once; without it all. For large vocabularies."
    )
    dtype: str = setting("float32", "Of the computation, not of parameters.", choices=tuple(DTYPES))
    scan: bool = setting(False, "One program for all blocks: compiles faster.")
    remat: bool = setting(False, "Recompute blocks in the backward pass: less memory.")
    ema_decay: float = setting(
        0.0, "Of the averaged parameters that are judged, per step; 0 keeps none.", least=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LmOptions(TransformerOptions):
    """The options of every Transformer, and the language model's own."""

    dataset: str = setting("python_docs", "What to train on.", choices=DATASETS)
    text: str | None = setting(
        None, "A UTF-8 file to train on instead.", changeable=True, path=True
    )
    tokenizer: str = setting("char", "What a token is.", choices=texts.TOKENIZERS)
    vocabulary: int | None = setting(
        None, f"Tokens of --tokenizer=bpe; without it {texts.VOCABULARY}.", least=256
    )
    documents: bool = setting(
        False, "The text is many, parted by blank lines: each is learnt and judged on its own."
    )
    context: int = setting(64, "Tokens that the model sees at once.", least=2)
    window: int | None = setting(
        None, "Tokens that a layer sees at once, its own included; without it all."
    )
    key_heads: int | None = setting(
        None, "Heads of keys and values, a divisor of the heads; without it as many."
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is called after: the text, by its own name."""
        return Path(self.text).stem if self.text else self.dataset


_ADAMW = LmOptions(
    steps=2000, batch_size=12, eval_every=500, checkpoint_every=500, steps_per_dispatch=20
)
_DEFAULT = dataclasses.replace(_ADAMW, optimiser="muon", learning_rate=3e-3)
_LARGER: dict[str, Any] = {
    "eval_every": 250,
    "checkpoint_every": 250,
    "log_every": 50,
    "steps_per_dispatch": 10,
}
PRESETS = {
    "default": _DEFAULT,
    "textbook": dataclasses.replace(
        _ADAMW,
        preset="textbook",
        learning_rate=3e-4,
        schedule="constant",
        weight_decay=0.0,
        clip=0.0,
    ),
    "nano": dataclasses.replace(_DEFAULT, preset="nano"),
    "char": dataclasses.replace(
        _ADAMW,
        **_LARGER,
        preset="char",
        steps=5000,
        batch_size=64,
        context=256,
        layers=6,
        heads=6,
        width=384,
        dropout=0.2,
    ),
    "gpt2": dataclasses.replace(
        _ADAMW,
        **_LARGER,
        preset="gpt2",
        tokenizer="bpe",
        context=1024,
        layers=12,
        heads=12,
        width=768,
        learning_rate=6e-4,
        warmup_steps=2000,
        dtype="bfloat16",
        steps=20_000,
    ),
    "llama_small": dataclasses.replace(
        _ADAMW,
        **_LARGER,
        preset="llama_small",
        tokenizer="bpe",
        context=512,
        layers=8,
        heads=8,
        key_heads=2,
        width=512,
        steps=20_000,
    ),
}
_MAKERS = {
    "default": transformer.nano,
    "textbook": transformer.textbook,
    "nano": transformer.nano,
    "char": transformer.char,
    "gpt2": transformer.gpt2,
    "llama_small": transformer.llama_small,
}
_AS_THEY_ARE = (
    "layers",
    "heads",
    "width",
    "dropout",
    "learning_rate",
    "warmup_steps",
    "weight_decay",
    "scan",
    "remat",
    "microbatches",
    "ema_decay",
)


ROWS = 64  # whose loss is computed at once at most, where training has as many


class Thrift(NamedTuple):
    """How much of an evaluation exists at once."""

    rows: int
    positions: int | None  # whose logits do; None: all, see `transformer.mean_nll`


def thrift(options: TransformerOptions) -> Thrift:
    """No more than of a step of training."""
    return Thrift(min(ROWS, options.batch_size // options.microbatches), options.chunk)


def shared_changes(options: TransformerOptions) -> dict[str, Any]:
    """The fields of a `transformer.Config` that the options of every Transformer decide.

    Raises:
      InputError: a share is not one.
    """
    for name in ("smoothing", "ema_decay"):
        if not getattr(options, name) < 1:
            raise InputError(f"--{name} must be below 1, got {getattr(options, name)}")
    if options.batch_size % options.microbatches:
        raise InputError(
            f"--microbatches={options.microbatches} does not divide "
            f"--batch_size={options.batch_size}"
        )
    changes: dict[str, Any] = {name: getattr(options, name) for name in _AS_THEY_ARE}
    changes["optimiser"] = OPTIMISERS[options.optimiser]
    changes["decay_steps"] = options.steps
    changes["schedule"] = SCHEDULES[options.schedule]
    if options.schedule == "constant":
        changes |= {"schedule": optim.warmup_cosine, "decay_steps": None}
    changes["clip_norm"] = options.clip or None
    changes["dtype"] = DTYPES[options.dtype]
    changes["objective"] = transformer.Objective(options.smoothing, options.z_weight, options.chunk)
    return changes


def to_config(options: LmOptions, metadata: dict[str, Any]) -> transformer.Config:
    """The `transformer.Config` that the options describe, for a run of which `metadata` are known.

    Raises:
      InputError: options do not fit each other.
    """
    changes = shared_changes(options)
    changes |= {name: getattr(options, name) for name in ("context", "window", "key_heads")}
    try:
        return _MAKERS[options.preset](texts.tokenizer(metadata).vocabulary_size, **changes)
    except ValueError as error:
        raise InputError(str(error)) from error
