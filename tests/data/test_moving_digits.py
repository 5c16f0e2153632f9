"""Moving MNIST's recipe against NumPy, and what its videos are known by."""

from functools import partial

import jax
import numpy as np
import pytest

from aigc_jax.data import moving_digits as module
from aigc_jax.data.images import load_images
from aigc_jax.data.moving_digits import (
    MovingDigits,
    Videos,
    contents,
    load_moving_digits,
    moving_digits,
    sizes,
    video_keys,
)
from aigc_jax.errors import InputError
from aigc_jax.metrics.video import squared_error, trivial_predictions

N, SIDE, SIZE, T, K = 11, 7, 20, 30, 3
DIGITS = np.random.default_rng(1).integers(256, size=(N, SIDE, SIDE)).astype(np.uint8)
make = jax.jit(partial(moving_digits, frames=T, count=K, size=SIZE))


@pytest.fixture(scope="module")
def videos():
    return jax.device_get(make(video_keys(4, np.arange(50)), DIGITS))


def drawn(digits, positions, size):
    """The frames of one video, by loops: `[K, D, D]` at `[T, K, 2]`."""
    frames = np.zeros((len(positions), size, size, 1), np.uint8)
    for t, places in enumerate(positions):
        for digit, (row, column) in zip(digits, places.astype(int), strict=True):
            window = frames[t, row : row + len(digit), column : column + len(digit), 0]
            np.maximum(window, digit, out=window)
    return frames


def test_frames_show_the_digits_at_their_positions(videos):
    assert videos.frames.dtype == np.uint8
    assert videos.frames.shape == (50, T, SIZE, SIZE, 1)
    assert (videos.digits.dtype, videos.digits.shape) == (np.int32, (50, K))
    assert (videos.positions.dtype, videos.positions.shape) == (np.float32, (50, T, K, 2))
    for frames, chosen, positions in zip(*videos, strict=True):
        np.testing.assert_array_equal(frames, drawn(DIGITS[chosen], positions, SIZE))


def test_digits_go_straight_and_turn_back_at_the_borders(videos):
    """The recipe's loop in float64, started at each video's first position and first step."""
    places = np.float64(videos.positions) / (SIZE - SIDE)
    place, velocity = places[:, 1], places[:, 1] - places[:, 0]
    # Where the second frame is at a border the first step is not the velocity.
    inside = ((places[:, :2] > 0) & (places[:, :2] < 1)).all(1)
    bounces = 0
    for t in range(2, T):
        place = place + velocity
        over = (place <= 0) | (place >= 1)
        velocity, place = np.where(over, -velocity, velocity), place.clip(0, 1)
        bounces += over[inside].sum()
        np.testing.assert_allclose(places[:, t][inside], place[inside], atol=2e-5)
    assert bounces > 400


def test_the_speed_is_a_tenth_of_the_free_range_in_every_direction(videos):
    steps = np.diff(videos.positions, axis=1)
    inside = ((videos.positions > 0) & (videos.positions < SIZE - SIDE)).all(-1)
    within = inside[:, 1:] & inside[:, :-1]
    np.testing.assert_allclose(np.linalg.norm(steps[within], axis=-1), 1.3, rtol=1e-5)
    begun = steps[:, 0][within[:, 0]]  # later all directions occur, as digits turn back
    quadrants = np.bincount((begun > 0) @ [1, 2], minlength=4)
    assert np.abs(quadrants / len(begun) - 0.25).max() < 5 * np.sqrt(3 / 16 / len(begun))


def test_starts_and_digits_are_uniform():
    """Counts within 5 standard deviations; a step from the start, half are still in the middle."""
    many = jax.device_get(make(video_keys(7, np.arange(700)), DIGITS))
    counts = np.bincount(many.digits.ravel(), minlength=N)
    assert len(counts) == N
    expected, deviation = 2100 / N, np.sqrt(2100 / N * (1 - 1 / N))
    assert np.abs(counts - expected).max() < 5 * deviation
    middle = ((many.positions[:, 0] > 3.25) & (many.positions[:, 0] < 9.75)).mean(dtype=np.float64)
    assert abs(middle - 0.5) < 5 * np.sqrt(0.25 / 4200)


