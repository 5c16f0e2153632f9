"""Beam search: against all hypotheses there are, and against a search written with lists."""

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.transformer import beam

V, L, END = 4, 5, 2
PROMPTS = np.array([[1, 2], [0, 7], [2, 2], [3, 7]])
LENGTHS = np.array([2, 1, 2, 1])  # what is beyond is not in the vocabulary


class Slots(NamedTuple):
    """The cache of a network that looks at all tokens so far."""

    tokens: jax.Array  # [B, L]; 99 where nothing was ever read
    passes: jax.Array  # [B], calls of the network


def table(seed, end=0.0):
    """What a token at each place adds to the logits; `end` more for the end token."""
    drawn = np.random.default_rng(seed).normal(size=(L, V, V)).astype(np.float32)
    drawn[0, :, END] += end
    return drawn


def extend(table, cache, tokens, positions):
    """Logits at t are Σ_{s ≤ t} table[s, x_s], with x as the cache has it."""
    kept = cache.tokens.at[jnp.arange(len(tokens))[:, None], positions].set(tokens)
    votes = table[jnp.arange(L)[None], kept]  # 99 gives NaN
    seen = jnp.arange(L)[None, None] <= positions[:, :, None]
    logits = jnp.where(seen[..., None], votes[:, None], 0).sum(axis=2)
    return logits, Slots(kept, cache.passes + 1)


def slots(rows):
    return Slots(jnp.full((rows, L), 99), jnp.zeros(rows, int))


@partial(jax.jit, static_argnames=("beams", "alpha", "stop"))
def search(table, prompts, lengths, beams, alpha, stop=END):
    network = partial(extend, table)
    return beam.beam_search(
        network, slots(len(prompts)), prompts, lengths, L, beams, stop=stop, alpha=alpha
    )


def log_p(table, row):
    """log P of each token that may follow a row, in float64."""
    logits = sum(np.float64(table[s, x]) for s, x in enumerate(row))
    return logits - np.log(np.exp(logits).sum())


def penalized(score, row, prompt, alpha):
    return score / ((5 + len(row) - len(prompt)) / 6) ** alpha


def all_ended(table, prompt, alpha):
    """Every hypothesis that ends: (score, row), the best first."""
    ended = []
    for n in range(1, L - len(prompt) + 1):
        others = [v for v in range(V) if v != END]
        for middle in itertools.product(others, repeat=n - 1):
            row = [*prompt, *middle, END]
            score = sum(log_p(table, row[:t])[row[t]] for t in range(len(prompt), len(row)))
            ended.append((penalized(score, row, prompt, alpha), row))
    return sorted(ended, reverse=True)


def listed_search(table, prompt, beams, alpha, stop=END):
    """Beam search to the greatest length, with lists: (score, row), the best first."""
    alive, ended = [(0.0, list(prompt))], []
    while len(alive[0][1]) < L:
        candidates = [(s + log_p(table, r)[v], [*r, v]) for s, r in alive for v in range(V)]
        candidates = sorted(candidates, reverse=True)[: 2 * beams]
        ended += [(s, r) for s, r in candidates[:beams] if r[-1] == stop]
        alive = [(s, r) for s, r in candidates if r[-1] != stop][:beams]
    found = [(penalized(s, r, prompt, alpha), r) for s, r in ended or alive]
    return sorted(found, reverse=True)[:beams]


def found_by(result, i):
    """The hypotheses of prompt i, after a look at what is not a token."""
    tokens, lengths, scores = (np.asarray(x[i]) for x in result)
    for row, n in zip(tokens, lengths, strict=True):
        assert not row[n:].any()
    exist = scores > -np.inf
    assert not lengths[~exist].any()
    assert (np.diff(scores[exist]) <= 0).all()
    rows = zip(scores[exist], tokens[exist], lengths[exist], strict=True)
    return [(float(s), [int(x) for x in row[:n]]) for s, row, n in rows]


def assert_same(found, expected):
    assert [row for _, row in found] == [row for _, row in expected]
    np.testing.assert_allclose([s for s, _ in found], [s for s, _ in expected], rtol=1e-4)


def own(i):
    return [int(x) for x in PROMPTS[i, : LENGTHS[i]]]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_enough_beams_find_all_hypotheses_in_order(alpha):
    for seed in range(1, 4):  # of 0, two hypotheses are as good but for the sixth digit
        result = search(table(seed), PROMPTS, LENGTHS, 128, alpha)
        for i in range(len(PROMPTS)):
            assert_same(found_by(result, i), all_ended(table(seed), own(i), alpha))


