"""Decoding in passes: what is decided when, and from which distribution."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.errors import InputError
from aigc_jax.transformer import unmasking as decoding
from aigc_jax.transformer.sampling import ANCESTRAL, GREEDY, Sampling
from aigc_jax.transformer.unmasking import (
    cosine_share,
    guided,
    linear_share,
    unmask,
    unmask_at_random,
)

CHOICES, MASK, CLASS = 3, 3, 4
IDS = {"mask_id": MASK, "choices": CHOICES}
ROWS = 20_000
# The 99.9 % quantiles of chi-square by degrees of freedom; seeds are fixed.
QUANTILES = {1: 10.83, 2: 13.82, 6: 22.46, 26: 54.05}
BOTH = pytest.mark.parametrize("decode", [unmask, unmask_at_random])

# Logits of three places by what is read at them. Nobody may write the ids that are likeliest.
TABLE = np.float32(np.random.default_rng(0).normal(0, 2, (5, 5, 5, 3, 6)))
TABLE[..., CHOICES:] += 20


def by_table(tokens):
    return jnp.asarray(TABLE)[tuple(tokens.T)]


def chances(read):
    """P of each id at each place, in float64."""
    p = np.exp(np.float64(TABLE[tuple(read)][:, :CHOICES]))
    return p / p.sum(-1, keepdims=True)


def in_order(x, order):
    """P(x) written in an order, place by place."""
    read, p = [MASK] * 3, 1.0
    for t in order:
        p *= chances(read)[t, x[t]]
        read[t] = x[t]
    return p


def chi_square(counts, expected):
    return float((np.square(counts - expected) / expected).sum())


def keys_of(rows, seed=0):
    return jax.random.split(jax.random.key(seed), rows)


def drawn(decode, passes, **options):
    """How often each of the 27 rows is written, of `ROWS`."""
    unknown = np.ones((ROWS, 3), bool)
    run = jax.jit(partial(decode, by_table, passes=passes, **IDS, **options))
    rows = np.asarray(run(np.zeros((ROWS, 3), np.int32), unknown, keys_of(ROWS)))
    return np.bincount(rows @ np.array([9, 3, 1]), minlength=27)


ROWS_OF_THREE = [*itertools.product(range(3), repeat=3)]

# Rows of seven: none unknown, one, three, all, four.
UNKNOWN = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 1, 0, 1, 0, 0, 1],
        [1, 1, 1, 1, 1, 1, 1],
        [0, 1, 1, 1, 1, 0, 0],
    ],
    bool,
)
GIVEN = np.int32(
    [
        [4, 0, 1, 2, 2, 1, 0],
        [4, 2, 2, 1, 3, 0, 0],
        [4, 1, 2, 3, 1, 5, 2],
        [5, 5, 5, 5, 5, 5, 5],
        [4, 3, 1, 3, 0, 2, 1],
    ]
)


def wavering(tokens):
    """Logits that differ with everything that is read."""
    at, ids = jnp.arange(tokens.shape[1])[None, :, None], jnp.arange(6)[None, None]
    read = jnp.sum((tokens + 1) * (1 + at[..., 0]), axis=1)[:, None, None]
    return 3 * jnp.sin(1.7 * read + 2.3 * at + 5.1 * ids) + 20 * (ids >= CHOICES)


@cache
def recorded_by_default(decode, passes):
    return recorded(decode, passes)


def recorded(decode, passes, tokens=GIVEN, unknown=UNKNOWN, predict=wavering, **options):
    """What the network reads in each pass, and what comes out at the end."""
    read = []

    def watched(tokens):
        jax.debug.callback(read.append, tokens, ordered=True)
        return predict(tokens)

    run = jax.jit(partial(decode, watched, passes=passes, **IDS, **options))
    out = np.asarray(run(tokens, unknown, keys_of(len(tokens))))
    jax.effects_barrier()
    assert len(read) == passes
    return [*(np.asarray(tokens) for tokens in read), out]


@BOTH
@pytest.mark.parametrize("passes", [1, 3, 7, 11])
def test_no_mask_is_returned_and_what_is_given_or_decided_is_kept(decode, passes):
    states = recorded_by_default(decode, passes)
    np.testing.assert_array_equal(states[0], np.where(UNKNOWN, MASK, GIVEN))
    for before, after in itertools.pairwise(states):
        np.testing.assert_array_equal(after[before != MASK], before[before != MASK])
    out = states[-1]
    assert out.dtype == np.int32
    assert ((out[UNKNOWN] >= 0) & (out[UNKNOWN] < CHOICES)).all()


@pytest.mark.parametrize("passes", [1, 3, 7, 11])
def test_the_cosine_says_how_many_are_masked_again(passes):
    states = recorded_by_default(unmask, passes)
    left = [int(row.sum()) for row in UNKNOWN]
    for k in range(1, passes + 1):
        for i, row in enumerate(UNKNOWN):
            # The integer part of N / 2 where cos(π k / 2 K) is ½.
            kept = int(row.sum() * np.cos(np.pi * k / (2 * passes)) + 1e-9)
            left[i] = min(max(1, min(left[i] - 1, kept)), left[i]) if k < passes else 0
        np.testing.assert_array_equal((states[k] == MASK).sum(1), left)


def test_half_of_the_tokens_is_left_after_two_of_three_passes():
    """cos(π / 3) is below ½ in float32 arithmetic."""
    unknown = np.ones((1, 14), bool)
    states = recorded(unmask, 3, np.zeros((1, 14), np.int32), unknown)
    assert [(s == MASK).sum() for s in states] == [14, 12, 7, 0]


def test_the_most_probable_are_decided_first_by_the_models_own_distribution():
    """Also where the draw is greedy, of probability 1; without noise."""
    sharp = np.float32([0.3, 2.0, 0.7, 1.5, 0.1, 1.1, 0.5])

    def predict(tokens):
        logits = sharp[:, None] * np.float32([1, 0, -1, 9, 9])
        return jnp.broadcast_to(logits, (len(tokens), 7, 5))

    states = recorded(unmask, 4, predict=predict, sampling=GREEDY, temperature=0.0)
    order = np.argsort(-sharp)
    for state in states:
        decided = 7 - (state[3] == MASK).sum()
        assert set(np.flatnonzero(state[3] != MASK)) == set(order[:decided])
    assert [(s[3] == MASK).sum() for s in states] == [7, 6, 4, 2, 0]


def test_the_noise_is_gumbels_and_falls_to_nothing():
    """The first of two tokens in pass 1 of 2: P = σ((log p_0 − log p_1) / (τ / 2)), τ = 1."""
    sharp = np.float32([0.4, 2.0])

    def predict(tokens):
        first = jnp.all(tokens == MASK, axis=1)
        logits = jnp.asarray(sharp[:, None] * np.float32([1, 0, -1]))
        other = logits[:, ::-1]  # what is written in pass 2 is another id
        return jnp.where(first[:, None, None], logits, other)

    log_p = sharp - np.log(np.exp(sharp) + 1 + np.exp(-sharp))
    unknown = np.ones((ROWS, 2), bool)
    run = jax.jit(partial(unmask, predict, passes=2, sampling=GREEDY, temperature=1.0, **IDS))
    out = np.asarray(run(unknown * 0, unknown, keys_of(ROWS)))
    assert (out.sum(1) == 2).all()  # one 0, one 2
    p = 1 / (1 + np.exp((log_p[1] - log_p[0]) / 0.5))
    counts = np.array([(out[:, 0] == 0).sum(), (out[:, 0] == 2).sum()])
    assert chi_square(counts, ROWS * np.array([p, 1 - p])) < QUANTILES[1]


class TestDistributions:
    def test_a_token_a_pass_is_the_model_in_random_order(self):
        orders = [*itertools.permutations(range(3))]
        expected = [np.mean([in_order(x, o) for o in orders]) for x in ROWS_OF_THREE]
        counts = drawn(unmask_at_random, 3)
        assert chi_square(counts, ROWS * np.array(expected)) < QUANTILES[26]

    @BOTH
    def test_one_pass_draws_all_independently(self, decode):
        p = chances([MASK] * 3)
        expected = [p[0, a] * p[1, b] * p[2, c] for a, b, c in ROWS_OF_THREE]
        assert chi_square(drawn(decode, 1), ROWS * np.array(expected)) < QUANTILES[26]

    def test_the_temperature_of_the_tokens_is_the_samplings(self):
        p = np.sqrt(chances([MASK] * 3))
        p /= p.sum(-1, keepdims=True)
        expected = [p[0, a] * p[1, b] * p[2, c] for a, b, c in ROWS_OF_THREE]
        counts = drawn(unmask, 1, sampling=Sampling(temperature=2.0))
        assert chi_square(counts, ROWS * np.array(expected)) < QUANTILES[26]

    @BOTH
    def test_the_first_of_equals_is_the_greedy_one(self, decode):
        def predict(tokens):
            return jnp.zeros((*tokens.shape, 6))

        out = decode(predict, GIVEN, UNKNOWN, keys_of(5), 1, sampling=GREEDY, **IDS)
        assert (np.asarray(out)[UNKNOWN] == 0).all()

    def test_rare_tokens_are_drawn_in_high_precision(self, monkeypatch):
        """Seen in the call: to see it in draws takes 1e9 of them."""
        modes, categorical = [], jax.random.categorical

        def spied(*arguments, **options):
            modes.append(options.get("mode"))
            return categorical(*arguments, **options)

        monkeypatch.setattr(jax.random, "categorical", spied)
        for decode in (unmask, unmask_at_random):
            decode(by_table, GIVEN[:, :3], UNKNOWN[:, :3], keys_of(5), 1, **IDS)
        assert modes == ["high"] * 4

    @pytest.mark.parametrize("kept", [7, 3])
    def test_ids_are_drawn_by_groups_of_three_as_the_model_has_them(self, kept):
        """With the three likeliest alone, no id of the second group is left."""
        logits = np.float32([1.1, -0.3, 2.0, 0.4, -1.5, 0.9, 1.7])

        def predict(tokens):
            return jnp.broadcast_to(logits, (*tokens.shape, 7))

        unknown = np.ones((400, 50), bool)
        options = {"mask_id": 7, "choices": 7, "sampling": Sampling(top_k=kept)}
        run = jax.jit(partial(unmask, predict, passes=1, **options))
        counts = np.bincount(np.ravel(run(unknown * 0, unknown, keys_of(400))), minlength=7)
        p = np.exp(np.float64(logits)) * (logits >= np.sort(logits)[-kept])
        p /= p.sum()
        assert (counts[p == 0] == 0).all()
        assert chi_square(counts[p > 0], ROWS * p[p > 0]) < QUANTILES[kept - 1]


class TestRandomOrder:
    def test_even_passes_write_the_rounded_mean(self):
        for passes, share in ((3, linear_share), (4, cosine_share), (10, linear_share)):
            states = recorded(unmask_at_random, passes, share=share)
            for k in range(1, passes):
                expected = UNKNOWN.sum(1) * (1 - share(k / passes))
                np.testing.assert_array_equal(
                    UNKNOWN.sum(1) - (states[k] == MASK).sum(1), np.rint(np.float32(expected))
                )

    def test_a_token_a_pass_of_forty_nine(self):
        """Of 49 passes: 49 (1 / 49) is not 1."""
        unknown = np.ones((2, 49), bool)
        states = recorded(unmask_at_random, 49, np.zeros((2, 49), np.int32), unknown)
        for k, state in enumerate(states):
            np.testing.assert_array_equal((state == MASK).sum(1), 49 - k)
        first = [[np.flatnonzero(s[i] != MASK).tolist() for s in states[:5]] for i in range(2)]
        assert first[0] != first[1]

    @pytest.mark.parametrize("share", [linear_share, cosine_share])
    def test_independent_passes_write_each_token_with_the_schedules_chance(self, share):
        tokens, unknown = np.zeros((1, 6000), np.int32), np.ones((1, 6000), bool)
        states = recorded(unmask_at_random, 3, tokens, unknown, share=share, even=False)
        counts = -np.diff([(s == MASK).sum() for s in states])
        expected = -np.diff([1, *share(np.array([1, 2, 3]) / 3)])
        assert chi_square(counts, 6000 * expected) < QUANTILES[2]
        assert (counts != np.rint(6000 * expected)).any()


@BOTH
def test_a_row_depends_on_its_own_key(decode):
    run = jax.jit(partial(decode, wavering, passes=3, **IDS))
    unknown, tokens, keys = np.ones((5, 9), bool), np.zeros((5, 9), np.int32), keys_of(5)
    whole = np.asarray(run(tokens, unknown, keys))
    np.testing.assert_array_equal(run(tokens, unknown, keys[::-1])[::-1], whole)
    assert len(np.unique(whole, axis=0)) == 5


def test_shares_go_from_one_to_nothing():
    r = np.array([0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(linear_share(r), [1, 2 / 3, 1 / 3, 0], atol=1e-15)
    np.testing.assert_allclose(cosine_share(r), [1, 3**0.5 / 2, 0.5, 0], atol=1e-15)


class TestGuidance:
    def test_it_goes_from_the_null_logits_through_the_conditional_ones(self, rng):
        tokens = GIVEN[:, :3]
        conditional, null = (np.float32(rng.normal(size=(5, 3, 6))) for _ in range(2))
        for w in (0.0, 0.7, 2.5):
            found = guided(lambda _: conditional, lambda _: null, w)(tokens)
            np.testing.assert_allclose(
                found,
                np.float64(null) * (1 - w) + w * np.float64(conditional),
                rtol=1e-5,
                atol=1e-6,
            )

    def test_at_one_it_is_the_conditional_pass_alone(self):
        def null(tokens):
            raise AssertionError("a pass that is not needed")

        found = guided(wavering, null, 1.0)(GIVEN)
        np.testing.assert_array_equal(found, wavering(GIVEN))


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passes": 0}, "passes must be at least 1, got 0"),
        ({"mask_id": 2}, "mask_id must be no choice, from 3 on, got 2"),
        ({"choices": 0}, "choices must be at least 1"),
        ({"tokens": GIVEN[0]}, r"tokens must be of shape \[B, T\]"),
        ({"tokens": GIVEN * 1.0}, "tokens must be integers"),
        ({"unknown": UNKNOWN * 1}, "unknown must be booleans"),
        ({"unknown": UNKNOWN[:, :6]}, r"unknown must be .* of shape \(5, 7\), got bool \(5, 6\)"),
        ({"unknown": UNKNOWN & False}, "a known token is mask_id=3: mark it as unknown"),
        ({"keys": jax.random.key(0)}, r"keys must be of shape \(5,\), got \(\)"),
        ({"sampling": Sampling(repetition_penalty=1.2)}, "repetition_penalty must be 1"),
    ],
)
def test_what_cannot_be_decoded_is_refused(decode, change, message):
    given = {"tokens": GIVEN, "unknown": UNKNOWN, "keys": keys_of(5), "passes": 2, **IDS}
    with pytest.raises(InputError, match=message):
        decode(wavering, **{**given, "sampling": ANCESTRAL, **change})


@pytest.mark.parametrize("temperature", [-1.0, float("inf"), float("nan")])
def test_noise_that_is_no_number_is_refused(temperature):
    with pytest.raises(InputError, match="temperature must be finite and not negative"):
        unmask(wavering, GIVEN, UNKNOWN, keys_of(5), 2, temperature=temperature, **IDS)


def test_the_shares_of_passes_are_float32():
    assert decoding._shares(cosine_share, 3).dtype == jnp.float32
    assert float(decoding._shares(cosine_share, 3)[1]) == 0.5
