"""Squared error, PSNR and SSIM against float64 by loops, and worked examples."""

import math

import numpy as np
import pytest

from aigc_jax.metrics.video import (
    best_of,
    psnr,
    squared_error,
    ssim,
    ssim_uniform,
    trivial_predictions,
)

N, T, H, W, C = 2, 3, 13, 17, 3
MEASURES = [squared_error, psnr, ssim, ssim_uniform]


@pytest.fixture
def pair(rng):
    truth = rng.random((N, T, H, W, C))
    return np.float32(truth + 0.2 * rng.normal(size=truth.shape)), np.float32(truth)


def test_squared_error_is_the_sum_over_a_frame(pair):
    prediction, truth = (np.float64(x) for x in pair)
    found = squared_error(*pair)
    assert (found.shape, found.dtype) == ((N, T), np.float64)
    for i in range(N):
        for t in range(T):
            expected = sum((prediction[i, t].ravel() - truth[i, t].ravel()) ** 2)
            assert found[i, t] == pytest.approx(expected, rel=1e-12)


def test_psnr_of_a_worked_example(pair):
    truth = np.full((1, 2, 3, 5, 1), 0.5)
    prediction = truth.copy()
    prediction[0, 0, 0, 0] = 0.0  # ¼ / 15 in the mean
    assert psnr(prediction, truth).tolist() == [[pytest.approx(10 * math.log10(60)), math.inf]]
    assert psnr(truth + 9, truth)[0, 0] == pytest.approx(10 * math.log10(4))  # clipped to 1


@pytest.mark.parametrize("measure", MEASURES)
def test_bytes_are_out_of_255(rng, measure):
    prediction, truth = rng.integers(256, size=(2, N, T, H, W, C)).astype(np.uint8)
    expected = measure(prediction / 255, truth / 255)
    np.testing.assert_allclose(measure(prediction, truth), expected, rtol=1e-12)


def by_windows(p, x, weights, unbiased, top):
    """SSIM of one channel [H, W] as it is defined: one window after another, in two passes."""
    k = len(weights)
    c1, c2 = (0.01 * top) ** 2, (0.03 * top) ** 2
    found = []
    for row in range(p.shape[0] - k + 1):
        for column in range(p.shape[1] - k + 1):
            a, b = (image[row : row + k, column : column + k] for image in (p, x))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a = unbiased * (weights * (a - mean_a) ** 2).sum()
            var_b = unbiased * (weights * (b - mean_b) ** 2).sum()
            cov = unbiased * (weights * (a - mean_a) * (b - mean_b)).sum()
            above = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
            found.append(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(found)


def gaussian():
    i, j = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(i**2 + j**2) / (2 * 1.5**2))
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("measure", "definition"),
    [(ssim, (gaussian(), 1.0, 1.0)), (ssim_uniform, (np.full((7, 7), 1 / 49), 49 / 48, 2.0))],
)
def test_ssim_is_its_definition(pair, measure, definition):
    prediction, truth = np.float64(pair[0]).clip(0, 1), np.float64(pair[1])
    found = measure(*pair)
    for i in range(N):
        for t in range(T):
            channels = [
                by_windows(prediction[i, t, ..., c], truth[i, t, ..., c], *definition)
                for c in range(C)
            ]
            assert found[i, t] == pytest.approx(np.mean(channels), rel=1e-9)


def test_ssim_of_constant_frames_is_that_of_their_brightness():
    # Without variance: (2 · .2 · .6 + C₁) / (.2² + .6² + C₁).
    dark, bright = (np.full((1, 1, 11, 15, 1), shade) for shade in (0.2, 0.6))
    assert ssim(dark, bright)[0, 0] == pytest.approx(0.2401 / 0.4001, rel=1e-9)
    assert ssim_uniform(dark, bright)[0, 0] == pytest.approx(0.2404 / 0.4004, rel=1e-9)


def test_ssim_agrees_with_scikit_image(pair):
    """Values of scikit-image 0.26.0 for the frame below; see the call beside each."""
    rows, columns = np.mgrid[:13, :17]
    truth = 0.5 + 0.5 * np.sin(rows * 0.9 + columns**2 * 0.07)
    prediction = 0.5 + 0.4 * np.sin(rows * 0.8 + columns**2 * 0.075)
    frames = prediction[None, None, ..., None], truth[None, None, ..., None]
    # gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    assert ssim(*frames)[0, 0] == pytest.approx(0.911590494338, rel=1e-9)
    # data_range=2
    assert ssim_uniform(*frames)[0, 0] == pytest.approx(0.875116375298, rel=1e-9)


@pytest.mark.parametrize("measure", [ssim, ssim_uniform])
def test_ssim_of_the_truth_is_one(pair, measure):
    np.testing.assert_allclose(measure(pair[1], pair[1]), 1.0, rtol=1e-12)


@pytest.mark.parametrize(("measure", "side"), [(ssim, 11), (ssim_uniform, 7)])
def test_ssim_needs_a_whole_window(measure, side):
    assert measure(*np.zeros((2, 1, 1, side, side + 2, 1))).tolist() == [[1.0]]
    with pytest.raises(ValueError, match=f"of {side} pixels at least"):
        measure(*np.zeros((2, 1, 1, side + 2, side - 1, 1)))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", [(N, T, H, W, 1), (N, T, H, W), (0, T, H, W, C)], ids=len)
def test_what_does_not_compare_is_refused(pair, measure, shape):
    with pytest.raises(ValueError, match="must be"):
        measure(np.zeros(shape), pair[1] if len(shape) == 5 and shape[0] else np.zeros(shape))


def test_the_best_of_samples_is_each_videos_own():
    assert best_of(np.array([[3.0, 1.0, 2.0], [5.0, 9.0, 4.0]])) == 2.5


@pytest.mark.parametrize("errors", [np.zeros(3), np.zeros((3, 0))])
def test_there_is_no_best_of_none(errors):
    with pytest.raises(ValueError, match="needs errors"):
        best_of(errors)


def test_trivial_predictions(rng):
    given, mean = rng.random((2, 3, 4, 5, 1)), rng.random((4, 5, 1))
    found = trivial_predictions(given, 6, mean)
    assert list(found) == ["blank", "last frame", "mean image"]
    assert {x.shape for x in found.values()} == {(2, 6, 4, 5, 1)}
    for t in range(6):
        np.testing.assert_array_equal(found["blank"][:, t], 0)
        np.testing.assert_array_equal(found["last frame"][:, t], given[:, 2])
        np.testing.assert_array_equal(found["mean image"][1, t], mean)


@pytest.mark.parametrize(("shape", "frames"), [((2, 0, 4, 5, 1), 6), ((2, 3, 4, 5), 6)])
def test_nothing_follows_from_nothing(shape, frames):
    with pytest.raises(ValueError, match="need given frames"):
        trivial_predictions(np.zeros(shape), frames, 0.5)
