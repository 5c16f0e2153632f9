"""Sampling: the right distribution, the right window, one row at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer


def markov(table, context=3):
    """A network whose next-token logits depend on the last token alone."""
    table = jnp.float32(table)
    return transformer.Networks(lambda key: {}, lambda _, t: table[t], len(table), context)


def windowed(context=3):
    """Logits that put all mass on (sum of the visible tokens) mod 5."""

    def apply(_, tokens):
        return 1e3 * jax.nn.one_hot(jnp.cumsum(tokens, axis=1) % 5, 5)

    return transformer.Networks(lambda key: {}, apply, 5, context)


STATE = transformer.State(jnp.int32(0), jax.random.key(0), {}, ())


def draw(networks, n, prompt, length, seed=0, **changes):
    return np.asarray(
        transformer.sample(
            STATE, jax.random.key(seed), n, jnp.array(prompt), length, networks=networks, **changes
        )
    )


def test_each_token_sees_the_last_tokens_of_one_context():
    row = [1, 2]
    while len(row) < 9:
        row.append(sum(row[-3:]) % 5)
    np.testing.assert_array_equal(draw(windowed(), 2, [1, 2], 9), [row, row])


@pytest.mark.parametrize("prompt", [[0], [0, 0, 3], [0, 1, 2, 3, 4, 0]])
def test_prompts_are_kept_even_where_they_hold_token_0_or_exceed_the_context(prompt):
    rows = draw(windowed(), 3, prompt, 8)
    np.testing.assert_array_equal(rows[:, : len(prompt)], np.tile(prompt, (3, 1)))
    row = list(prompt)
    while len(row) < 8:
        row.append(sum(row[-3:]) % 5)
    np.testing.assert_array_equal(rows[0], row)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_frequencies_follow_the_softmax_by_chi_square(temperature):
    logits = np.array([0.0, 1.0, -1.0, 0.5])
    n = 8000
    drawn = draw(markov(np.tile(logits, (4, 1))), n, [0], 2, temperature=temperature)[:, 1]
    p = np.exp(logits / temperature)
    p /= p.sum()
    counts = np.bincount(drawn, minlength=4)
    chi_square = ((counts - n * p) ** 2 / (n * p)).sum()
    assert chi_square < 16.27  # the 99.9 % quantile at 3 degrees of freedom; the seed is fixed


def test_a_low_temperature_takes_the_most_probable_token():
    table = np.random.default_rng(0).normal(size=(6, 6))
    row = draw(markov(table), 1, [2], 10, temperature=1e-4)[0]
    np.testing.assert_array_equal(row[1:], table.argmax(1)[row[:-1]])


def test_rows_differ_and_do_not_depend_on_how_many_are_drawn():
    networks = markov(np.zeros((50, 50)))
    few, many = draw(networks, 2, [0], 12), draw(networks, 6, [0], 12)
    np.testing.assert_array_equal(few, many[:2])
    assert len({tuple(row) for row in many}) == 6
    assert len(set(many[0, 1:])) > 6  # of 11 draws among 50: each has randomness of its own


@pytest.mark.parametrize(
    ("prompt", "length", "temperature", "message"),
    [
        ([], 4, 1.0, "does not fit"),
        ([1, 2, 3], 2, 1.0, "does not fit"),
        ([1], 4, 0.0, "temperature must be positive"),
    ],
)
def test_what_cannot_be_sampled_is_refused(prompt, length, temperature, message):
    with pytest.raises(ValueError, match=message):
        transformer.sample(
            STATE,
            jax.random.key(0),
            1,
            jnp.array(prompt, int),
            length,
            networks=markov(np.zeros((4, 4))),
            temperature=temperature,
        )
