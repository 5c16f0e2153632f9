"""Videos by flag, and as what a classifier learns from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import classifier as package
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.moving_digits import MovingDigits, contents, moving_digits, sizes, video_keys
from aigc_jax.data.video import VideoClips
from aigc_jax.errors import InputError
from experiments import classifier as program
from experiments.cli.options import from_flags
from experiments.data import videos
from experiments.data.videos import LabelledDigits
from experiments.families.classifier import experiment as classifier

RNG = np.random.default_rng(0)
DIGITS = RNG.integers(1, 256, size=(12, 5, 5)).astype(np.uint8)
KINDS = np.arange(12) % 10
CLIPS = RNG.integers(0, 256, (7, 4, 6, 5, 1), np.uint8)
LABELS = np.array([[0, 2], [1, 0], [1, 1], [0, 0], [1, 2]], np.int32)
MINE = VideoClips(
    "mine",
    8.0,
    CLIPS[:5],
    CLIPS[5:],
    LABELS,
    LABELS[:2],
    (Attribute("pet", ("a", "b")), Attribute("place", ("x", "y", "z"))),
)


def moving(count=2, frames=4):
    parts = DIGITS[:8], KINDS[:8], DIGITS[8:], KINDS[8:]
    return LabelledDigits(MovingDigits("moving_few", *parts, frames, count, size=16))


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(videos, "HELDOUT", 9)


@pytest.mark.parametrize("count", [1, 2])
def test_held_out_videos_are_labelled_by_what_they_show(count):
    found = moving(count)
    real = found.moving.heldout_videos(9)
    np.testing.assert_array_equal(found.heldout, real.frames)
    parts = np.asarray(contents(real, KINDS[8:]))
    assert set(parts[:, :count].ravel()) <= {8, 9, 0, 1}  # of held-out digits
    np.testing.assert_array_equal(package.parts_of(found.heldout_labels, sizes(count)), parts)
    assert found.shape == (4, 16, 16, 1)


def test_training_videos_are_functions_of_their_index_and_of_training_digits():
    found = moving()
    data = jnp.asarray(found.train), jnp.asarray(found.train_labels)
    one, other = (jax.jit(found.gather)(data, jnp.array(i)) for i in ([3, 0, 7], [7, 3]))
    np.testing.assert_array_equal(one.images[np.array([2, 0])], other.images)
    np.testing.assert_array_equal(one.labels[np.array([2, 0])], other.labels)
    made = moving_digits(video_keys(0, np.arange(8)), DIGITS[:8], frames=4, count=2, size=16)
    np.testing.assert_allclose(one.images, made.frames[jnp.array([3, 0, 7])] / 255, rtol=1e-6)
    np.testing.assert_array_equal(one.labels, found.train_classes(8)[[3, 0, 7]])
    expected = package.class_of(contents(made, KINDS[:8]), sizes(2))
    np.testing.assert_array_equal(found.train_classes(8), expected)


def test_all_digits_and_all_slopes_must_be_right():
    parts = np.array([[4, 7, 0, 2], [4, 7, 0, 2], [4, 7, 0, 2], [4, 7, 0, 2]])
    seen = np.array([[4, 7, 0, 2], [4, 8, 0, 2], [4, 7, 1, 2], [3, 8, 0, 3]])
    said, labels = (package.class_of(x, sizes(2)) for x in (seen, parts))
    found = videos.part_accuracies(said, labels, 2)
    assert found == {"digits_accuracy": 0.5, "motion_accuracy": 0.5}
    seen[3, :2] = 4, 7
    found = videos.part_accuracies(package.class_of(seen, sizes(2)), labels, 2)
    assert found == {"digits_accuracy": 0.75, "motion_accuracy": 0.5}


def test_more_digits_than_are_told_apart_are_refused():
    with pytest.raises(InputError, match="--digits=3: a classifier tells videos of 1 or 2"):
        moving(3)


@pytest.mark.parametrize(
    ("attribute", "column", "classes"),
    [(None, 0, ("a", "b")), ("place", 1, ("x", "y", "z"))],
)
def test_own_videos_are_labelled_by_the_attribute_that_is_asked_for(attribute, column, classes):
    found = videos.as_images(MINE, attribute)
    assert found.name == f"mine-{attribute or 'pet'}"
    assert found.classes == classes
    np.testing.assert_array_equal(found.train_labels, LABELS[:, column])
    np.testing.assert_array_equal(found.heldout_labels, LABELS[:2, column])
    np.testing.assert_array_equal(found.heldout, CLIPS[5:])
    assert classifier.metadata(None, found) == {
        "image_shape": [4, 6, 5, 1],
        "classes": len(classes),
    }


def test_an_attribute_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"videos mine have no attribute 'name'; they have pet, p"):
        videos.as_images(MINE, "name")
    with pytest.raises(InputError, match="mine have no attribute None; they have none"):
        videos.as_images(VideoClips("mine", 8.0, CLIPS[:5], CLIPS[5:]))


def test_videos_stand_in_rows_with_blanks_where_they_run_out():
    wall = videos.side_by_side(CLIPS[:3], 8.0, 2)
    assert wall.frames.shape == (4, 14, 12, 1)
    np.testing.assert_allclose(wall.frames[:, 7:13, :5], CLIPS[2] / 255, rtol=1e-6)
    assert (wall.frames[:, 6] == 0.5)[:, :12].all()
    assert not wall.frames[:, 7:, 6:].any()


def options(**values):
    return from_flags(classifier.PRESETS, program.chosen(values))


def test_data_decide_whether_the_preset_is_that_of_videos():
    assert options(dataset="moving_mnist5k").preset == "video"
    assert options(videos="mine").preset == "video"
    assert options(preset="video").dataset == "moving_mnist5k"
    assert options(dataset="fashion_mnist").preset == options(sounds="mine").preset == "default"


def test_a_run_is_named_after_what_its_videos_are_made_of():
    def name(**values):
        return options(**values).data_name

    assert name(preset="video") == name(dataset="moving_mnist5k") == "moving_mnist5k"
    assert name(preset="video", digits=1, frames=8) == "moving_mnist5k-1digit-8frames"
    assert name(videos="some/pets.npz", attribute="pet") == "pets-pet"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "moving_mnist", "preset": "default"}, "--preset=default is for images and so"),
        (
            {"dataset": "mnist5k", "preset": "video"},
            "--preset=video is for videos, and these are",
        ),
        ({"sounds": "mine", "preset": "video"}, "is for videos, and these are sounds"),
        ({"preset": "video", "attribute": "digit"}, "--attribute=digit is for sounds, and for vi"),
        ({"digits": 1}, "--digits=1 has no effect on these images"),
        ({"dataset": "tones", "frames": 8}, "--frames=8 has no effect on these sounds"),
        ({"videos": "mine", "digits": 1}, "--digits=1 has no effect on these videos"),
        ({"preset": "video", "digits": 3}, "--digits=3: a classifier tells videos of 1 or 2"),
    ],
)
def test_what_is_for_other_data_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        classifier.load(options(**values))


def test_a_task_of_moving_digits_evaluates_each_part(monkeypatch):
    found = moving(1)
    metadata = classifier.metadata(None, found)
    assert metadata == {"image_shape": [4, 16, 16, 1], "classes": 40, "sizes": [10, 4], "digits": 1}
    asked = options(preset="video", steps=3)
    made = classifier.algorithm(asked, metadata)
    task = classifier.task(asked, found, metadata, made)
    state = jax.jit(made.init)(jax.random.key(0))
    metrics = task.evaluate(state)
    assert list(metrics) == ["accuracy", "digits_accuracy", "motion_accuracy", "label_nll_nats"]
    texts = classifier.EXPERIMENT.descriptions(asked, metadata)
    assert texts.keys() == {"loss_nats", *metrics}
    classes = found.train_classes(4096)
    frequent = np.mean(found.heldout_labels == np.bincount(classes).argmax())
    assert task.baselines() == {"most frequent class": {"accuracy": frequent}}
    assert task.artefacts(state)["hardest"].frames.shape == (4, 3 * 17, 4 * 17, 1)
    data = jax.tree.map(jnp.asarray, task.data)
    state, info = jax.jit(made.step)(state, task.gather(data, jnp.arange(6)))
    assert np.isfinite(info.loss_nats)
