"""What judges say of videos of moving digits, with classifiers that read pixels."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from aigc_jax.classifier import Description
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.images import Images
from aigc_jax.data.moving_digits import STEP, MovingDigits
from aigc_jax.data.video import VideoClips
from aigc_jax.errors import InputError
from experiments.data import signals as data
from experiments.data import videos as videos_of
from experiments.data.videos import LabelledDigits
from experiments.fidelity import features, moving
from experiments.fidelity import signals as fidelity
from experiments.fidelity.features import FeatureNetwork
from experiments.fidelity.signals import FRAME, Judges

FRAMES, HELDOUT, FEATURES = 12, 100, 4
# Squares of all shades: the shade says which digit it is, 0 to 9, of 25 levels each.
SQUARES = np.zeros((20, 28, 28), np.uint8)
SQUARES[:, 11:18, 11:18] = (20 + 12 * np.arange(20))[:, None, None]
KINDS = np.arange(20) // 2
JUDGING = SimpleNamespace(judges=True)


def source(count=1):
    return MovingDigits("moving_squares", SQUARES, KINDS, SQUARES, KINDS, FRAMES, count)


def describe(images):
    """Of still images, the digit that the brightest pixel is the shade of."""
    shade = images.reshape(len(images), -1).max(1).astype(int)
    return shade[:, None].astype(np.float32), np.clip((shade - 20) // 24, 0, 9)


def watch(videos):
    """Of videos, the light in each quarter of the first frame; and some class."""
    quarters = videos[:, 0].reshape(-1, 2, 32, 2, 32).mean((2, 4)).reshape(-1, FEATURES)
    logits = np.eye(40)[videos.max((1, 2, 3, 4)) % 40]
    return Description(np.float32(quarters), np.float32(logits))


@pytest.fixture
def judges(monkeypatch):
    """`judges(count)`: of videos of so many squares."""
    monkeypatch.setattr(videos_of, "HELDOUT", HELDOUT)
    frame = FeatureNetwork("squares", 10, "ef", math.nan, describe)
    whole = FeatureNetwork("moving_squares", 40, "ab", math.nan, None, watch)
    monkeypatch.setattr(fidelity, "video_networks", lambda *_: {"digits": whole})
    monkeypatch.setattr(fidelity, "frame_network", lambda *_: frame)
    return lambda count=1, sha256=None: Judges(JUDGING, data._of_moving(source(count), 0), sha256)


def path(place, step, frames=FRAMES):
    """Rows and columns `[T, 2]` of a corner that starts at a place and glides."""
    return np.array(place) + np.arange(frames)[:, None] * np.array(step)


def video(corners, digits):
    """The square of each frame's digit at its corner: uint8 `[1, T, 64, 64, 1]`."""
    found = np.zeros((1, len(corners), 64, 64, 1), np.uint8)
    for t, (row, column) in enumerate(np.asarray(corners, int)):
        found[0, t, row : row + 28, column : column + 28, 0] = SQUARES[2 * digits[t]]
    return found


GLIDING = path((2, 3), (2.88, 2.16))  # at 3.6 pixels a frame


@pytest.mark.parametrize("changed", [1, 5, 11])
def test_a_digit_that_changes_in_a_frame_persists_until_then(judges, changed):
    found = judges().motion(video(GLIDING, [3] * changed + [8] * (FRAMES - changed)))
    assert found["identity_persistence"] == pytest.approx((changed - 1) / (FRAMES - 1))
    back = judges().motion(video(GLIDING, [3] * changed + [8] + [3] * (FRAMES - changed - 1)))
    assert back["identity_persistence"] == pytest.approx((FRAMES - 2) / (FRAMES - 1))


def test_a_digit_that_jumps_has_two_jumps_and_leaves_every_path(judges):
    real = judges().motion(video(GLIDING, [3] * FRAMES))
    assert real["identity_persistence"] == 1.0
    assert real["path_error_px"] < 0.6
    assert real["jumps"] == 0.0
    assert real["mass_change"] == pytest.approx(0, abs=1e-12)
    jumped = judges().motion(video(GLIDING + (np.arange(FRAMES) >= 6)[:, None] * [0, 9], [3] * 12))
    # Along one of two axes, in two of ten second differences.
    assert jumped["jumps"] == pytest.approx(2 / 20)
    assert jumped["path_error_px"] > 2.0
    longest = np.hypot(3, 2 + 9)  # in whole pixels, of that step
    assert jumped["speed_px"] < real["speed_px"] + longest / 11


def test_a_frame_without_light_counts_as_in_the_middle_and_as_another_digit(judges):
    videos = video(GLIDING, [3] * FRAMES)
    videos[:, 7] = 0
    found = judges().motion(videos)
    assert found["black_frames"] == pytest.approx(1 / FRAMES)
    assert found["identity_persistence"] == pytest.approx((FRAMES - 2) / (FRAMES - 1))
    assert 1.0 < found["path_error_px"] < 20.0
    middle = video(GLIDING, [3] * FRAMES)
    middle[:, 7] = 0
    middle[:, 7, 31:33, 31:33] = 90
    same = moving.path_error(middle, source())
    assert found["path_error_px"] == pytest.approx(same, rel=1e-12)


def test_of_two_digits_only_their_common_light_is_followed(judges):
    found = judges(2)
    assert found.frames is None
    assert found.motion(found.heldout[:5]).keys() == {
        "speed_px",
        "speed_deviation_px",
        "jumps",
        "mass_change",
        "black_frames",
    }


