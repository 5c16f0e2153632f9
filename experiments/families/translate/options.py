"""The translator's options and presets: those of the package, and what an experiment adds."""

import dataclasses
from pathlib import Path

from aigc_jax import transformer
from aigc_jax.settings import setting
from experiments.cli.options import presets_of
from experiments.families.transformer.options import TransformerOptions, configured


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class TranslateOptions(TransformerOptions):
    """The options of every Transformer, and the translator's own."""

    config: transformer.Config = transformer.DATES.config
    dataset: str = setting("cldr", "Dates and names, if no files are given.", choices=("cldr",))
    source: str = setting("en", "Language to translate from; for cldr, any locale such as pt_BR.")
    target: str = setting("zh", "Language to translate to; it also decides how BLEU splits words.")
    pairs: str | None = setting(
        None,
        "A UTF-8 file to train on instead: source, tab, target in each line.",
        changeable=True,
        path=True,
    )
    source_file: str | None = setting(
        None,
        "A UTF-8 file of sentences to translate from, one in a line.",
        changeable=True,
        path=True,
    )
    target_file: str | None = setting(
        None, "Their translations, line by line, with --source_file.", changeable=True, path=True
    )
    heldout_source: str | None = setting(
        None,
        "Sentences to evaluate on; without it a tenth of the pairs.",
        changeable=True,
        path=True,
    )
    heldout_target: str | None = setting(None, "Their translations.", changeable=True, path=True)
    vocabulary: int = setting(1000, "Tokens of the BPE that both languages share.", least=259)
    source_context: int = setting(64, "Tokens of a source, and of a row that is packed with them.")
    beams: int = setting(4, "Hypotheses that beam search keeps in translating.", changeable=True)
    alpha: float = setting(
        0.6, "Of the length penalty; 0 prefers short translations.", least=0, changeable=True
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is named after."""
        own = self.pairs or self.source_file
        return Path(own).stem if own else f"{self.dataset}-{self.source}-{self.target}"


PRESETS = presets_of(
    TranslateOptions,
    transformer.TRANSLATORS,
    tiny_mt={"source_context": 128, "vocabulary": 10_000, "beams": 5},
)


def to_config(options: TranslateOptions, vocabulary_size: int) -> transformer.Config:
    """The `transformer.Config` that the options describe.

    Raises:
      InputError: options do not fit each other.
    """
    return configured(
        options,
        vocabulary_size=vocabulary_size,
        encoder_layers=options.config.layers,
        source_context=options.source_context,
    )