@pytest.mark.parametrize(("beams", "alpha"), [(1, 0.0), (2, 0.6), (3, 2.0)])
def test_few_beams_find_what_a_search_with_lists_finds(beams, alpha):
    for seed, end in itertools.product(range(6), (0.0, -2.0)):
        values = table(seed, end)
        result = search(values, PROMPTS, LENGTHS, beams, alpha)
        for i in range(len(PROMPTS)):
            assert_same(found_by(result, i), listed_search(values, own(i), beams, alpha))


def test_few_beams_miss_some_of_the_best_so_that_lists_are_needed():
    values = [table(seed) for seed in range(6)]
    found = [listed_search(v, own(0), 2, 0.6) == all_ended(v, own(0), 0.6)[:2] for v in values]
    assert any(found)
    assert not all(found)


def test_a_single_beam_is_greedy_decoding_without_a_length_penalty():
    for seed in range(6):
        result = search(table(seed), PROMPTS, LENGTHS, 1, 0.0)
        for i in range(len(PROMPTS)):
            row = own(i)
            while len(row) < L and (len(row) == len(own(i)) or row[-1] != END):
                row.append(int(log_p(table(seed), row).argmax()))
            assert [r for _, r in found_by(result, i)] == [row]


def test_hypotheses_end_with_the_first_end_token_that_they_generate():
    result = search(table(0), PROMPTS, LENGTHS, 3, 2.0)
    for i in range(len(PROMPTS)):
        for _, row in found_by(result, i):
            assert row[: LENGTHS[i]] == own(i)  # of which one has end tokens
            assert row.index(END, LENGTHS[i]) == len(row) - 1


@pytest.mark.parametrize(("end", "stop"), [(-50.0, END), (0.0, None)])
def test_beams_that_did_not_end_are_given_where_none_did(end, stop):
    values = table(1, end)
    result = search(values, PROMPTS, LENGTHS, 3, 2.0, stop=stop)
    for i in range(len(PROMPTS)):
        found = found_by(result, i)
        assert_same(found, listed_search(values, own(i), 3, 2.0, stop))
        assert [len(row) for _, row in found] == [L] * 3


def test_a_prompt_is_searched_as_it_is_alone_unpadded(assert_close):
    together = search(table(2), PROMPTS, LENGTHS, 3, 2.0)
    alone = search(table(2), PROMPTS[1:2, :1], LENGTHS[1:2], 3, 2.0)
    assert_close(alone, jax.tree.map(lambda x: x[1:2], together))


@pytest.mark.parametrize(("alpha", "passes"), [(0.0, 1), (9.0, 2)])
def test_the_search_ends_when_nothing_better_can_come(alpha, passes):
    """One beam ends at once, at log 0.9; what goes on has n log 0.05 after n tokens.

    Divided by lp(4) = 1.5^α, that is -3.00 or -0.08 at n = 1, and log 0.9 = -0.105 lies between.
    """
    calls = []

    def network(cache, tokens, positions):
        jax.debug.callback(lambda: calls.append(0))
        return jnp.tile(jnp.log(jnp.array([0.05, 0.03, 0.9, 0.02])), (len(tokens), 1, 1)), cache

    beam.beam_search(
        network, (), jnp.ones((1, 1), int), jnp.ones(1, int), L, 1, stop=END, alpha=alpha
    )
    jax.effects_barrier()
    assert len(calls) == passes


def test_prompts_that_fill_the_row_are_returned_as_they_are():
    prompts = np.array([[1, 2, 0, 3, 1]])
    result = search(table(0), prompts, np.array([L]), 2, 0.6)
    assert found_by(result, 0) == [(0.0, [1, 2, 0, 3, 1])]


def test_length_penalty_by_hand():
    penalty = beam.length_penalty(jnp.array([1, 7, 13]), 2.0)
    np.testing.assert_allclose(penalty, [1.0, 4.0, 9.0], rtol=1e-6)
    np.testing.assert_allclose(beam.length_penalty(jnp.array(9), 0.0), 1.0)


@pytest.mark.parametrize(
    ("beams", "alpha", "prompt", "message"),
    [(0, 0.6, [1], "beams"), (2, -0.1, [1], "alpha"), (2, 0.6, [], "do not fit")],
)
def test_what_cannot_be_searched_is_refused(beams, alpha, prompt, message):
    with pytest.raises(ValueError, match=message):
        search(table(0), np.array([prompt], int), np.array([len(prompt)]), beams, alpha)