def test_a_video_is_a_function_of_seed_and_index_alone(videos, assert_identical):
    some = make(video_keys(4, np.arange(17, 20)), DIGITS)
    assert_identical(some, Videos(*(part[17:20] for part in videos)))
    assert_identical(
        make(video_keys(4, np.arange(18, 19)), DIGITS), Videos(*(part[18:19] for part in videos))
    )
    other = make(video_keys(5, np.arange(17, 20)), DIGITS)
    assert (other.positions != some.positions).any((1, 2, 3)).all()


def test_keys_are_folded_from_seed_and_index():
    expected = jax.random.key_data(jax.random.fold_in(jax.random.key(9), 21))
    found = jax.random.key_data(video_keys(9, np.arange(20, 22)))
    np.testing.assert_array_equal(found[1], expected)


@pytest.fixture(scope="module")
def data():
    return load_moving_digits(frames=4, size=32)


def test_training_and_held_out_digits_are_those_of_the_images_and_disjoint(data):
    images = load_images("mnist5k")
    full = load_moving_digits()
    assert (full.name, full.unit, full.rate) == ("moving_mnist5k", "videos", 10)
    assert (full.frames, full.count, full.size) == (20, 2, 64)
    np.testing.assert_array_equal(full.train, images.train[..., 0])
    np.testing.assert_array_equal(full.heldout, images.heldout[..., 0])
    np.testing.assert_array_equal(full.heldout_labels, images.heldout_labels)
    np.testing.assert_array_equal(full.train_labels, images.train_labels)
    seen = {digit.tobytes() for digit in full.train}
    assert not seen & {digit.tobytes() for digit in full.heldout}


