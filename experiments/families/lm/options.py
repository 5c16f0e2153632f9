"""The language model's options and presets: each is a `transformer.Config`, under its flags."""

import dataclasses
from pathlib import Path
from typing import Any

from aigc_jax import transformer
from aigc_jax.data.text import DATASETS
from aigc_jax.errors import InputError
from experiments.cli.options import option
from experiments.data import texts
from experiments.families.transformer.options import TransformerOptions, shared_changes


@dataclasses.dataclass(frozen=True, kw_only=True)
class LmOptions(TransformerOptions):
    """The options of every Transformer, and the language model's own."""

    dataset: str = option("python_docs", "What to train on.", choices=DATASETS)
    text: str | None = option(None, "A UTF-8 file to train on instead.", changeable=True, path=True)
    tokenizer: str = option("char", "What a token is.", choices=texts.TOKENIZERS)
    vocabulary: int | None = option(
        None, f"Tokens of --tokenizer=bpe; without it {texts.VOCABULARY}.", least=256
    )
    documents: bool = option(
        False,
        "The text holds many, separated by blank lines: each is trained and evaluated on alone.",
    )
    context: int = option(64, "Tokens that the model sees at once.", least=2)
    window: int | None = option(
        None, "Tokens that a layer sees at once, its own included; without it all."
    )
    key_heads: int | None = option(
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


def to_config(options: LmOptions, metadata: dict[str, Any]) -> transformer.Config:
    """The `transformer.Config` that the options describe, for a run of which `metadata` are known.

    Raises:
      InputError: options do not fit each other.
    """
    changes = shared_changes(options)
    changes |= {"context": options.context, "window": options.window}
    changes["num_kv_heads"] = options.key_heads
    try:
        return _MAKERS[options.preset](texts.tokenizer(metadata).vocabulary_size, **changes)
    except ValueError as error:
        raise InputError(str(error)) from error
