"""The distance from the nearest path of gliding and bouncing: on the grid, by hand, and of data."""

import numpy as np
import pytest

from aigc_jax.data.moving_digits import load_moving_digits
from aigc_jax.metrics import bounces
from aigc_jax.metrics.bounces import bounce_error
from aigc_jax.metrics.motion import track

FREE = 36.0


def bouncing(start, velocity, frames=20):
    """Centroids `[1, T, 2]` by the recipe, one frame after another, in pixels."""
    place, velocity, found = np.array(start), np.array(velocity), []
    for _ in range(frames):
        place = place + velocity
        over = (place <= 0) | (place >= 1)
        place, velocity = place.clip(0, 1), np.where(over, -velocity, velocity)
        found.append(FREE * place)
    return np.array(found)[None]


@pytest.mark.parametrize("degrees", [0, 30, 127.5, 271])
def test_a_path_of_the_grid_is_its_own_nearest_wherever_the_digit_is_within_its_square(degrees):
    theta = np.deg2rad(degrees)
    path = bouncing((0.5, 0.25), 0.1 * np.array([np.sin(theta), np.cos(theta)]))
    assert (np.diff(path, n=2, axis=1) != 0).any()  # it turns back
    assert bounce_error(path, FREE)[0] == pytest.approx(0, abs=1e-5)
    assert bounce_error(path + np.array([13.2, 14.7]), FREE)[0] == pytest.approx(0, abs=1e-5)


def test_what_jumps_to_and_fro_across_its_path_is_off_by_the_width_of_it():
    path = bouncing((0.5, 0.5), (0.0, 0.1))  # along the rows
    path[0, ::2, 0] += 1.0
    path[0, 1::2, 0] -= 1.0
    assert 0.95 < bounce_error(path, FREE)[0] <= 1.0


def test_the_speed_counts():
    slow = bouncing((0.5, 0.5), (0.0, 0.05), frames=9)  # does not turn back
    assert bounce_error(slow, FREE, step=0.05)[0] == pytest.approx(0, abs=1e-5)
    # The slope is half. A path that turns back midway is nearer than a straight one:
    # that would be off by 1.8 times the deviation of 0 … 8.
    assert 1.0 < bounce_error(slow, FREE)[0] < 1.8 * np.std(np.arange(9))


def test_videos_are_measured_one_by_one(rng, monkeypatch):
    tracks = rng.random((5, 7, 2)) * FREE
    whole = bounce_error(tracks, FREE)
    monkeypatch.setattr(bounces, "_BLOCK", 2)
    np.testing.assert_allclose(bounce_error(tracks, FREE), whole, rtol=1e-9)
    np.testing.assert_allclose(bounce_error(tracks[3:4], FREE), whole[3:4], rtol=1e-9)
    assert bounce_error(tracks[:0], FREE).shape == (0,)


def test_real_digits_are_off_by_their_whole_pixels():
    videos = load_moving_digits(count=1).heldout_videos(100).frames
    found = bounce_error(track(videos).centroids, FREE)
    assert found.mean() == pytest.approx(0.41, abs=0.02)
    assert found.std() == pytest.approx(0.04, abs=0.01)


@pytest.mark.parametrize("tracks", [np.zeros((2, 5)), np.full((1, 4, 2), np.nan)])
def test_what_is_no_track_is_refused(tracks):
    with pytest.raises(ValueError, match="finite centroids"):
        bounce_error(tracks, FREE)
