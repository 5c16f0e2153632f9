"""Orders of codes: bijections, against worked examples."""

import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.codec.layouts import delay, raster

CASES = [
    (raster, (5,), 1, 3),
    (raster, (3, 4), 2, 5),
    (raster, (2, 3, 4), 3, 2),
    (delay, (5,), 1, 3),
    (delay, (4,), 3, 5),
    (delay, (2,), 4, 3),
    (delay, (2, 3, 2), 3, 4),
]
EVERY = pytest.mark.parametrize(("layout", "grid", "stages", "codes"), CASES)


def drawn(grid, stages, codes, rows=6):
    found = np.random.default_rng(0).integers(0, codes, (rows, *grid, stages))
    found.reshape(-1)[:2] = 0, codes - 1
    return found


@EVERY
def test_codes_come_back_from_tokens_that_say_their_stage(layout, grid, stages, codes):
    made, found = layout(grid, stages, codes), drawn(grid, stages, codes)
    tokens = made.tokens_of(jnp.asarray(found))
    assert tokens.shape == (6, made.sequences, made.length)
    assert tokens.dtype == jnp.int32
    np.testing.assert_array_equal(made.codes_of(tokens), found)
    assert (made.shape, made.codes) == ((*grid, stages), codes)
    assert made.vocabulary_size == stages * codes + (layout is delay)
    counted = np.bincount(np.asarray(tokens).ravel() // codes, minlength=stages)
    np.testing.assert_array_equal(counted[:stages], found[..., 0].size)


@EVERY
def test_tokens_are_what_can_stand_at_their_places(layout, grid, stages, codes):
    """And whatever can stand there comes back from its codes."""
    made = layout(grid, stages, codes)
    assert made.first.shape == made.choices.shape == (made.sequences, made.length)
    tokens = np.asarray(made.tokens_of(jnp.asarray(drawn(grid, stages, codes))))
    assert (tokens >= made.first).all()
    assert (tokens < made.first + made.choices).all()
    assert set(made.choices.ravel()) <= {1, codes}
    assert (made.choices > 1).sum() == np.prod(grid) * stages
    drawn_tokens = made.first + np.random.default_rng(1).integers(0, made.choices, tokens.shape)
    again = made.tokens_of(made.codes_of(jnp.asarray(drawn_tokens, jnp.int32)))
    np.testing.assert_array_equal(again, drawn_tokens)


class TestRaster:
    def test_reads_rows_and_at_each_position_the_coarse_stage_first(self):
        found = np.arange(12).reshape(1, 2, 3, 2) % 7
        tokens = raster((2, 3), 2, 7).tokens_of(jnp.asarray(found))
        expected = [[[0, 8, 2, 10, 4, 12, 6, 7, 1, 9, 3, 11]]]
        np.testing.assert_array_equal(tokens, expected)

    def test_no_token_of_a_frame_comes_before_one_of_an_earlier_frame(self):
        made = raster((4, 3, 2), 2, 5)
        frames = np.broadcast_to(np.arange(4)[None, :, None, None, None], (1, 4, 3, 2, 2))
        tokens = np.asarray(made.tokens_of(jnp.asarray(frames)))[0, 0] % 5
        np.testing.assert_array_equal(tokens, np.repeat(np.arange(4), 12))
        for leading in range(1, 5):
            assert (tokens < leading).sum() == made.prefix(leading)


class TestDelay:
    def test_a_stage_begins_later_by_its_number(self):
        found = jnp.asarray([[[0, 1, 2], [3, 0, 1]]])  # two times of three stages of four codes
        expected = [[[0, 3, 12, 12], [12, 5, 4, 12], [12, 12, 10, 9]]]
        made = delay((2,), 3, 4)
        np.testing.assert_array_equal(made.tokens_of(found), expected)
        np.testing.assert_array_equal(made.choices, [[4, 4, 1, 1], [1, 4, 4, 1], [1, 1, 4, 4]])
        np.testing.assert_array_equal(made.first[:, 0], [0, 12, 12])

    def test_positions_of_a_grid_are_in_the_order_of_reading(self):
        found = drawn((2, 3, 2), 3, 4)
        flat = found.reshape(6, 12, 3)
        tokens = delay((2, 3, 2), 3, 4).tokens_of(jnp.asarray(found))
        np.testing.assert_array_equal(tokens, delay((12,), 3, 4).tokens_of(jnp.asarray(flat)))

    @pytest.mark.parametrize("grid", [(6,), (3, 2, 1)])
    def test_what_follows_a_prompt_is_not_delayed_again(self, grid):
        """The tokens of a prompt, and of what follows, are where those of the whole are."""
        made, leading = delay(grid, 3, 4), 2
        found = drawn(grid, 3, 4)
        other = np.concatenate([found[:, :leading], (found[:, leading:] + 1) % 4], axis=1)
        tokens, changed = (np.asarray(made.tokens_of(jnp.asarray(x))) for x in (found, other))
        begins = np.arange(3)[:, None] + made.prefix(leading)
        assert made.prefix(leading) == leading * 6 // grid[0]
        later = (np.arange(8)[None] >= begins) & (made.choices > 1)
        np.testing.assert_array_equal(tokens != changed, np.broadcast_to(later, tokens.shape))
        joined = jnp.asarray(np.where(later, changed, tokens))
        np.testing.assert_array_equal(made.codes_of(joined), other)
