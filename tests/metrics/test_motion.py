"""Persistence and motion by worked examples, and on real videos of one digit."""

import math

import numpy as np
import pytest

from aigc_jax.data.moving_digits import load_moving_digits
from aigc_jax.metrics.motion import identity_persistence, motion, track, windows


def test_persistence_counts_the_frames_after_the_first():
    # 3 of 3, 1 of 3, 0 of 3.
    labels = np.array([[4, 4, 4, 4], [1, 2, 1, 7], [0, 3, 3, 3]])
    assert identity_persistence(labels) == pytest.approx(4 / 9, rel=1e-15)


@pytest.mark.parametrize("labels", [np.zeros((3, 1), int), np.zeros(3, int), np.zeros((3, 4)), []])
def test_what_has_no_persistence_is_refused(labels):
    with pytest.raises(ValueError, match="persistence needs integer labels"):
        identity_persistence(labels)


def dots(*paths, height=9, width=13, shade=1.0):
    """A bright pixel on each path of (row, column), or no light where it is None."""
    videos = np.zeros((len(paths), len(paths[0]), height, width, 1))
    for video, path in zip(videos, paths, strict=True):
        for frame, place in zip(video, path, strict=True):
            if place is not None:
                frame[place] = shade
    return videos


def test_a_centroid_is_the_mean_of_places_weighted_by_light():
    video = dots([(2, 5)], shade=0.75)
    video[0, 0, 6, 11] = 0.25
    found = track(video)
    np.testing.assert_allclose(found.centroids, [[[3.0, 6.5]]], rtol=1e-15)
    np.testing.assert_allclose(found.mass, [[1.0]], rtol=1e-15)


def test_channels_are_averaged_and_bytes_are_out_of_255(rng):
    video = rng.integers(256, size=(2, 3, 5, 4, 3)).astype(np.uint8)
    found, grey = track(video), track(video.mean(-1, keepdims=True) / 255)
    np.testing.assert_allclose(found.centroids, grey.centroids, rtol=1e-12)
    np.testing.assert_allclose(found.mass, grey.mass, rtol=1e-12)


def test_what_is_negative_is_black():
    video = dots([(2, 5)])
    video[0, 0, 0, 0] = -0.5
    np.testing.assert_array_equal(track(video).centroids, [[[2, 5]]])


def test_a_window_is_around_the_light_and_black_beyond_the_frame(rng):
    quarter = rng.integers(1, 256, (3, 3, 3), dtype=np.uint8)
    pattern = np.concatenate([quarter, quarter[1::-1]])  # whose light is in the middle, (2, 2)
    pattern = np.concatenate([pattern, pattern[:, 1::-1]], axis=1)
    videos = np.zeros((1, 3, 9, 13, 3), np.uint8)
    videos[0, 0, 3:8, 8:13] = videos[0, 1, :5, :5] = pattern
    found = windows(videos, 8)
    assert (found.dtype, found.shape) == (np.uint8, (1, 3, 8, 8, 3))
    for frame in found[0, :2]:
        np.testing.assert_array_equal(frame[2:7, 2:7], pattern)
        assert frame.sum(dtype=int) == pattern.sum(dtype=int)
    assert not found[0, 2].any()  # whose frame is black


def test_windows_of_real_videos_are_the_digits_themselves():
    moving = load_moving_digits(count=1)
    videos = moving.heldout_videos(30)
    expected = np.repeat(moving.heldout[videos.digits], 20, axis=1)
    np.testing.assert_array_equal(windows(videos.frames, 28)[..., 0], expected)


def test_motion_of_a_worked_path():
    # Steps (3, 4), (3, 4), (0, −1), (0, −1): speeds 5, 5, 1, 1.
    # Second differences: 0, 0; −3, −5; 0, 0: two of six are jumps.
    path = [(0, 3), (3, 7), (6, 11), (6, 10), (6, 9)]
    found = motion(dots(path))
    assert found == pytest.approx((3.0, 2.0, 1 / 3, 0.0, 0.0), rel=1e-14)


def test_a_change_by_one_pixel_is_no_jump_and_by_two_is_one():
    assert motion(dots([(0, 0), (0, 2), (0, 5)])).jumps == 0.0
    assert motion(dots([(0, 0), (0, 2), (0, 6)])).jumps == 0.5


def test_a_change_of_mass_is_relative_to_the_videos_own_mean():
    # Masses 1, 2, 3 of mean 2: (½ + 0 + ½) / 3; another video's are constant.
    videos = dots([(1, 1), (1, 2), (1, 3)], [(1, 1), (1, 2), (1, 3)])
    videos[0] *= np.array([0.2, 0.4, 0.6])[:, None, None, None]
    assert motion(videos).mass_change == pytest.approx(1 / 6, rel=1e-14)


def test_steps_from_and_to_a_black_frame_are_left_out():
    found = motion(dots([(0, 0), (0, 1), None, (8, 8), (8, 10), (8, 12)]))
    assert found == pytest.approx((5 / 3, math.sqrt(2) / 3, 0.0, 0.0, 1 / 6), rel=1e-14)


def test_black_videos_have_no_motion():
    found = motion(np.zeros((2, 4, 5, 6, 1)))
    assert np.isnan(found[:4]).all()
    assert found.black == 1.0


@pytest.mark.parametrize("shape", [(1, 2, 5, 4, 1), (0, 5, 5, 4, 1), (3, 5, 5, 4)])
def test_too_few_frames_are_refused(shape):
    with pytest.raises(ValueError, match=r"three frames|needs videos"):
        motion(np.zeros(shape))


def test_real_videos_of_one_digit_move_as_measured_elsewhere():
    """Speed 3.48 ± .66 pixels, 8.9 % jumps.

    Between halves of 1,000 videos the three differ by about .02, .01 and .001; the elsewhere's own
    error is unknown, and taken to be as large.
    """
    found = motion(load_moving_digits(count=1).heldout_videos(1000).frames)
    assert found.speed == pytest.approx(3.48, abs=0.03)
    assert found.speed_deviation == pytest.approx(0.66, abs=0.03)
    assert found.jumps == pytest.approx(0.089, abs=0.003)
    assert found.mass_change < 1e-12
    assert found.black == 0.0