def test_smaller_digits_are_means_of_four_pixels(data):
    digits = load_images("mnist5k").heldout[..., 0].astype(float)
    four = [digits[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    np.testing.assert_array_equal(data.heldout, np.rint(sum(four) / 4))
    assert data.train.shape == (4500, 14, 14)


def test_held_out_videos_show_held_out_digits_and_more_of_them_begin_alike(data, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 5)
    found = data.heldout_videos(7, seed=3)
    assert all(isinstance(part, np.ndarray) for part in found)
    assert found.frames.shape == (7, 4, 32, 32, 1)
    for frames, chosen, positions in zip(*found, strict=True):
        np.testing.assert_array_equal(frames, drawn(data.heldout[chosen], positions, 32))
    fewer = data.heldout_videos(5, seed=3)
    for a, b in zip(found, fewer, strict=True):
        np.testing.assert_array_equal(a[:5], b)
    last = moving_digits(video_keys(3, np.arange(6, 7)), jax.numpy.asarray(data.heldout), 4, 2, 32)
    np.testing.assert_array_equal(found.digits[6:], last.digits)
    assert (data.heldout_videos(5).digits != fewer.digits).any()


def test_the_fingerprint_tells_all_that_a_video_depends_on():
    def fingerprint(**changes):
        parts = {
            "train": DIGITS,
            "train_labels": np.arange(N),
            "heldout": DIGITS[::-1],
            "heldout_labels": np.arange(N),
            "frames": 5,
            "count": 2,
            "size": 9,
        }
        return MovingDigits("any", **{**parts, **changes}).fingerprint()

    changed = [
        fingerprint(train=DIGITS[1:]),
        fingerprint(train_labels=np.arange(N)[::-1]),
        fingerprint(heldout=DIGITS),
        fingerprint(heldout_labels=np.ones(N)),
        fingerprint(frames=6),
        fingerprint(count=1),
        fingerprint(size=10),
    ]
    assert fingerprint() == fingerprint()
    assert len({fingerprint(), *changed}) == 8


REFUSED = {
    "of uint8": (np.float32(DIGITS), {}),
    "and these are uint8 [11, 7, 7, 1]": (DIGITS[..., None], {}),
    "and these are uint8 [11, 7, 6]": (DIGITS[..., 1:], {}),
    "and these are uint8 [0, 7, 7]": (DIGITS[:0], {}),
    "digits of 7 pixels do not fit into frames of 6": (DIGITS, {"size": 6}),
    "0 frames of 2 digits": (DIGITS, {"frames": 0}),
    "20 frames of 0 digits": (DIGITS, {"count": 0}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_drawn_is_refused(reason):
    digits, options = REFUSED[reason]
    with pytest.raises(InputError) as caught:
        moving_digits(video_keys(0, np.arange(1)), digits, **{"size": 12, **options})
    assert reason in str(caught.value)


def test_other_sizes_and_no_videos_are_refused(data):
    with pytest.raises(InputError, match="frames of 64 or 32, not 48"):
        load_moving_digits(size=48)
    with pytest.raises(InputError, match="0 held-out videos"):
        data.heldout_videos(0)


def test_trivial_predictions_err_as_much_as_measured_elsewhere():
    """172, 285 and 151 of 500 videos of MNIST, ten frames after ten.

    A video's error deviates by 43, 65 and 34, so the difference of two means of 500 by √(2/500) of
    these: 2.7, 4.1 and 2.2. Three of them, and one more for 500 digits that stand for 10,000.
    """
    frames = load_moving_digits().heldout_videos(500).frames
    given, truth = frames[:, :10], frames[:, 10:]
    predictions = trivial_predictions(given, 10, truth.mean((0, 1)))
    errors = {
        name: squared_error(p if p.dtype == np.uint8 else p / 255, truth)
        for name, p in predictions.items()
    }
    deviations = {"blank": 43.0, "last frame": 65.0, "mean image": 34.0}
    figures = {"blank": 172.0, "last frame": 285.0, "mean image": 151.0}
    for name, error in errors.items():
        assert error.shape == (500, 10)
        each = error.mean(1)
        assert each.std() == pytest.approx(deviations[name], rel=0.1)
        assert abs(each.mean() - figures[name]) < 4 * np.sqrt(2 / 500) * deviations[name], name


def test_what_a_video_shows_by_hand():
    """Slopes of 45°, 8°, 80° and 90°, which are of the ranges 2, 0, 3 and 3 of 22.5° each."""
    steps = np.array([(-1.0, 1.0), (0.2, -1.4), (-2.0, 0.35), (1.0, 0.0)])
    positions = np.zeros((2, 4, 2, 2))
    for video, digit in np.ndindex(2, 2):
        step = steps[2 * video + digit]
        positions[video, :, digit] = 9 + np.array([0, 1, 2, 1])[:, None] * step  # and back
    # Digits 7, 4 and 9, 9.
    videos = Videos(None, np.array([[5, 0], [3, 2]]), np.float32(positions))
    found = contents(videos, np.array([4, 1, 9, 9, 0, 7]))
    np.testing.assert_array_equal(found, [[4, 7, 0, 2], [9, 9, 3, 3]])
    assert found.dtype == np.int32
    assert sizes(2) == (10, 10, 4, 4)


def test_slopes_are_those_that_were_drawn_and_all_are_as_likely(videos):
    """A border turns back one component, and the shortened steps are not the longest."""
    labels = np.arange(N) % 10
    found = np.asarray(contents(videos, labels))
    np.testing.assert_array_equal(found[:, :K], np.sort(labels[videos.digits], axis=1))
    # Of the frames of each third of a video alone, they are the same.
    for start in (0, 10, 20):
        part = videos._replace(positions=videos.positions[:, start : start + 10])
        np.testing.assert_array_equal(np.asarray(contents(part, labels))[:, K:], found[:, K:])
    many = jax.device_get(make(video_keys(5, np.arange(700)), DIGITS))
    counts = np.bincount(np.asarray(contents(many, labels))[:, K:].ravel(), minlength=4)
    assert (np.abs(counts - 525) < 4 * 525**0.5).all()
