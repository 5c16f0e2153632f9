"""What each metric of a translator means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.families.transformer.descriptions import of_tokens

_TRANSLATIONS = {
    "exact_match": "share of held-out translations that equal the reference, character for "
    "character; here and below, beside it: the source itself in place of a translation",
    "chrf": "F-score of character n-grams, 0 to 100, by sacreBLEU",
    "bleu": "precision of word n-grams, with a penalty for short translations, 0 to 100, by "
    "sacreBLEU",
}


def of_translation(options: Any, metadata: Mapping[str, Any]) -> dict[str, str]:
    """By name."""
    told = of_tokens("every token of a translation and its end, given the source")
    return {**told, **_TRANSLATIONS}
