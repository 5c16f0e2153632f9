import pytest

from aigc_jax.data.text import load_text
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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no text"),
        (b" \n\t\r\n", "holds no text"),
        (b"\xef\xbb\xbf", "holds no text"),
        ("voilà".encode("latin-1"), "not UTF-8 (byte 0xe0 at offset 4)"),
        ("text".encode("utf-16"), "not UTF-8"),
        ("😀".encode()[:3], "not UTF-8 (byte 0xf0 at offset 0)"),
        (b"\xed\xa0\x80", "not UTF-8"),
    ],
    ids=["empty", "blank", "only a mark", "latin-1", "utf-16", "cut in a character", "surrogate"],
)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path, content, reason):
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        load_text("python_docs", path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gone.txt", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_text("python_docs", str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="'shakespeare'; choose one of python_docs"):
        load_text("shakespeare")
