"""The translator's options and presets: each is a `transformer.Config`, under its flags."""

import dataclasses
from pathlib import Path
from typing import Any

from aigc_jax import transformer
from aigc_jax.errors import InputError
from experiments.cli.options import option
from experiments.families.transformer.options import TransformerOptions, shared_changes


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslateOptions(TransformerOptions):
    """The options of every Transformer, and the translator's own."""

    dataset: str = option("cldr", "Dates and names, where there are no files.", choices=("cldr",))
    source: str = option("en", "Language to translate from; of cldr, any locale such as pt_BR.")
    target: str = option("zh", "Language to translate to; it also decides how BLEU cuts words.")
    pairs: str | None = option(
        None,
        "A UTF-8 file to train on instead: source, tab, target in each line.",
        changeable=True,
        path=True,
    )
    source_file: str | None = option(
        None,
        "A UTF-8 file of sentences to translate from, one in a line.",
        changeable=True,
        path=True,
    )
    target_file: str | None = option(
        None, "Their translations, line by line, with --source_file.", changeable=True, path=True
    )
    heldout_source: str | None = option(
        None, "Sentences to judge by; without it a tenth of the pairs.", changeable=True, path=True
    )
    heldout_target: str | None = option(None, "Their translations.", changeable=True, path=True)
    vocabulary: int = option(1000, "Tokens of the BPE that both languages share.", least=259)
    hidden: int | None = option(None, "Width of the feed-forward layers; without it four widths.")
    source_context: int = option(64, "Tokens of a source, and of a row that is packed with them.")
    context: int = option(64, "The same of a target.")
    beams: int = option(4, "Hypotheses that are followed at once in translating.", changeable=True)
    alpha: float = option(
        0.6, "Of the length penalty: 0 prefers short translations.", least=0, changeable=True
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is called after."""
        own = self.pairs or self.source_file
        return Path(own).stem if own else f"{self.dataset}-{self.source}-{self.target}"


_DEFAULT = TranslateOptions(
    steps=3000,
    batch_size=32,
    optimiser="muon",
    learning_rate=2e-3,
    layers=2,
    smoothing=0.1,
    ema_decay=0.99,
    warmup_steps=200,
    eval_every=500,
    checkpoint_every=500,
    log_every=100,
    steps_per_dispatch=10,
)
PRESETS = {
    "default": _DEFAULT,
    "tiny_mt": dataclasses.replace(
        _DEFAULT,
        preset="tiny_mt",
        steps=4000,
        learning_rate=3e-3,
        layers=4,
        hidden=256,
        dropout=0.3,
        source_context=128,
        context=128,
        vocabulary=10_000,
        ema_decay=0.998,
        warmup_steps=400,
        beams=5,
    ),
}


def to_config(options: TranslateOptions, vocabulary_size: int) -> transformer.Config:
    """The `transformer.Config` that the options describe.

    Raises:
      InputError: options do not fit each other.
    """
    changes: dict[str, Any] = shared_changes(options)
    changes |= {name: getattr(options, name) for name in ("hidden", "source_context", "context")}
    try:
        return transformer.tiny_mt(vocabulary_size, encoder_layers=options.layers, **changes)
    except ValueError as error:
        raise InputError(str(error)) from error
