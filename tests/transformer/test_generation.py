"""Decoding: every token against a full pass of the network, ragged, chunked, stopped early."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.transformer import generation
from aigc_jax.transformer.sampling import ANCESTRAL, GREEDY, Sampling

V, L = 5, 9
TABLE = 2 * np.random.default_rng(0).normal(size=(L, V, V)).astype(np.float32)


class Slots(NamedTuple):
    """The cache of a network that looks at all tokens so far."""

    tokens: jax.Array  # [B, L]; 99 where nothing was ever read
    passes: jax.Array  # [B], calls of the network
    queries: jax.Array  # [B], tokens read


def slots(rows):
    return Slots(jnp.full((rows, L), 99), jnp.zeros(rows, int), jnp.zeros(rows, int))


def extend(cache, tokens, positions):
    """Logits at t are Σ_{s ≤ t} TABLE[s, x_s], with x as the cache has it."""
    assert tokens.dtype == positions.dtype == jnp.int32
    kept = cache.tokens.at[jnp.arange(len(tokens))[:, None], positions].set(tokens)
    votes = jnp.array(TABLE)[jnp.arange(L)[None], kept]  # 99 gives NaN
    seen = jnp.arange(L)[None, None] <= positions[:, :, None]
    logits = jnp.where(seen[..., None], votes[:, None], 0).sum(axis=2)
    return logits, Slots(kept, cache.passes + 1, cache.queries + tokens.shape[1])


@partial(jax.jit, static_argnames=("length", "sampling", "stop"))
def generate(prompts, lengths, keys, length=L, sampling=ANCESTRAL, stop=()):
    return generation.generate(
        extend, slots(len(prompts)), prompts, lengths, length, keys, sampling=sampling, stop=stop
    )


@jax.jit
def begin(prompts, lengths, keys):
    return generation.begin(extend, slots(len(prompts)), prompts, lengths, L, keys)


@partial(jax.jit, static_argnames=("steps", "sampling", "stop"))
def advance(decoding, steps, sampling=ANCESTRAL, stop=()):
    return generation.advance(extend, decoding, steps, sampling=sampling, stop=stop)


def keys_of(rows, seed=0):
    return jax.random.split(jax.random.key(seed), rows)


def greedy(prompt, stop=(), length=L):
    """The tokens of one row, in NumPy."""
    row = list(prompt)
    while len(row) < length:
        row.append(int(sum(TABLE[s, x] for s, x in enumerate(row)).argmax()))
        if row[-1] in stop:
            break
    return row


def rows_of(tokens, lengths):
    """The rows as lists, none longer than it can be; what follows them must be 0."""
    tokens, lengths = np.asarray(tokens), np.asarray(lengths)
    assert (lengths <= tokens.shape[1]).all()
    for row, n in zip(tokens, lengths, strict=True):
        assert not row[n:].any()
    return [list(row[:n]) for row, n in zip(tokens, lengths, strict=True)]


PROMPTS = np.array([[3, 0, 4, 1], [0, 7, 7, 7], [2, 2, 7, 7], [0, 0, 0, 7]])
LENGTHS = np.array([4, 1, 2, 3])  # what is beyond is not in the vocabulary


@pytest.mark.parametrize("stop", [(), (0,), (4, 1), 2])
def test_ragged_greedy_rows_are_those_that_the_network_gives_in_full_passes(stop):
    found = rows_of(*generate(PROMPTS, LENGTHS, keys_of(4), sampling=GREEDY, stop=stop))
    stops = (stop,) if isinstance(stop, int) else stop
    for row, prompt, n in zip(found, PROMPTS, LENGTHS, strict=True):
        assert row == greedy(prompt[:n], stops)


def test_the_stops_of_this_network_end_some_rows_early_and_others_late():
    ends = {len(greedy(p[:n], (4, 1))) for p, n in zip(PROMPTS, LENGTHS, strict=True)}
    assert len(ends) > 1
    assert min(ends) < L


def test_a_row_is_the_same_alone_unpadded():
    keys, s = keys_of(4), Sampling(1.5, top_p=0.9, repetition_penalty=1.5)
    together = rows_of(*generate(PROMPTS, LENGTHS, keys, sampling=s, stop=3))
    for i, n in ((0, 4), (2, 2)):
        alone = generate(PROMPTS[i : i + 1, :n], np.array([n]), keys[i : i + 1], sampling=s, stop=3)
        assert rows_of(*alone) == [together[i]]


@pytest.mark.parametrize("chunk", [1, 3])
def test_chunks_give_the_tokens_of_a_single_advance(chunk, assert_identical):
    decoding = begin(PROMPTS, LENGTHS, keys_of(4))
    whole = advance(decoding, L, stop=(2,))
    for _ in range(0, L, chunk):
        decoding = advance(decoding, chunk, stop=(2,))
    assert_identical(decoding._replace(cache=()), whole._replace(cache=()))
    assert_identical(decoding.cache, whole.cache)
    assert whole.done.all()


def test_each_step_gives_every_row_one_token():
    decoding = begin(PROMPTS, LENGTHS, keys_of(4))
    np.testing.assert_array_equal(
        decoding.tokens[:, :4], [[3, 0, 4, 1], [0] * 4, [2, 2, 0, 0], [0] * 4]
    )
    after = advance(decoding, 2)
    np.testing.assert_array_equal(after.lengths, LENGTHS + 2)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(after.tokens[i, :n], decoding.tokens[i, :n])


def test_the_draw_at_a_position_follows_the_softmax_by_chi_square():
    n = 8000
    tokens, _ = generate(np.tile([[3, 0]], (n, 1)), np.full(n, 2), keys_of(n), length=4)
    pairs, expected = np.zeros((V, V)), np.zeros((V, V))
    np.add.at(pairs, tuple(np.asarray(tokens[:, 2:]).T), 1)

    def softmax(logits):
        return np.exp(logits) / np.exp(logits).sum()

    before = np.float64(TABLE[0, 3] + TABLE[1, 0])
    for x in range(V):
        expected[x] = n * softmax(before)[x] * softmax(before + TABLE[2, x])
    often = expected > 5
    chi_square = ((pairs - expected) ** 2 / expected)[often].sum()
    assert 8 <= often.sum() <= 21
    assert chi_square < 45.3  # the 99.9 % quantile at 20 degrees of freedom; the seed is fixed


def test_rows_of_equal_prompts_differ_by_their_keys():
    tokens, _ = generate(np.zeros((20, 1), int), np.ones(20, int), keys_of(20))
    assert len({tuple(row) for row in np.asarray(tokens)}) > 10


def test_the_penalty_counts_the_prompt_and_what_was_generated_and_no_padding():
    s = Sampling(temperature=0.0, repetition_penalty=1e6)  # none twice, if any other is above 0
    found = rows_of(*generate(PROMPTS, LENGTHS, keys_of(4), sampling=s))
    for row, prompt, n in zip(found, PROMPTS, LENGTHS, strict=True):
        expected = list(prompt[:n])
        while len(expected) < L:
            logits = sum(TABLE[t, x] for t, x in enumerate(expected)).astype(float)
            for v in set(expected):
                logits[v] *= 1e-6 if logits[v] > 0 else 1e6
            expected.append(int(logits.argmax()))
        assert row == expected


def test_there_is_one_pass_for_the_prompts_and_one_for_each_token():
    decoding = advance(begin(PROMPTS[:1], np.array([4]), keys_of(1)), L)
    np.testing.assert_array_equal(decoding.cache.passes, 1 + (L - 4))
    np.testing.assert_array_equal(decoding.cache.queries, 4 + (L - 4))
    np.testing.assert_array_equal(advance(decoding, 5).cache.passes, 1 + (L - 4))
    one = advance(begin(PROMPTS[:1, :1], np.array([1]), keys_of(1)), L)
    np.testing.assert_array_equal(one.cache.passes, L - 1)  # a single token needs no first pass


def test_the_loop_ends_when_all_rows_are_stopped():
    decoding = begin(PROMPTS, LENGTHS, keys_of(4))
    after = advance(decoding, L, sampling=GREEDY, stop=(4, 1))
    most = max(len(greedy(p[:n], (4, 1))) - n for p, n in zip(PROMPTS, LENGTHS, strict=True))
    assert most < L - LENGTHS.max()
    np.testing.assert_array_equal(after.cache.passes, 1 + most)
    after = advance(decoding, L, sampling=GREEDY, stop=tuple(range(V)))
    np.testing.assert_array_equal(after.cache.passes, 2)
    np.testing.assert_array_equal(after.lengths, LENGTHS + 1)


def test_stop_tokens_of_a_prompt_stop_nothing():
    _, lengths = generate(np.array([[1, 1]]), np.array([2]), keys_of(1), stop=tuple(range(V)))
    np.testing.assert_array_equal(lengths, [3])


def test_prompts_that_fill_the_row_are_returned_as_they_are():
    prompts = np.array([[1, 2, 3], [4, 7, 7]])
    tokens, lengths = generate(prompts, np.array([3, 1]), keys_of(2), length=3, sampling=GREEDY)
    assert rows_of(tokens, lengths) == [[1, 2, 3], greedy([4], length=3)]
    assert tokens.dtype == lengths.dtype == jnp.int32


@pytest.mark.parametrize(("shape", "length"), [((1, 0), 4), ((2, 5), 4)])
def test_prompts_without_tokens_or_too_long_are_refused(shape, length):
    with pytest.raises(ValueError, match="do not fit"):
        generate(np.zeros(shape, int), np.ones(shape[0], int), keys_of(shape[0]), length=length)
