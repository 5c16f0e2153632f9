"""The language model's options and presets: those of the package, and what an experiment adds."""

import dataclasses
from pathlib import Path
from typing import Any

from aigc_jax import transformer
from aigc_jax.data.text import DATASETS
from aigc_jax.errors import InputError
from aigc_jax.settings import setting
from experiments.cli.options import presets_of
from experiments.data import texts
from experiments.families.transformer.options import TransformerOptions, configured


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
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
        False,
        "The text is many documents separated by blank lines, each trained and evaluated on alone.",
    )

    def __post_init__(self):
        """Refuses options that exclude each other.

        Raises:
          InputError: says which.
        """
        super().__post_init__()
        if self.documents and self.masked:
            raise InputError(
                f"--documents is for models that write from the left, not for "
                f"--preset={self.preset}"
            )

    @property
    def data_name(self) -> str:
        """What the run's folder is named after: the text's own name."""
        return Path(self.text).stem if self.text else self.dataset

    @property
    def masked(self) -> bool:
        """Whether the model fills in masked tokens, and does not write from the left."""
        return self.config.order is not None


_OF_BYTE_PAIRS = {"tokenizer": "bpe"}
PRESETS = presets_of(
    LmOptions, transformer.PRESETS, gpt2=_OF_BYTE_PAIRS, llama_small=_OF_BYTE_PAIRS
)


def to_config(options: LmOptions, metadata: dict[str, Any]) -> transformer.Config:
    """The `transformer.Config` that the options describe, for a run's `metadata`.

    Raises:
      InputError: options do not fit each other.
    """
    size = texts.tokenizer(metadata).vocabulary_size
    # The last id of a model that fills in tokens is the mask's.
    return configured(options, vocabulary_size=size + 1 if options.masked else size)
