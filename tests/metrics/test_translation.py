import math
import re
import sys

import pytest
import sacrebleu

from aigc_jax.errors import InputError
from aigc_jax.metrics.translation import bleu, chrf, exact_match, tokenizer

ENGLISH = ["The dog bit the man.", "It was not unexpected."]


def test_exact_match_counts_whole_texts():
    hypotheses = ["1. Mai", "2. mai", "3. Mai ", "", "5. Ma"]
    assert exact_match(hypotheses, ["1. Mai", "2. Mai", "3. Mai", "", "5. Mai"]) == 2 / 5
    assert exact_match(["a"], ["a"]) == 1.0
    assert exact_match(["a"], ["b"]) == 0.0


def test_the_right_text_at_the_wrong_place_is_no_match():
    assert exact_match(["a", "b"], ["b", "a"]) == 0.0


@pytest.mark.parametrize("score", [bleu, chrf])
def test_identical_texts_have_100(score):
    assert score(ENGLISH, ENGLISH).score == 100.0


def test_bleu_of_worked_examples():
    # Every n-gram is right, one word is missing: the brevity penalty alone.
    assert bleu(["a b c d e"], ["a b c d e f"]).score == pytest.approx(100 * math.exp(1 - 6 / 5))
    # Precisions 4/5, 3/4, 2/3, 1/2: their product is 1/5.
    assert bleu(["a b c d x"], ["a b c d e"]).score == pytest.approx(100 * 0.2**0.25)
    # Counts are of the corpus, so 7/8, 5/6, 3/4, 1/2.
    metric = bleu(["a b c d", "a b c x"], ["a b c d", "a b c d"]).score
    assert metric == pytest.approx(100 * (7 / 8 * 5 / 6 * 3 / 4 * 1 / 2) ** 0.25)


def test_bleu_sees_nothing_of_texts_below_four_words():
    assert bleu(["a b"], ["a b"]).score == 0.0
    assert bleu(["a b", "a b c d"], ["a b", "a b c d"]).score == 100.0


def test_chrf_of_a_worked_example():
    # n = 1, 2: precisions 1 and 1, recalls 2/3 and 1/2, whose mean is 7/12.
    expected = 100 * 5 * 1 * (7 / 12) / (4 * 1 + 7 / 12)
    assert chrf(["ab"], ["abc"]).score == pytest.approx(expected)
    assert chrf(["a b"], ["abc"]).score == pytest.approx(expected)


def test_case_counts_unless_told_otherwise():
    shouted = [text.upper() for text in ENGLISH]
    for score in (bleu, chrf):
        assert score(shouted, ENGLISH).score < 50
        assert score(shouted, ENGLISH, lowercase=True).score == 100.0
        assert "case:mixed" in score(shouted, ENGLISH).signature
        assert "case:lc" in score(shouted, ENGLISH, lowercase=True).signature


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("zh", "zh"),
        ("zh_Hant_TW", "zh"),
        ("ZH-cn", "zh"),
        ("yue", "zh"),
        ("ja", "char"),
        ("de", "13a"),
        ("pt-BR", "13a"),
        ("zha", "13a"),  # Zhuang, which spaces its words
        ("", "13a"),
    ],
)
def test_the_language_decides_the_tokeniser(language, name):
    assert tokenizer(language) == name
    assert f"|tok:{name}|" in bleu(ENGLISH, ENGLISH, language).signature


def test_chinese_is_cut_into_characters():
    # Nine of ten characters and no space: of words, as 13a has them, none would be right.
    hypothesis, reference = ["2024年1月2日星期三"], ["2024年1月2日星期二"]
    assert 50 < bleu(hypothesis, reference, "zh").score < 100
    assert bleu(hypothesis, reference, "de").score == 0.0


def test_signatures_name_the_version_and_what_else_decides():
    signature = bleu(ENGLISH, ENGLISH, "zh").signature
    assert f"version:{sacrebleu.__version__}" in signature
    assert re.match(r"nrefs:1\|case:mixed\|eff:no\|tok:zh\|smooth:exp\|", signature)
    signature = chrf(ENGLISH, ENGLISH).signature
    assert f"version:{sacrebleu.__version__}" in signature
    assert "nc:6|nw:0|space:no" in signature


def test_nothing_is_logged_to_the_terminal(caplog):
    tokenised = ["It is so ."] * 150
    bleu(tokenised, tokenised)
    assert not caplog.records


@pytest.mark.parametrize("score", [exact_match, bleu, chrf])
@pytest.mark.parametrize(("hypotheses", "references"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_texts_that_do_not_pair_are_refused(score, hypotheses, references):
    counts = f"{len(hypotheses)} hypotheses, {len(references)} references"
    with pytest.raises(ValueError, match=counts):
        score(hypotheses, references)


@pytest.mark.parametrize("score", [bleu, chrf])
def test_without_sacrebleu_the_way_to_it_is_named(monkeypatch, score):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(InputError, match=r"pip install 'aigc_jax\[translation\]'"):
        score(ENGLISH, ENGLISH)
    assert exact_match(ENGLISH, ENGLISH) == 1.0
