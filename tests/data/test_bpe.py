"""Byte pairs: nothing is lost, no cut makes a difference, and Hugging Face reads what is kept."""

import random
import time

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from aigc_jax.data import bpe
from aigc_jax.data.bpe import BpeTokenizer, pieces
from aigc_jax.data.text import CHUNK
from aigc_jax.errors import InputError

SPECIALS = ("<pad>", "<s>", "</s>")
ENGLISH = "It was a dark and stormy night; the rain fell in torrents, and it's said they'd gone.\n"
CHINESE = "那是一个漆黑的暴风雨之夜。大雨倾盆，狂风卷过街道！\n"
CODE = "def f(x):\n    if x >= 10:\n\t\treturn {'a': x ** 2}  # ²\r\n\n\n"
TEXTS = {
    "english": ENGLISH * 3,
    "chinese": CHINESE * 3,
    "code": CODE * 3,
    "spaces around": "   a  b \n  ",
    "nothing": "",
    "one sign": "!",
    "emoji of several code points": "👩🏽‍🚀 e\u0301 🇨🇳",
    "controls": "\0\x1c\x85\u2028\ufeff\U0010ffff",
    "what looks like a special token": "<s>a</s><pad>",
    "other scripts": "Приве́т, κόσμε — שלום مرحبا नमस्ते 안녕",
}
# Every kind of sign that words are cut by, and the spaces that languages do not agree about.
NASTY = "ab\n\r\t 19.'s\u00a0\u3000\x85\x1c\u180e\u2028中é😀_\u200b"


@pytest.fixture(scope="module")
def coder():
    return BpeTokenizer.trained([ENGLISH, CHINESE, CODE] * 3, 400, SPECIALS)


@pytest.fixture(scope="module")
def peer(coder):
    """What Hugging Face's library makes of the JSON on its own."""
    return Tokenizer.from_str(coder.to_json())


def strings(alphabet, count, most=40):
    draw = random.Random(0)
    return ["".join(draw.choices(alphabet, k=draw.randint(0, most))) for _ in range(count)]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_decode_inverts_encode(coder, text):
    tokens = coder.encode(text)
    assert (tokens.dtype, tokens.ndim) == (np.int32, 1)
    assert ((tokens >= len(SPECIALS)) & (tokens < coder.vocabulary_size)).all()
    assert coder.decode(tokens) == text


def test_any_unicode_is_kept(coder):
    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for text in strings([chr(c) for c in random.Random(1).sample(code_points, 20_000)], 200):
        assert coder.decode(coder.encode(text)) == text


def test_training_finds_what_is_frequent(coder):
    for text in (ENGLISH, CHINESE, CODE):
        assert len(coder.encode(text)) < 0.6 * len(text.encode())
    assert coder.vocabulary_size == 400


def test_the_same_texts_give_the_same_tokeniser(coder):
    again = BpeTokenizer.trained([ENGLISH, CHINESE, CODE] * 3, 400, SPECIALS)
    assert again.to_json() == coder.to_json()


def test_training_does_not_depend_on_where_the_texts_are_cut(coder):
    text = (ENGLISH + CHINESE + CODE) * 3
    cut = [text[i : i + 5] for i in range(0, len(text), 5)]
    assert BpeTokenizer.trained(cut, 400, SPECIALS).to_json() == coder.to_json()


def test_other_texts_give_another_tokeniser(coder):
    assert BpeTokenizer.trained([ENGLISH] * 3, 300, SPECIALS).to_json() != coder.to_json()


def test_json_holds_all_of_it(coder):
    again = BpeTokenizer.from_json(coder.to_json())
    assert again.to_json() == coder.to_json()
    assert (again.specials, again.vocabulary_size) == (coder.specials, coder.vocabulary_size)
    for text in TEXTS.values():
        assert again.encode(text).tolist() == coder.encode(text).tolist()


@pytest.mark.parametrize("length", [1, 3, 20])
def test_encoding_in_chunks_is_encoding_the_whole_as_hugging_face_does(coder, peer, length):
    for text in strings(NASTY, 1500):
        chunks = [text[i : i + length] for i in range(0, len(text), length)]
        tokens = [token for some in coder.encode_chunks(chunks) for token in some.tolist()]
        assert tokens == peer.encode(text).ids, ascii(text)


