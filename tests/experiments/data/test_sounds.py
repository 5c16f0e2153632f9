"""Sounds by flag, and as the images in which they are classified."""

import numpy as np
import pytest

from aigc_jax import spectral
from aigc_jax.artefacts import Sound
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.audio import Sounds
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data import sounds
from experiments.families.classifier import experiment as classifier

RATE = 8000
CLIPS = np.random.default_rng(0).integers(-9000, 9000, (7, 1024), np.int16)
LABELS = np.array([[0, 2], [1, 0], [1, 1], [0, 0], [1, 2]], np.int32)
MINE = Sounds(
    "mine",
    RATE,
    CLIPS[:5],
    CLIPS[5:],
    LABELS,
    LABELS[:2],
    (Attribute("digit", ("a", "b")), Attribute("speaker", ("x", "y", "z"))),
)


def test_log_mels_become_bytes_whatever_is_computed_at_once(monkeypatch):
    found = sounds.mel_images(CLIPS, RATE)
    mels = np.asarray(spectral.mel_image(CLIPS / np.float32(2**15), RATE))
    assert found.dtype == np.uint8
    assert np.abs(found - 255 * mels).max() <= 0.5 + 1e-3  # which rounding and jit account for
    assert found.std() > 10
    monkeypatch.setattr(sounds, "_AT_ONCE", 3)
    np.testing.assert_array_equal(sounds.mel_images(CLIPS, RATE), found)


def test_silence_is_black():
    assert not sounds.mel_images(np.zeros((2, 1024), np.int16), RATE).any()


@pytest.mark.parametrize(
    ("attribute", "column", "classes"),
    [(None, 0, ("a", "b")), ("digit", 0, ("a", "b")), ("speaker", 1, ("x", "y", "z"))],
)
def test_the_images_are_labelled_by_the_attribute_that_is_asked_for(attribute, column, classes):
    images = sounds.as_images(MINE, attribute)
    assert images.name == f"mine-{attribute or 'digit'}"
    assert images.classes == classes
    np.testing.assert_array_equal(images.train_labels, LABELS[:, column])
    np.testing.assert_array_equal(images.heldout_labels, LABELS[:2, column])
    np.testing.assert_array_equal(images.heldout, sounds.mel_images(CLIPS[5:], RATE))


def test_an_attribute_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"mine have no attribute 'pitch'; they have digit, spe"):
        sounds.as_images(MINE, "pitch")
    untold = Sounds("mine", RATE, CLIPS[:5], CLIPS[5:], None, None)
    with pytest.raises(InputError, match="mine have no attribute None; they have none"):
        sounds.as_images(untold)


def test_what_flags_name_is_loaded(tmp_path):
    for i in range(20):
        place = tmp_path / "pets" / ("cat", "dog")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.wav").write_bytes(Sound(CLIPS[i % 7] / 2**15, RATE).encode())
    own = str(tmp_path / "pets")
    assert sounds.load("tones", None, own).name == "pets"  # own ones before any data set
    with pytest.raises(InputError, match="dataset fsdd: pass --data_dir"):
        sounds.load("fsdd", None, None)
    made = classifier.load(from_flags(classifier.PRESETS, {"sounds": own}))
    assert (made.name, made.classes) == ("pets-class", ("cat", "dog"))


def test_a_classifier_of_images_is_asked_for_no_attribute():
    options = from_flags(classifier.PRESETS, {"attribute": "digit"})
    with pytest.raises(InputError, match="--attribute=digit is for sounds"):
        classifier.load(options)


def test_a_classifiers_run_is_named_after_what_it_classifies():
    def name(**values):
        return from_flags(classifier.PRESETS, values).data_name

    assert name(dataset="tones") == "tones"
    assert name(dataset="tones", attribute="pitch") == "tones-pitch"
    assert name(sounds="some/pets", attribute="class") == "pets-class"
    assert name(images="some/pets.npz") == "pets"
