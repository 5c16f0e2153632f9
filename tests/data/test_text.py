import os
from pathlib import Path

import pytest

from aigc_jax.data import text as module
from aigc_jax.data.text import FilePart, chunks, count_bytes, load_text, read_text
from aigc_jax.errors import InputError


def written(tmp_path, content):
    path = tmp_path / "story.txt"
    path.write_bytes(content)
    return str(path)


def test_the_standard_librarys_documentation_loads():
    text = load_text("python_docs")
    assert (text.name, text.unit) == ("python_docs", "characters")
    assert len(text.train) + len(text.heldout) > 400_000
    assert text == load_text("python_docs")


@pytest.mark.parametrize(("length", "train"), [(10, 9), (19, 17), (100, 90), (1, 0)])
def test_the_last_tenth_is_held_out(tmp_path, length, train):
    content = ("0123456789" * 10)[:length]
    text = load_text("ignored", written(tmp_path, content.encode()))
    assert (text.train, text.heldout) == (content[:train], content[train:])
    assert text.name == "story.txt"


def test_every_character_is_kept(tmp_path):
    content = "a\r\nb\rc\n\té😀\0\u2028 \ufeffz" * 3
    text = load_text("python_docs", written(tmp_path, content.encode()))
    assert text.train + text.heldout == content


def test_a_byte_order_mark_is_not_text(tmp_path):
    text = load_text("python_docs", written(tmp_path, b"\xef\xbb\xbf0123456789"))
    assert text.train + text.heldout == "0123456789"


def test_a_file_as_a_whole_is_its_two_parts(tmp_path, large):
    path = written(tmp_path, b"\xef\xbb\xbf" + "a\r\nb\rc\n\té😀\0 \ufeffz\r\n".encode())
    text = load_text("ignored", path)
    assert read_text(Path(path)) == "".join([*chunks(text.train), *chunks(text.heldout)])


def test_a_name_that_is_no_text_is_written_as_one(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "wb") as file:
        file.write(b"0123456789")
    assert load_text("ignored", os.fsdecode(path)).name == "caf\\xe9.txt"


def test_fingerprint_sees_each_character_and_the_split(tmp_path):
    text = load_text("python_docs", written(tmp_path, b"0123456789"))
    assert text.fingerprint() == load_text("other", written(tmp_path, b"0123456789")).fingerprint()
    variants = [
        text,
        text._replace(heldout="8"),
        text._replace(train=text.train[:-1], heldout=text.train[-1] + text.heldout),
        text._replace(train="1" + text.train[1:]),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)


@pytest.fixture
def large(monkeypatch):
    """Every file is a large one, read in blocks and chunks of a few bytes."""
    monkeypatch.setattr(module, "LARGE", -1)
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(module, "CHUNK", 5)


CONTENTS = {
    "ascii": "0123456789",
    "one character": "z",
    "two": "é😀",
    "line ends": "a\r\nb\rc\n\r\n" * 5,
    "many widths": "aé你😀" * 13 + "\ufeff\0",
    "ends in a wide one": "0123456😀",
    "starts with blanks": " " * 50 + "x",
}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "with a mark"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_large_file_is_the_same_text(tmp_path, large, monkeypatch, content, mark):
    path = written(tmp_path, mark + content.encode())
    text = load_text("ignored", path)
    monkeypatch.setattr(module, "LARGE", 1000)
    whole = load_text("ignored", path)
    assert isinstance(text.train, FilePart)
    assert isinstance(whole.train, str)
    assert (text.name, text.unit) == (whole.name, whole.unit)
    assert text.fingerprint() == whole.fingerprint()
    for part, expected in ((text.train, whole.train), (text.heldout, whole.heldout)):
        assert len(part) == len(expected)
        assert list(chunks(part)) == list(chunks(expected))
        assert "".join(chunks(part)) == expected
        assert count_bytes(part) == count_bytes(expected) == len(expected.encode())


def test_the_size_decides_whether_a_file_is_read(tmp_path, monkeypatch):
    path = written(tmp_path, b"0123456789")
    monkeypatch.setattr(module, "LARGE", 10)
    assert isinstance(load_text("ignored", path).train, str)
    monkeypatch.setattr(module, "LARGE", 9)
    assert isinstance(load_text("ignored", path).train, FilePart)


def test_a_large_file_that_was_cut_is_named(tmp_path, large):
    path = written(tmp_path, b"0123456789" * 5)
    text = load_text("ignored", path)
    written(tmp_path, b"0123")
    with pytest.raises(InputError, match="was truncated while it was read"):
        list(chunks(text.train))


UNUSABLE = {
    "empty": (b"", "holds no text"),
    "blank": (b" \n\t\r\n" * 5, "holds no text"),
    "only a mark": (b"\xef\xbb\xbf", "holds no text"),
    "latin-1": ("voilà".encode("latin-1"), "not UTF-8 (byte 0xe0 at offset 4)"),
    "latin-1, later": (b"0123456789voil\xe0 c", "not UTF-8 (byte 0xe0 at offset 14)"),
    "utf-16": ("text".encode("utf-16"), "not UTF-8"),
    "cut in a character": ("😀".encode()[:3], "not UTF-8 (byte 0xf0 at offset 0)"),
    "cut across blocks": (b"01234567890" + "😀".encode()[:3] + b"x", "(byte 0xf0 at offset 11)"),
    "surrogate": (b"\xed\xa0\x80", "not UTF-8"),
}


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(("content", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path, request, content, reason, size):
    if size == "large":
        request.getfixturevalue("large")
    path = written(tmp_path, content)
    for read in (lambda: load_text("python_docs", path), lambda: read_text(Path(path))):
        with pytest.raises(InputError) as caught:
            read()
        check(path, str(caught.value), reason)


def check(path, message, reason):
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["gone.txt", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_text("python_docs", str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="'shakespeare'; choose one of python_docs"):
        load_text("shakespeare")
