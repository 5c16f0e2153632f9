"""Data sets of any medium as a codec takes them, by flag."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.artefacts import Sound
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data import signals
from experiments.families.codec.options import PRESETS


def options(preset="image", **values):
    return from_flags(PRESETS, {"preset": preset, **values})


def load(preset="image", **values):
    asked = options(preset, **values)
    return signals.load(asked, asked.medium)


@pytest.fixture
def own(tmp_path):
    """The paths of own images of two classes, sounds without any, and videos of two attributes."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(30, 6, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(30) % 2)
    videos = rng.integers(256, size=(20, 7, 6, 5), dtype=np.uint8)
    labels = np.stack([np.arange(20) % 2, np.arange(20) % 3], axis=1)
    np.savez(tmp_path / "videos.npz", videos=videos, labels=labels, rate=7.6)
    (tmp_path / "sounds").mkdir()
    for i in range(20):
        samples = np.sin(np.arange(1000) * (i + 1) / 50)
        (tmp_path / "sounds" / f"{i:02}.wav").write_bytes(Sound(samples, 8000).encode())
    return {name: str(next(tmp_path.glob(f"{name}*"))) for name in ("images", "videos", "sounds")}


def batch_of(found, indices):
    return np.asarray(jax.jit(found.gather)(jnp.asarray(found.train), jnp.asarray(indices)))


def test_images(own):
    found = load(images=own["images"])
    assert found.heldout.shape == (3, 6, 5, 3)
    assert found.examples == 27
    assert found.train_labels.shape == (27, 1)
    assert found.attributes == (("class", ("0", "1")),)
    np.testing.assert_array_equal(batch_of(found, [20, 3]), found.source.train[[20, 3]])
    assert signals.metadata(found) == {
        "medium": "image",
        "sides": [6, 5],
        "channels": 3,
        "rate": None,
        "attributes": [["class", ["0", "1"]]],
    }
    assert signals.attributes_of(signals.metadata(found)) == found.attributes


def test_a_single_class_is_none(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(30, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "one.npz", images=images, labels=np.zeros(30, int))
    found = load(images=str(tmp_path / "one.npz"))
    assert (found.attributes, found.train_labels, found.heldout_labels) == ((), None, None)


def test_sounds(own):
    found = load("audio", sounds=own["sounds"])
    assert found.heldout.shape == (2, 1024, 1)
    assert found.heldout.dtype == np.int16
    assert (found.rate, found.attributes, found.train_labels) == (8000, (), None)
    np.testing.assert_array_equal(batch_of(found, [5])[0, :, 0], found.source.train[5])


def test_videos_of_ones_own_are_as_long_as_is_asked_or_as_they_are(own):
    found = load("video", videos=own["videos"])
    assert found.heldout.shape == (2, 7, 6, 5, 1)
    assert found.rate == 8
    assert [a.values for a in found.attributes] == [("0", "1"), ("0", "1", "2")]
    assert load("video", videos=own["videos"], frames=4).heldout.shape[1] == 4


def test_a_training_video_depends_on_the_seed_and_its_own_index_alone(monkeypatch):
    monkeypatch.setattr(signals.video_data, "HELDOUT", 4)
    found, other = (load("video", frames=3, seed=seed) for seed in (0, 1))
    assert found.heldout.shape[1:] == (3, 64, 64, 1)
    assert found.examples == 2**20
    both = batch_of(found, [9, 4])
    np.testing.assert_array_equal(batch_of(found, [4, 9])[::-1], both)
    assert (both[0] != both[1]).any()
    assert (batch_of(other, [9, 4]) != both).any()
    np.testing.assert_array_equal(other.heldout, found.heldout)  # which all runs share


def test_signals_come_back_from_floats_and_what_is_beyond_is_clipped():
    pixels = np.arange(256, dtype=np.uint8)[None, :, None, None]
    samples = np.array([-(2**15), -1, 0, 300, 2**15 - 1], np.int16)[None, :, None]
    for values, medium in ((pixels, "image"), (pixels, "video"), (samples, "audio")):
        floats = signals.floats(jnp.asarray(values))
        assert floats.dtype == jnp.float32
        back = signals.integers(floats, medium)
        np.testing.assert_array_equal(back, values)
        assert back.dtype == values.dtype
    assert float(signals.floats(jnp.asarray(pixels)).max()) == 1
    assert float(signals.floats(jnp.asarray(samples)).min()) == -1
    beyond = np.array([-2.0, 0.3, 2.0])
    np.testing.assert_array_equal(signals.integers(beyond, "image"), [0, 76, 255])
    np.testing.assert_array_equal(signals.integers(beyond, "audio"), [-32768, 9830, 32767])


REFUSED = [
    ("image", {"dataset": "tones"}, "--dataset=tones is not for --medium=image; choose one of mni"),
    ("audio", {"dataset": "mnist"}, "choose one of tones, fsdd, notes, or --sounds; or another"),
    ("video", {"dataset": "nothing"}, "--dataset=nothing is not for --medium=video"),
    ("image", {"sounds": "sounds"}, "--sounds is for --medium=audio, and this codec's is image"),
    ("audio", {"videos": "videos"}, "--videos is for --medium=video, and this codec's is audio"),
    ("video", {"images": "images"}, "--images is for --medium=image, and this codec's is video"),
    ("audio", {"frames": 4}, "--frames=4 has no effect on these sounds"),
    ("image", {"digits": 1}, "--digits=1 has no effect on these images"),
    ("video", {"videos": "videos", "digits": 1}, "--digits=1 has no effect on these videos"),
]


@pytest.mark.parametrize(("preset", "values", "message"), REFUSED)
def test_what_is_of_another_medium_is_refused(preset, values, message):
    with pytest.raises(InputError, match=message):
        load(preset, **values)
