import math

import numpy as np
import pytest

from aigc_jax.metrics.pixels import independent_pixels_nll, pixel_means, shuffled_pixels


def images(*rows):
    return np.array(rows, np.float32).reshape(len(rows), 1, -1, 1)


def test_pixel_means_are_smoothed_by_half_an_image_of_each_kind():
    means = pixel_means(images([0, 1, 0.5], [0, 1, 1]))
    assert means.shape == (1, 3, 1)
    assert means.dtype == np.float64
    np.testing.assert_allclose(means.ravel(), [0.5 / 3, 2.5 / 3, 2 / 3], rtol=1e-12)


def test_nll_of_a_worked_example():
    # Two images under p = (1/4, 1/2): −log(1/4) − log(1/2) and −log(3/4) − log(1/2).
    p = np.array([0.25, 0.5]).reshape(1, 2, 1)
    expected = (math.log(4) + math.log(2) + math.log(4 / 3) + math.log(2)) / 2
    assert independent_pixels_nll(p, images([1, 0], [0, 1])) == pytest.approx(expected, rel=1e-12)


def test_nll_of_grey_values_is_their_cross_entropy():
    p = np.full((1, 1, 1), 0.25)
    expected = -(0.4 * math.log(0.25) + 0.6 * math.log(0.75))
    grey = np.array([[[[0.4]]]])
    assert independent_pixels_nll(p, grey) == pytest.approx(expected, rel=1e-12)


def test_the_smoothed_mean_is_finite_where_a_pixel_is_always_off():
    off = images([0, 0], [0, 0], [0, 0])
    expected = 2 * math.log(4 / 3.5)
    assert independent_pixels_nll(pixel_means(off), off) == pytest.approx(expected, rel=1e-12)


def test_no_other_probabilities_explain_the_images_better(rng):
    x = (rng.random((200, 1, 8, 1)) < 0.3).astype(np.float32)
    best = x.mean(0, dtype=np.float64)
    for other in (best + 0.02, best - 0.02):
        assert independent_pixels_nll(best, x) < independent_pixels_nll(other, x)


def test_shuffled_pixels_keep_each_pixels_values_and_lose_their_joint():
    # Pixels 0 and 1 are equal in every image; pixel 2 is always 9.
    train = images(*([i, i, 9] for i in range(4)))
    drawn = shuffled_pixels(train, seed=0, n=4000).reshape(-1, 3)
    assert set(drawn[:, 2]) == {9}
    # Binomial: 1,000 ± 27 (one standard deviation) of each value, and as many equal pairs.
    for pixel in (0, 1):
        counts = np.bincount(drawn[:, pixel].astype(int), minlength=4)
        assert np.abs(counts - 1000).max() < 5 * 27.4
    assert abs((drawn[:, 0] == drawn[:, 1]).sum() - 1000) < 5 * 27.4


def test_shuffled_pixels_are_a_function_of_the_seed():
    train = np.arange(60, dtype=np.uint8).reshape(10, 2, 3, 1)
    drawn = shuffled_pixels(train, 1, 7)
    assert drawn.shape == (7, 2, 3, 1)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, shuffled_pixels(train, 1, 7))
    assert (drawn != shuffled_pixels(train, 2, 7)).any()
