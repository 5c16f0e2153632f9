"""Captions of data sets by flag."""

import numpy as np
import pytest
from PIL import Image

from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data import captions, signals
from experiments.families.codec.options import PRESETS


def loaded(kind, preset="image", seed=0, **values):
    asked = from_flags(PRESETS, {"preset": preset, **values})
    found = signals.load(asked, asked.medium)
    return found, captions.load(kind, asked, found, seed)


@pytest.fixture
def folder(tmp_path):
    """Forty images of two classes with their captions, in a folder that is called as a data set."""
    for i in range(40):
        place = tmp_path / "mnist" / ("cats", "dogs")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 3), i, np.uint8)).save(place / f"{i:02}.png")
        (place / f"{i:02}.txt").write_text(f"number {i}")
    return tmp_path / "mnist"


def test_texts_beside_the_files_go_with_their_images(folder):
    found, said = loaded("files", images=str(folder))
    for images, texts in ((found.source.train, said.train), (found.heldout, said.heldout)):
        assert [int(text.split()[1]) for text in texts] == images[:, 0, 0, 0].tolist()
    assert said.metadata() == {"tokens": 10, "examples": list(said.heldout)}
    (folder / "cats" / "00.txt").write_text("other")
    assert loaded("files", images=str(folder))[1].fingerprint() != said.fingerprint()


def test_labels_of_ones_own_are_said_by_their_names(folder):
    found, said = loaded("labels", images=str(folder))
    names = np.array(["cats", "dogs"])
    assert said.train == tuple(names[found.train_labels[:, 0]])
    assert said.metadata() == {"tokens": 5, "examples": list(dict.fromkeys(said.heldout))}


def test_captions_of_a_data_set_say_each_examples_labels():
    found, said = loaded("labels")
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for labels, texts in (
        (found.train_labels, said.train),
        (found.heldout_labels, said.heldout),
    ):
        assert all(words[label] in text for (label,), text in zip(labels, texts, strict=True))
    _, again = loaded("labels")
    _, other = loaded("labels", seed=1)
    assert again == said
    assert other.train != said.train
    assert said.fingerprint() == again.fingerprint() != other.fingerprint()
    shown = said.metadata()
    assert shown["tokens"] == len("a handwritten three") + 1
    assert 10 < len(shown["examples"]) <= 16
    assert len(set(shown["examples"])) == len(shown["examples"])


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("files", {}, "--captions=files is for a folder of images, sounds or videos"),
        ("files", {"images": "own.npz"}, "--captions=files is for a folder of images"),
        ("labels", {"images": "own.npz"}, "--captions=labels: the data own have no labels"),
        ("files", {"images": "mnist"}, "00.txt: no such file, and the caption of 00.png is read"),
    ],
)
def test_data_without_captions_are_refused(kind, values, message, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "cats" / "00.txt").unlink()
    np.savez("own.npz", images=np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(InputError, match=message):
        loaded(kind, **values)


def test_sources_of_texts_and_of_some_of_them():
    source = captions.source_of(["ab", "", "c"], 4)
    np.testing.assert_array_equal(source.segments, [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    some = captions.rows_of(source, np.array([2, 0]))
    np.testing.assert_array_equal(some.tokens, [[99, 256, 0, 0], [97, 98, 256, 0]])
    np.testing.assert_array_equal(some.segments, [[1, 1, 0, 0], [1, 1, 1, 0]])
    assert captions.rows_of(None, np.array([2])) is None
