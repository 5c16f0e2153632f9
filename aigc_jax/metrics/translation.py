"""How close translations are to the reference: exact match, and BLEU and chrF by sacreBLEU.

BLEU and chrF depend on tokenisation, case and version; their signatures say which. Scores under
different signatures are not comparable.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aigc_jax.errors import InputError

# Languages without spaces between words, and how to tokenise them. For Japanese there is a better
# way, mecab, that needs a dictionary installed.
_TOKENIZERS = {"zh": "zh", "yue": "zh"} | dict.fromkeys(("ja", "th", "lo", "km", "my"), "char")


class Score(NamedTuple):
    """A corpus's score and what it was computed with."""

    score: float  # in [0, 100]
    signature: str


def exact_match(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """The share of hypotheses that are the reference, character by character.

        1/N Σ_i [h_i = r_i]

    Args:
      hypotheses, references: N texts each, N ≥ 1.

    Returns:
      In [0, 1].

    Raises:
      ValueError: there are none, or not equally many of both.
    """
    _check(hypotheses, references)
    matches = sum(h == r for h, r in zip(hypotheses, references, strict=True))
    return matches / len(references)


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str = "",
    lowercase: bool = False,
) -> Score:
    """BLEU of a corpus with one reference: how many 1- to 4-grams of words are the reference's.

        BLEU = 100 min(1, e^(1 − r / h)) (p_1 p_2 p_3 p_4)^¼

    h and r are the lengths in words of all hypotheses and of all references, p_n the share of the
    hypotheses' n-grams that occur in their references (each as often as there). A p_n of 0 is
    smoothed, and where not one hypothesis has four words the score is 0, even if all are right.

    Args:
      hypotheses, references: N texts each, N ≥ 1, as people write them: not yet tokenised.
      language: theirs, such as `zh` or `pt_BR`: it decides the tokeniser, see `tokenizer`.
      lowercase: whether to ignore case.

    Raises:
      InputError: sacrebleu is missing.
      ValueError: there are none, or not equally many of both.

    Source: Papineni et al. 2002, https://aclanthology.org/P02-1040; Post 2018,
    https://arxiv.org/abs/1804.08771.
    """
    _check(hypotheses, references)
    # `force` only silences a warning about texts that look tokenised already.
    metric = _sacrebleu().BLEU(lowercase=lowercase, tokenize=tokenizer(language), force=True)
    return _scored(metric, hypotheses, references)


def chrf(hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False) -> Score:
    """chrF2 of a corpus with one reference: precision P and recall R of n-grams of characters.

        chrF = 100 (1 + β²) P R / (β² P + R),  β = 2

    P and R are means over those n of 1 … 6 that both sides have n-grams of. White space does not
    count, so the tokeniser does not matter.

    Args and Raises: as for `bleu`.

    Source: Popović 2015, https://aclanthology.org/W15-3049.
    """
    _check(hypotheses, references)
    return _scored(_sacrebleu().CHRF(lowercase=lowercase), hypotheses, references)


def tokenizer(language: str) -> str:
    """sacreBLEU's tokeniser of a language: `zh`, `char` or, where spaces separate words, `13a`."""
    return _TOKENIZERS.get(language.lower().replace("-", "_").partition("_")[0], "13a")


def _scored(metric: Any, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    # The mean of logarithms gives a little more than 100 for a perfect score.
    return Score(min(score, 100.0), str(metric.get_signature()))


def require() -> None:
    """Refuses early to evaluate translations without sacrebleu.

    Raises:
      InputError: it is missing.
    """
    _sacrebleu()


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ImportError as error:
        message = "BLEU and chrF need sacrebleu: pip install 'aigc_jax[translation]'"
        raise InputError(message) from error
    return sacrebleu


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references) or not references:
        counts = f"{len(hypotheses)} hypotheses, {len(references)} references"
        raise ValueError(f"equally many of both are needed, and at least one: {counts}")
