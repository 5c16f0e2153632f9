"""What each metric of a language model means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.families.lm.options import LmOptions
from experiments.families.transformer.descriptions import of_tokens


def of_lm(options: LmOptions, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a language model."""
    if options.documents:
        evaluated = "every token but the first of each document, which is read alone"
    else:
        evaluated = f"every token but the first, in windows of {options.context} tokens"
    counting = ", beside models that count tokens, and pairs of tokens"
    return {
        **of_tokens(evaluated + counting),
        "bits_per_byte": "the same, in bits per byte of UTF-8: comparable between tokenisers",
    }