def test_a_long_text_is_encoded_as_hugging_face_does(coder, peer):
    text = (ENGLISH + CODE + "a \n\n b") * (3 * CHUNK // 100)
    assert len(text) > 3 * CHUNK
    assert coder.encode(text).tolist() == peer.encode(text).ids


def test_pieces_end_before_a_space_or_a_line_break_that_follows_something_else():
    assert list(pieces(["ab cd", "  e\n", "\nf g\n"])) == ["ab", " cd  e", "\n\nf g", "\n"]


def test_what_has_no_place_to_cut_is_cut_at_the_end_of_a_chunk(coder):
    text = CHINESE.strip() * (3 * CHUNK // len(CHINESE) + 1)
    cut = list(pieces(text[i : i + CHUNK] for i in range(0, len(text), CHUNK)))
    assert max(map(len, cut)) == CHUNK
    assert "".join(cut) == text
    assert coder.decode(coder.encode(text)) == text


def test_a_word_in_many_parts_is_looked_at_once():
    begin = time.monotonic()
    assert list(pieces(["a"] * 4 * CHUNK)) == ["a" * CHUNK] * 4
    assert time.monotonic() - begin < 10  # not 40 s


def test_tokens_that_split_a_character_decode_to_replacement_characters():
    bytewise = BpeTokenizer.trained([], 256)
    tokens = bytewise.encode("é😀")
    assert len(tokens) == 6
    assert bytewise.decode(tokens[:1]) == "\ufffd"
    assert bytewise.decode(tokens[1:2]) == "\ufffd"
    assert bytewise.decode(tokens[:5]) == "é\ufffd"


def test_any_tokens_decode_as_hugging_face_decodes_them(coder, peer):
    rng = np.random.default_rng(0)
    for tokens in rng.integers(coder.vocabulary_size, size=(500, 12)):
        assert coder.decode(tokens) == peer.decode(tokens.tolist(), skip_special_tokens=True)


def test_special_tokens_come_first_and_stand_for_no_text(coder):
    assert coder.specials == {"<pad>": 0, "<s>": 1, "</s>": 2}
    text = coder.encode("a b").tolist()
    assert coder.decode(np.array([1, *text, 2, 0, 0])) == "a b"


def test_a_vocabulary_of_the_bytes_alone_has_no_merges(coder):
    bytewise = BpeTokenizer.trained([ENGLISH] * 9, 256 + 3, SPECIALS)
    assert bytewise.vocabulary_size == 259
    assert len(bytewise.encode(ENGLISH)) == len(ENGLISH.encode())


def test_pairs_that_occur_once_are_not_merged():
    assert BpeTokenizer.trained(["abcdefg"], 1000).vocabulary_size == 256


@pytest.mark.parametrize(
    ("size", "specials", "reason"),
    [
        (255, (), "255 tokens has no room for 256 bytes; give at least 256"),
        (258, SPECIALS, "256 bytes and 3 special tokens; give at least 259"),
        (0, (), "at least 256"),
    ],
)
def test_a_vocabulary_without_room_is_refused(size, specials, reason):
    with pytest.raises(InputError, match=reason):
        BpeTokenizer.trained([ENGLISH], size, specials)


def lower_case(model):
    model.normalizer = normalizers.Lowercase()


def with_a_space_before(model):
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def without_spaces_around(model):
    model.normalizer = normalizers.Strip()


def cut(text):
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "{}", "damaged"),
        (lambda text: Tokenizer(models.WordLevel({"a": 0}, "a")).to_str(), "not a byte-level BPE"),
        (lower_case, "does not preserve every text"),
        (with_a_space_before, "does not preserve every text"),
        (without_spaces_around, "does not preserve every text"),
    ],
)
def test_json_of_anything_else_is_refused(coder, damage, reason):
    if damage in (lower_case, with_a_space_before, without_spaces_around):
        model = Tokenizer.from_str(coder.to_json())
        damage(model)
        text = model.to_str()
    else:
        text = damage(coder.to_json())
    with pytest.raises(InputError, match=reason) as caught:
        BpeTokenizer.from_json(text)
    assert "\n" not in str(caught.value)


def test_several_batches_of_pieces_are_joined(coder, monkeypatch):
    whole = coder.encode(ENGLISH * 20).tolist()
    monkeypatch.setattr(bpe, "AT_ONCE", 2)
    some = list(coder.encode_chunks([ENGLISH] * 20))
    assert len(some) > 5
    assert np.concatenate(some).tolist() == whole
