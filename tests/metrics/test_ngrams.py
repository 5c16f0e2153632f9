import math

import numpy as np
import pytest

from aigc_jax.metrics import ngrams
from aigc_jax.metrics.ngrams import bigram_nll, unigram_nll


def test_unigrams_of_a_worked_example():
    # Counts 3, 1, 0 over three tokens: p = 4/7, 2/7, 1/7. The first held-out token is not counted.
    train, heldout = np.array([0, 0, 1, 0]), np.array([2, 0, 1, 2])
    expected = (math.log(7 / 4) + math.log(7 / 2) + math.log(7)) / 3
    assert unigram_nll(train, heldout, 3) == pytest.approx(expected, rel=1e-12)


def test_bigrams_of_a_worked_example():
    # Pairs 00, 01, 10: p(·|0) = 2/5, 2/5, 1/5; p(·|1) = 2/4, 1/4, 1/4; p(·|2) = 1/3 each.
    train, heldout = np.array([0, 0, 1, 0]), np.array([2, 0, 1, 1, 2, 2])
    ps = [1 / 3, 2 / 5, 1 / 4, 1 / 4, 1 / 3]
    expected = -sum(map(math.log, ps)) / 5
    assert bigram_nll(train, heldout, 3) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("nll", [unigram_nll, bigram_nll])
def test_nothing_learned_is_the_uniform_distribution(nll):
    heldout = np.array([3, 1, 4, 1])
    assert nll(np.zeros(0, np.int32), heldout, 7) == pytest.approx(math.log(7), rel=1e-12)


def test_pairs_tell_more_than_single_tokens_where_order_matters():
    tokens = np.arange(4000) % 5
    assert bigram_nll(tokens[:3000], tokens[3000:], 5) < 0.05
    assert unigram_nll(tokens[:3000], tokens[3000:], 5) == pytest.approx(math.log(5), abs=0.01)


def table_nll(train, heldout, symbols):
    """The pairs' loss by a table of all of them."""
    counts = np.ones((symbols, symbols))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    return -log_p[heldout[:-1], heldout[1:]].mean()


@pytest.mark.parametrize("block", [3, 50, 10**6])
@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_pairs_are_counted_as_by_a_table_of_all_of_them(rng, monkeypatch, block, dtype):
    monkeypatch.setattr(ngrams, "_BLOCK", block)
    train, heldout = (rng.integers(300, size=size).astype(dtype) for size in (5000, 701))
    assert bigram_nll(train, heldout, 300) == pytest.approx(
        table_nll(train, heldout, 300), rel=1e-12
    )
    counts = np.bincount(train, minlength=300) + 1.0
    expected = -np.log(counts / counts.sum())[heldout[1:]].mean()
    assert unigram_nll(train, heldout, 300) == pytest.approx(expected, rel=1e-12)


def test_a_large_vocabulary_needs_no_table():
    tokens = np.arange(2000, dtype=np.uint32) * 1000
    assert bigram_nll(tokens, tokens, 2_000_000) == pytest.approx(np.log(2_000_001 / 2), rel=1e-9)
