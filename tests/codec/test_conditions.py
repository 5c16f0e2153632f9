"""Classes as tokens, guidance by them, and the tokens that can stand at a place."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer
from aigc_jax.codec.conditions import (
    Conditions,
    by_place,
    check_guidance,
    drop,
    guided,
    unconditional,
    within,
)
from aigc_jax.errors import InputError

TOLD = Conditions((3, 1, 4), offset=10)  # 10 11 12 ∅ | 14 ∅ | 16 17 18 19 ∅
NULLS = [13, 15, 20]


def keys_of(seed, count):
    return jax.random.split(jax.random.key(seed), count)


class TestTokens:
    def test_all_values_and_nulls_are_different(self):
        every = np.array(list(itertools.product(range(3), range(1), range(4))))
        tokens = np.asarray(TOLD.tokens(every, len(every)))
        seen = [sorted(set(column)) for column in tokens.T]
        assert seen == [[10, 11, 12], [14], [16, 17, 18, 19]]
        np.testing.assert_array_equal(tokens, every + np.array([10, 14, 16]))
        np.testing.assert_array_equal(TOLD.nulls, NULLS)
        assert (TOLD.places, TOLD.end) == (3, 21)

    def test_what_is_unknown_is_null(self):
        labels = np.array([[-1, 0, 3], [2, -1, -1]])
        expected = [[13, 14, 19], [12, 15, 20]]
        for given in (labels, jnp.asarray(labels), np.int8(labels), labels.tolist()):
            tokens = TOLD.tokens(given, 2)
            assert tokens.dtype == jnp.int32
            np.testing.assert_array_equal(tokens, expected)
        np.testing.assert_array_equal(TOLD.tokens(None, 2), [NULLS, NULLS])
        traced = jax.jit(lambda labels: TOLD.tokens(labels, 2))(labels)
        np.testing.assert_array_equal(traced, expected)

    def test_without_attributes_there_is_one_null(self):
        nothing = Conditions((), offset=10)
        assert (nothing.places, nothing.end) == (1, 11)
        np.testing.assert_array_equal(nothing.tokens(None, 3), [[10]] * 3)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([[3, 0, 0]], r"labels\[:, 0\] must be from 0 to 2, got 3"),
            ([[0, 1, 0]], r"labels\[:, 1\] must be from 0 to 0, got 1"),
            ([[0, 0, -2]], r"labels\[:, 2\] must be from 0 to 3, got -2"),
            (np.uint8([[255, 0, 0]]), r"labels\[:, 0\] must be from 0 to 2, got 255"),
            ([[0.0, 0.0, 0.0]], "must be integers, got float"),
            ([0, 0, 0], r"labels must be of shape \(1, 3\), got \(3,\)"),
            ([[0, 0, 0]] * 2, r"labels must be of shape \(1, 3\), got \(2, 3\)"),
        ],
    )
    def test_other_labels_are_refused(self, labels, message):
        with pytest.raises(InputError, match=message):
            TOLD.tokens(np.asarray(labels), 1)

    def test_labels_of_no_class_are_refused(self):
        with pytest.raises(InputError, match="labels are for a prior that is told classes"):
            Conditions((), offset=10).tokens(np.zeros((1, 0), int), 1)


class TestDrop:
    def test_all_of_an_examples_conditions_at_once_and_as_often_as_the_rate(self):
        count, rate = 4000, 0.3
        tokens = jnp.tile(jnp.array([[11, 14, 17]], jnp.int32), (count, 1))
        found = np.asarray(drop(TOLD, tokens, keys_of(0, count), rate))
        assert {tuple(row) for row in found.tolist()} == {(11, 14, 17), tuple(NULLS)}
        share = (found[:, 0] == 13).mean()
        assert abs(share - rate) < 4 * (rate * (1 - rate) / count) ** 0.5

    def test_each_example_has_its_own_key(self):
        tokens = jnp.tile(jnp.array([[11, 14, 17]], jnp.int32), (40, 1))
        keys = keys_of(1, 40)
        found = np.asarray(drop(TOLD, tokens, keys, 0.5))
        np.testing.assert_array_equal(drop(TOLD, tokens[:7], keys[33:], 0.5), found[33:])

    def test_nothing_at_rate_0(self):
        tokens = jnp.array([[11, 14, 17]], jnp.int32)
        assert drop(TOLD, tokens, keys_of(2, 1), 0.0) is tokens


def network(vocabulary=21):
    """An `Extend` of a random table: logits by token and position, a cache of what was read."""
    table = np.random.default_rng(3).normal(size=(vocabulary, 9, vocabulary)).astype(np.float32)
    calls = []

    def extend(cache, tokens, positions):
        calls.append(tokens.shape)
        return jnp.asarray(table)[tokens, positions], cache.at[:, :2].set(tokens[:, :2])

    return extend, calls


class TestGuided:
    TOKENS = jnp.array([[12, 14, 16, 7], [10, 15, 19, 3]], jnp.int32)
    POSITIONS = jnp.array([[0, 1, 2, 3], [0, 1, 2, 3]], jnp.int32)
    WITHOUT = jnp.array([[*NULLS, 7], [*NULLS, 3]], jnp.int32)

    def test_each_attribute_has_its_own_null(self):
        np.testing.assert_array_equal(
            unconditional(TOLD, self.TOKENS, self.POSITIONS), self.WITHOUT
        )

    def test_a_code_stays_wherever_a_pass_begins(self):
        tokens, positions = self.TOKENS[:, 1:], jnp.array([[1, 2, 3], [5, 6, 7]], jnp.int32)
        expected = [[15, 20, 7], [15, 19, 3]]
        np.testing.assert_array_equal(unconditional(TOLD, tokens, positions), expected)

    def test_weight_1_is_the_network_itself(self):
        extend, _ = network()
        assert guided(extend, TOLD, 1.0) is extend

    @pytest.mark.parametrize("weight", [0.0, 2.5])
    def test_both_passes_are_mixed(self, weight):
        extend, calls = network()
        told, _ = extend(jnp.zeros((2, 2), jnp.int32), self.TOKENS, self.POSITIONS)
        untold, _ = extend(jnp.zeros((2, 2), jnp.int32), self.WITHOUT, self.POSITIONS)
        found, cache = guided(extend, TOLD, weight)(
            jnp.zeros((4, 2), jnp.int32), self.TOKENS, self.POSITIONS
        )
        assert calls[2:] == [(4, 4)]
        if weight:
            expected = np.float64(untold) + weight * (np.float64(told) - np.float64(untold))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(found, untold)
        np.testing.assert_array_equal(cache[:2], self.TOKENS[:, :2])
        np.testing.assert_array_equal(cache[2:], self.WITHOUT[:, :2])

    @pytest.mark.parametrize(
        ("weight", "told", "message"),
        [
            (-0.5, True, "guidance must be at least 0 and finite, got -0.5"),
            (float("inf"), True, "guidance must be at least 0 and finite, got inf"),
            (float("nan"), True, "guidance must be at least 0 and finite, got nan"),
            (2.0, False, "guidance is for a prior that is told something"),
        ],
    )
    def test_other_guidance_is_refused(self, weight, told, message):
        with pytest.raises(InputError, match=message):
            check_guidance(weight, told)

    def test_guidance_that_there_is_no_need_of_is_not(self):
        check_guidance(1.0, False)
        check_guidance(0.0, True)


def test_within_rules_out_all_that_cannot_stand_at_the_next_place():
    extend, _ = network()
    first = np.array([[12, 0, 3, 20, 5], [10, 2, 17, 0, 4]])
    choices = np.array([[1, 3, 4, 1, 2], [1, 3, 4, 21, 5]])
    tokens = jnp.array([[12, 1, 4], [2, 18, 9]], jnp.int32)
    positions = jnp.array([[0, 1, 2], [1, 2, 3]], jnp.int32)
    cache = jnp.zeros((2, 2), jnp.int32)
    plain, _ = extend(cache, tokens, positions)
    ruled = within(extend, jnp.asarray(first), jnp.asarray(choices))
    found = np.asarray(ruled(cache, tokens, positions)[0])
    for row, t in itertools.product(range(2), range(3)):
        place = int(positions[row, t]) + 1
        allowed = first[row, place] + np.arange(choices[row, place])
        np.testing.assert_array_equal(np.flatnonzero(np.isfinite(found[row, t])), allowed)
        np.testing.assert_array_equal(found[row, t, allowed], np.asarray(plain)[row, t, allowed])
        assert (np.delete(found[row, t], allowed) == -np.inf).all()


class TestByPlace:
    """Two sequences of a condition and of codes of two stages of three; 6 is padding, 7 a mask."""

    FIRST = np.array([[0, 0, 0, 6], [0, 6, 3, 3]])
    CODES = np.array([[8, 2, 1, 0], [8, 0, 2, 1], [9, 7, 0, 0], [9, 0, 7, 2]])
    TOKENS = np.array([[8, 2, 1, 6], [8, 6, 5, 4], [9, 7, 0, 6], [9, 6, 7, 5]])

    @pytest.mark.parametrize("ahead", [True, False])
    def test_codes_are_read_and_told_as_the_tokens_of_their_places(self, ahead):
        table = np.random.default_rng(4).normal(size=(10, 10)).astype(np.float32)
        plain = transformer.plain_networks(
            lambda key: None, lambda params, tokens: params[tokens], 10, 4
        )
        placed = by_place(plain, self.FIRST, 2, 3, ahead=ahead)
        length, later = (3, 1) if ahead else (4, 0)
        read = jnp.asarray(self.CODES[:, :length])
        states = placed.hidden(jnp.asarray(table), transformer.Batch(read, read, read))
        found = np.asarray(placed.logits(jnp.asarray(table), states))
        assert found.shape == (4, length, 3)
        for row, t in itertools.product(range(4), range(length)):
            first = self.FIRST[row % 2, t + later]
            if first < 6:  # what is said of padding counts nowhere
                expected = table[self.TOKENS[row, t], first : first + 3]
                np.testing.assert_array_equal(found[row, t], expected)

    def test_chunks_give_the_same_losses(self):
        table = jnp.asarray(np.random.default_rng(5).normal(size=(10, 10)), jnp.float32)
        plain = transformer.plain_networks(
            lambda key: None, lambda params, tokens: params[tokens], 10, 4
        )
        placed = by_place(plain, self.FIRST, 2, 3, ahead=False)
        read = jnp.asarray(self.CODES)
        batch = transformer.Batch(read, read % 3, jnp.ones(read.shape))
        whole, pieces = (
            transformer.token_losses(
                table, batch, networks=placed, objective=transformer.Objective(0.1, chunk=chunk)
            )
            for chunk in (None, 3)
        )
        np.testing.assert_allclose(whole.loss, pieces.loss, rtol=1e-6)
