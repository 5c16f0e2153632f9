import numpy as np
import pytest

from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer, StreamDecoder
from aigc_jax.errors import InputError

TEXTS = {
    "ascii": "hello",
    "one character": "z",
    "nothing": "",
    "line ends": "a\r\nb\rc\n",
    "accents, composed and not": "é e\u0301",
    "astral": "a😀b𝔘",
    "highest code point": "\U0010ffff\0",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    "of", [lambda text: CharTokenizer.of(text + "x"), lambda _: ByteTokenizer()]
)
def test_decode_inverts_encode(of, text):
    tokenizer = of(text)
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int32
    assert tokens.ndim == 1
    assert ((tokens >= 0) & (tokens < tokenizer.vocabulary_size)).all()
    assert tokenizer.decode(tokens) == text


def test_a_character_is_one_token_and_bytes_are_those_of_utf8():
    assert len(CharTokenizer.of("a😀").encode("😀a😀")) == 3
    assert ByteTokenizer().encode("a😀").tolist() == [0x61, 0xF0, 0x9F, 0x98, 0x80]


def test_the_alphabet_is_the_sorted_set_of_characters():
    tokenizer = CharTokenizer.of("banana\n")
    assert tokenizer.alphabet == "\nabn"
    assert tokenizer.vocabulary_size == 4
    assert tokenizer.encode("ban\n").tolist() == [2, 1, 3, 0]


def test_a_token_is_its_place_in_an_alphabet_of_any_order():
    tokenizer = CharTokenizer("ca😀b")
    assert tokenizer.encode("abc😀").tolist() == [1, 3, 0, 2]
    assert tokenizer.decode(np.array([0, 1, 2, 3])) == "ca😀b"


@pytest.mark.parametrize("character", ["a", "c", "z", "\n", "\0", "😀", "\U0010ffff"])
def test_a_character_outside_the_alphabet_is_named(character):
    # Below its first, between its two and above its last.
    with pytest.raises(InputError, match="is not in the model's alphabet") as caught:
        CharTokenizer("bd").encode("bdb" + character + "d")
    assert repr(character) in str(caught.value)


def test_the_alphabets_edges_are_in_it():
    assert CharTokenizer("bd").encode("bd").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([0xFF, 0x61], "\ufffda"),
        ([0xC3], "\ufffd"),
        ([0xC3, 0xA9], "é"),
        ([0xED, 0xA0, 0x80], "\ufffd\ufffd\ufffd"),
        ([], ""),
    ],
)
def test_bytes_that_are_not_utf8_become_replacement_characters(tokens, text):
    assert ByteTokenizer().decode(np.array(tokens, np.int32)) == text


def test_every_byte_is_a_token():
    assert ByteTokenizer.vocabulary_size == 256
    assert ByteTokenizer().decode(np.arange(128)) == bytes(range(128)).decode()


def test_the_alphabet_of_several_texts_is_that_of_them_joined():
    assert (
        CharTokenizer.of(iter(["ban", "ana", "\n"])).alphabet
        == CharTokenizer.of("banana\n").alphabet
    )


@pytest.mark.parametrize("tokenizer", [CharTokenizer.of("abé😀"), ByteTokenizer()])
def test_chunks_are_encoded_one_by_one(tokenizer):
    chunks = ["ab", "", "é😀", "a"]
    assert (
        np.concatenate([*tokenizer.encode_chunks(chunks)]).tolist()
        == tokenizer.encode("abé😀a").tolist()
    )


STORY = "naïve 你好\n😀!"
CODERS = {
    "characters": CharTokenizer.of(STORY),
    "bytes": ByteTokenizer(),
    "byte pairs": BpeTokenizer.trained([STORY] * 5, 262, ["</s>"]),
}


@pytest.mark.parametrize("tokenizer", CODERS.values(), ids=CODERS)
def test_a_stream_gives_characters_as_soon_as_they_are_whole(tokenizer):
    decoder, text = StreamDecoder(tokenizer), ""
    for i, token in enumerate(tokens := tokenizer.encode(STORY)):
        text += decoder.push(token)
        assert text == tokenizer.decode(tokens[: i + 1]).rstrip("\ufffd")
    assert text == STORY
    assert decoder.finish() == ""


@pytest.mark.parametrize("tokenizer", CODERS.values(), ids=CODERS)
def test_a_stream_is_decoding_whatever_the_tokens(tokenizer, rng):
    decoder = StreamDecoder(tokenizer)
    for tokens in rng.integers(tokenizer.vocabulary_size, size=(300, 10)):
        text = "".join(decoder.push(token) for token in tokens) + decoder.finish()
        assert text == tokenizer.decode(tokens)


@pytest.mark.parametrize("tokenizer", CODERS.values(), ids=CODERS)
@pytest.mark.parametrize(
    ("text", "named"), [("na\udcef", "byte 0xef for character 3"), ("\ud800", r"U\+D800")]
)
def test_what_is_no_character_is_refused(tokenizer, text, named):
    """As bytes of a command line are that are not UTF-8."""
    with pytest.raises(InputError, match=rf"^not UTF-8 \({named}") as caught:
        tokenizer.encode(text)
    assert str(caught.value).isprintable()
