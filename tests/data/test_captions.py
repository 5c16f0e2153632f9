"""Captions: what is said of labels, texts beside files, and both as tokens."""

import numpy as np
import pytest
from PIL import Image

from aigc_jax.data.attributes import Attribute
from aigc_jax.data.captions import END, MOST_BYTES, SYMBOLS, from_labels, read_captions, tokens_of
from aigc_jax.data.own_images import load_own_images
from aigc_jax.data.splits import tenth_held_out
from aigc_jax.data.tones import load_tones
from aigc_jax.errors import InputError

DIGITS = Attribute("digit", tuple("0123456789"))
SPEAKERS = Attribute("speaker", ("lucas", "theo"))
NUMBERS = Attribute("class", tuple("0123456789"))


def every(name, attributes, row):
    """All that is said of one example's labels."""
    return set(from_labels(name, attributes, np.array([row] * 60), 0))


@pytest.mark.parametrize(
    ("name", "attributes", "row", "some", "count"),
    [
        ("fsdd", (DIGITS, SPEAKERS), (7, 1), "theo says seven", 3),
        ("tones", load_tones().attributes, (21, 3), "a bell plays A4", 3),
        ("tones", load_tones().attributes, (1, 1), "the note C#3 on an organ", 3),
        ("mnist5k", (NUMBERS,), (7,), "the digit seven", 3),
        ("fashion_mnist", (NUMBERS,), (9,), "a picture of an ankle boot", 3),
        ("stacked_mnist", (Attribute("class", tuple(map(str, range(1000)))),), (472,), None, 1),
        (None, (SPEAKERS, Attribute("b{", ("x", "{y}"))), (0, 1), "lucas, {y}", 1),
    ],
)
def test_what_is_said_of_labels(name, attributes, row, some, count):
    found = every(name, attributes, row)
    assert len(found) == count
    assert (some or "a red four, a green seven and a blue two") in found


def test_the_wording_depends_on_the_seed_and_the_index_alone():
    labels = np.stack([np.arange(200) % 10, np.arange(200) % 2], axis=1)
    found = from_labels("fsdd", (DIGITS, SPEAKERS), labels, 3)
    assert from_labels("fsdd", (DIGITS, SPEAKERS), labels[:50], 3) == found[:50]
    assert from_labels("fsdd", (DIGITS, SPEAKERS), labels, 4) != found
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for (digit, speaker), text in zip(labels, found, strict=True):
        assert words[digit] in text
        assert SPEAKERS.values[speaker] in text


def test_tokens_are_bytes_and_an_end():
    tokens, lengths = tokens_of(["né", "", "abcd"])
    expected = [[110, 0xC3, 0xA9, END, 0], [END, 0, 0, 0, 0], [97, 98, 99, 100, END]]
    np.testing.assert_array_equal(tokens, expected)
    np.testing.assert_array_equal(lengths, [4, 1, 5])
    assert tokens.dtype == lengths.dtype == np.int32
    assert SYMBOLS == END + 1 == 257
    assert tokens_of(["ab"], 6)[0].tolist() == [[97, 98, END, 0, 0, 0]]
    with pytest.raises(InputError, match="a caption of 4 bytes is longer than the 3 that are read"):
        tokens_of(["ab", "abcd"], 4)


PNG = (".png",)


@pytest.fixture
def folder(tmp_path):
    """Thirty images of two classes, each with a caption."""
    for i in range(30):
        place = tmp_path / "ab"[i % 2]
        place.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 3), i, np.uint8)).save(place / f"{i:02}.v1.PNG")
        (place / f"{i:02}.v1.txt").write_text(f"\ufeffnumber\t{i} \n\n of ã\n" * (1 + i % 2))
    return tmp_path


def read(folder):
    return read_captions(folder, PNG, "images", "a PNG file")


def test_texts_beside_files_are_read_in_the_files_order_and_are_no_images(folder):
    texts, images = read(folder), load_own_images(str(folder))
    assert texts[0] == "number 0 of ã"
    assert texts[15] == "number 1 of ã \ufeffnumber 1 of ã"  # what else there is stays
    for part, pixels in zip(tenth_held_out(30), (images.train, images.heldout), strict=True):
        named = [int(texts[i].split()[1]) for i in part]
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], named)
    assert len(images.heldout) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"b/07\.v1\.txt: no such file, and the caption of 07\.v1\.PNG is read there"),
        (b" \n", r"07\.v1\.txt: holds no text"),
        (b"\xff", r"07\.v1\.txt: not UTF-8"),
        (b"x" * (MOST_BYTES + 1), r"has 257 bytes; a caption has at most 256"),
    ],
)
def test_what_is_no_caption_is_refused_by_name(text, message, folder):
    file = folder / "b" / "07.v1.txt"
    file.unlink() if text is None else file.write_bytes(text)
    with pytest.raises(InputError, match=message):
        read(folder)


def test_the_longest_caption_is_read(folder):
    (folder / "b" / "07.v1.txt").write_bytes(b"x" * MOST_BYTES)
    assert max(map(len, read(folder))) == MOST_BYTES


def test_a_text_beside_no_file_is_still_refused(folder):
    (folder / "a" / "notes.txt").write_text("read me")
    with pytest.raises(InputError, match=r"notes.txt: not a PNG or JPEG file; move it elsewhere"):
        load_own_images(str(folder))
