"""Continuations beside the truth, by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from aigc_jax.data.moving_digits import MovingDigits
from experiments.families.prior import predictions
from experiments.fidelity.features import FeatureNetwork

TRUTH = np.random.default_rng(0).integers(0, 256, (3, 4, 12, 12, 1), np.uint8)


def test_errors_are_summed_over_a_frame_and_of_windows_that_fit():
    found = predictions.errors(np.zeros_like(TRUTH), TRUTH)
    squares = np.square(TRUTH / 255).sum((2, 3, 4))
    assert found["prediction_mse_summed"] == pytest.approx(squares.mean(), rel=1e-12)
    assert found["prediction_psnr_db"] == pytest.approx(-10 * np.log10(squares / 144).mean())
    assert found.keys() == {
        f"prediction_{name}" for name in ("mse_summed", "psnr_db", "ssim", "ssim_uniform")
    }
    small = TRUTH[:, :, :8]
    assert "prediction_ssim" not in predictions.errors(small, small)
    assert predictions.errors(small, small)["prediction_ssim_uniform"] == pytest.approx(1.0)


def test_of_ten_samples_the_best_is_each_videos_own_and_the_mean_is_one_prediction():
    drawn = []

    def draw(s):
        """Samples 1 and 9 are right about one video each, and all others blank."""
        drawn.append(s)
        found = np.zeros_like(TRUTH)
        if s in (1, 9):
            found[s % 7] = TRUTH[s % 7]
        return found

    found = predictions.of_samples(draw, TRUTH)
    each = np.square(TRUTH / 255).sum((2, 3, 4)).mean(1)
    left = each[0] / 3  # of three, one is never right
    assert found["prediction_mse_summed_best_of_10"] == pytest.approx(left, rel=1e-12)
    mean = (each[0] + 0.81 * each[1:].sum()) / 3  # where one of ten is right
    assert found["prediction_mse_summed_mean_of_10"] == pytest.approx(mean, rel=1e-12)
    assert drawn == list(range(10))


def squares(shades):
    """A square that glides, of a shade in each frame: uint8 `[1, T, 64, 64, 1]`."""
    found = np.zeros((1, len(shades), 64, 64, 1), np.uint8)
    for t, shade in enumerate(shades):
        found[0, t, 10 + 3 * t : 30 + 3 * t, 8:28] = shade
    return found


def test_a_digit_goes_on_as_the_true_one_that_was_given():
    """Not as what the codec or the prior made of it."""
    network = FeatureNetwork(
        "shades", 10, "", math.nan, lambda images: (None, images.max((1, 2, 3)) // 25)
    )
    digits = np.zeros((1, 28, 28), np.uint8), np.zeros(1, int)
    source = MovingDigits("moving_shades", *digits, *digits, frames=6, count=1)
    truth, judges = squares([50] * 6), SimpleNamespace(frames=network)
    found = predictions.plausible(squares([75, 75, 75, 50, 50, 50]), truth, 2, judges, source)
    assert found["prediction_persistence"] == 0.75  # of four frames after the first two
    assert found["prediction_path_error_px"] < 1.0  # at 3 pixels a frame in place of 3.6
    jumping = squares([50] * 6)
    jumping[:, 4:] = np.roll(jumping[:, 4:], 12, axis=3)
    found = predictions.plausible(jumping, truth, 2, judges, source)
    assert found["prediction_persistence"] == 1.0
    assert found["prediction_path_error_px"] > 2.0
    none = SimpleNamespace(frames=None)
    assert predictions.plausible(truth, truth, 2, none, source) == {}
