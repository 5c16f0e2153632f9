import math

import numpy as np
import pytest

from aigc_jax.data.images import load_images
from aigc_jax.metrics import distances
from aigc_jax.metrics import neighbours as module
from aigc_jax.metrics.neighbours import memorisation, nearest


def by_definition(train, generated):
    """Index and distance in float64, one training image at a time."""
    train, generated = (np.float64(z).reshape(len(z), -1) for z in (train, generated))
    squares = np.stack([((generated - t) ** 2).sum(1) for t in train], axis=1)
    return squares.argmin(1), np.sqrt(squares.min(1))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", 7)
    monkeypatch.setattr(module, "_COLUMNS", 16)


@pytest.mark.parametrize(("m", "n"), [(1, 5), (3, 20), (50, 20), (100, 7)])
@pytest.mark.usefixtures("small_blocks")
def test_the_definition_is_met_over_blocks(rng, m, n):
    train, generated = rng.normal(size=(m, 5, 2)), rng.normal(size=(n, 5, 2))
    index, distance = nearest(train, generated)
    expected_index, expected_distance = by_definition(train, generated)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-14)
    assert distance.dtype == np.float64


def test_a_worked_example():
    train = np.array([[0, 0], [3, 4], [10, 0]])
    index, distance = nearest(train, np.array([[3, 3], [0, 2], [7, 4]]))
    np.testing.assert_array_equal(index, [1, 0, 1])
    np.testing.assert_array_equal(distance, [1, 2, 4])


def test_bytes_do_not_wrap_around():
    index, distance = nearest(np.array([[250], [100]], np.uint8), np.array([[255], [0]], np.uint8))
    np.testing.assert_array_equal(index, [0, 1])
    np.testing.assert_array_equal(distance, [5, 100])


@pytest.mark.parametrize("scale", [1, np.float32(1 / 255)])
def test_copies_of_training_images_are_at_0_exactly(scale):
    train = load_images("mnist5k").train * scale
    copied = np.array([4, 4499, 1000, 4])
    index, distance = nearest(train, train[copied])
    np.testing.assert_array_equal(index, copied)
    np.testing.assert_array_equal(distance, np.zeros(4))


def test_a_copy_is_told_from_near_copies_that_float32_takes_for_equal(rng):
    # Squares of 1e-8 apart beside norms of 784: the products alone cannot say which is which.
    base = rng.normal(size=784)
    train = base + 1e-4 * np.eye(784)[:6]
    index, distance = nearest(np.concatenate([rng.normal(size=(40, 784)), train]), train)
    np.testing.assert_array_equal(index, 40 + np.arange(6))
    np.testing.assert_array_equal(distance, np.zeros(6))


def test_the_nearest_of_a_crowd_far_from_the_rest_is_found(rng):
    # More training images than float32 could propose lie within its rounding of the nearest.
    centres = 1000 * rng.normal(size=(3, 16))
    train, generated = (
        centres[rng.integers(3, size=n)] + rng.normal(size=(n, 16)) for n in (600, 50)
    )
    index, distance = nearest(train, generated)
    expected_index, expected_distance = by_definition(train, generated)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-14)


def test_what_all_images_have_in_common_costs_no_digits(rng):
    # Next to 2²⁴ float32 has whole numbers only, and finds all of these images equal.
    train, generated = rng.normal(size=(60, 4)), rng.normal(size=(30, 4))
    there = nearest(train + 2.0**24, generated + 2.0**24)
    np.testing.assert_array_equal(there.index, nearest(train, generated).index)


def test_the_first_of_equal_training_images_is_named():
    train = np.array([[5.0], [1.0], [1.0], [1.0]])
    assert nearest(train, np.array([[1.0]])).index == 1
    assert nearest(train, np.array([[3.0]])).index == 0


@pytest.mark.parametrize(
    ("train", "generated"), [((0, 3), (2, 3)), ((2, 3), (0, 3)), ((2, 3), (2, 4))]
)
def test_sets_that_have_no_neighbours_are_refused(train, generated):
    with pytest.raises(ValueError, match="no neighbours"):
        nearest(np.zeros(train), np.zeros(generated))


def test_memorisation_of_a_worked_example():
    # Samples at 1 and 0 from {0, 10}; held-out images at 2 and 4.
    metrics = memorisation(*(np.array([v]).T for v in ([0, 10], [1, 10], [12, 4])))
    assert metrics == (0.5, 3.0, pytest.approx(1 / 6))
    assert metrics == (metrics.generated, metrics.heldout, metrics.ratio)


def test_real_digits_are_near_1_and_copies_near_0():
    images = load_images("mnist5k")
    train, fresh = images.train[:4000], images.train[4000:]
    assert memorisation(train, fresh, images.heldout).ratio == pytest.approx(1, abs=0.05)
    assert memorisation(train, train[:300], images.heldout).ratio == 0
    half = np.concatenate([fresh[:250], train[:250]])
    assert memorisation(train, half, images.heldout).ratio == pytest.approx(0.5, abs=0.05)


def test_where_held_out_images_are_training_images_there_is_no_ratio():
    train = np.eye(3)
    assert math.isnan(memorisation(train, train + 1, train).ratio)