def test_videos_of_two_frames_have_no_motion_and_others_none_at_all(judges, monkeypatch):
    assert moving.motion_of(video(GLIDING[:2], [3, 3]), source()) == {}
    own = SimpleNamespace(name="mine")
    monkeypatch.setattr(fidelity, "video_networks", lambda *_: {})
    made = data._of_moving(source(), 0)._replace(source=own)
    assert Judges(JUDGING, made).motion(made.heldout) == {}


def test_without_judges_no_classifier_is_trained_and_nothing_is_judged(judges):
    alone, options = data._of_moving(source(), 0), SimpleNamespace(judges=False)
    assert fidelity.judges_sha256(options, alone) == {}
    found = Judges(options, alone)
    assert (found.networks, found.frames, found.motion(found.heldout)) == ({}, None, {})


def test_the_distance_of_features_that_are_shifted_is_the_squared_shift(judges):
    found = judges()
    said = found.real
    assert found.distance(said) == {"fcd": pytest.approx(0, abs=1e-6)}
    features, log_p = said["digits"]
    features = features + 0.01 * np.random.default_rng(0).normal(size=features.shape)
    found.real["digits"] = features, log_p
    shifted = {"digits": (features + np.array([3.0, 0, 0, 4.0]), log_p)}
    assert found.distance(shifted) == {"fcd": pytest.approx(25.0, rel=1e-9)}


def test_a_distance_takes_twice_as_many_videos_as_there_are_features(judges):
    found = judges()
    (features, log_p) = found.real["digits"]
    for count, known in ((2 * FEATURES, True), (2 * FEATURES - 1, False)):
        few = {"digits": (features[:count], log_p[:count])}
        assert bool(found.distance(few)) == bool(found.expected_fcd(count)) == known
    expected = [found.expected_fcd(count)["fcd"] for count in (64, HELDOUT)]
    assert expected[0] / expected[1] == pytest.approx((1 / 64 + 1 / 100) / (2 / 100))


def test_what_is_recognised_is_what_was_held_out(judges):
    found = judges()
    labels = LabelledDigits(source()).heldout_labels
    said = {"digits": (None, 9.0 * np.eye(40)[labels])}
    assert found.recognised(said) == {"digits_accuracy": 1.0, "motion_accuracy": 1.0}
    wrong = labels.copy()
    wrong[:25] = (labels[:25] + 4) % 40  # another digit, the same slope
    said = {"digits": (None, 9.0 * np.eye(40)[wrong])}
    assert found.recognised(said) == {"digits_accuracy": 0.75, "motion_accuracy": 1.0}


def test_both_classifiers_are_those_that_a_run_was_evaluated_with(judges):
    known = {"digits": "ab", FRAME: "ef"}
    judges(1, known)
    judges(2, {"digits": "ab"})
    assert fidelity.judges_sha256(JUDGING, data._of_moving(source(), 0)) == known
    assert fidelity.judges_sha256(JUDGING, data._of_moving(source(2), 0)) == {"digits": "ab"}
    for name in known:
        with pytest.raises(InputError, match=f"the classifier of the {name} is not the one"):
            judges(1, {**known, name: "cd"})


def test_networks_are_trained_on_the_very_videos(monkeypatch):
    """Which options a classifier of each kind of data is asked for by, and which data it is of."""
    asked = []

    def trained(options, values, labelled, named=None):
        asked.append((values, labelled))
        return f"run {len(asked)}"

    monkeypatch.setattr(features, "trained_classifier", trained)
    monkeypatch.setattr(features, "_open", lambda *found: found)
    monkeypatch.setattr(videos_of, "HELDOUT", 5)
    options = SimpleNamespace(dataset="moving_squares", frames=FRAMES, videos="mine", data_dir="x")
    assert features.video_networks(options, source(1)) == {"digits": ("run 1", (12, 64, 64, 1))}
    values, labelled = asked[0]
    common = {"preset": "video", "dataset": "moving_squares", "frames": FRAMES}
    assert values == {**common, "digits": 1}
    assert labelled.moving.count == 1
    assert features.video_networks(options, source(3)) == {}
    clips = np.zeros((30, 4, 6, 5, 1), np.uint8)
    known = {"class": ("a", "b"), "alike": ("c",), "place": ("x", "y", "z")}
    attributes = tuple(Attribute(*both) for both in known.items())
    labels = np.zeros((30, 3), np.int32)
    own = VideoClips("mine", 8.0, clips, clips[:5], labels, labels[:5], attributes)
    assert features.video_networks(options, own) == {
        "class": ("run 2", (4, 6, 5, 1)),
        "place": ("run 3", (4, 6, 5, 1)),
    }
    assert asked[2][0] == {**common, "videos": "mine", "attribute": "place"}
    assert asked[2][1].name == "mine-place"
    digits = Images("squares", SQUARES[..., None], KINDS, SQUARES[..., None], KINDS)
    monkeypatch.setattr(features, "load_images", lambda *place: {("squares", "x"): digits}[place])
    assert features.frame_network(options, source(1)) == ("run 4", (28, 28, 1))
    assert asked[3] == ({"dataset": "squares"}, digits)


def test_the_step_of_real_digits_is_that_of_their_paths():
    corners = np.float64(source().heldout_videos(20).positions[:, :, 0])
    free = 64 - 28
    steps = np.linalg.norm(np.diff(corners, axis=1), axis=-1)
    assert steps.max() == pytest.approx(STEP * free, rel=1e-4)
