"""Tokenisers of other software: not truncated, and characters without a token are reported."""

import json
import signal
import time

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from aigc_jax.data import foreign_tokenizer
from aigc_jax.data.foreign_tokenizer import ForeignTokenizer
from aigc_jax.data.tokenizer_json import tokenizer_json
from aigc_jax.data.tokenizers import CharTokenizer
from aigc_jax.errors import InputError

SIGNS = sorted(pre_tokenizers.ByteLevel.alphabet())


def numbered(*tokens):
    return {token: i for i, token in enumerate(tokens)}


def of_bytes(signs=SIGNS, trim=False):
    model = Tokenizer(models.BPE(numbered(*signs), []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.post_processor = processors.ByteLevel(trim_offsets=trim)
    return model


def with_fallback(bytes_there=256):
    fallbacks = [f"<0x{byte:02X}>" for byte in range(bytes_there)]
    vocabulary = numbered("<unk>", *fallbacks, "▁", "a")
    model = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    parts = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    model.normalizer = normalizers.Sequence(parts)
    return model


def of_words():
    model = Tokenizer(models.WordLevel(numbered("<unk>", "ab", "c"), unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    return model


def of_pieces():
    model = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("▁", -2.0)], 0))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    return model


def of_characters(alphabet, normaliser=None):
    model = Tokenizer(models.BPE(numbered(*alphabet), []))
    model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    if normaliser is not None:
        model.normalizer = normaliser
    return model


def with_ends():
    own = {"continuing_subword_prefix": "#", "end_of_word_suffix": "$"}
    model = Tokenizer(models.BPE(numbered("a", "#b", "#a$"), [], **own))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return model


def without_returns():
    model = of_bytes()
    parts = [normalizers.NFC(), normalizers.Replace("\r", "")]
    model.normalizer = normalizers.Sequence(parts)
    return model


RUN = normalizers.Replace(Regex(" {2,}"), " ")
LACKING = {
    "bytes": (of_bytes(), "a  é 😀\n", ""),
    "bytes whose places are trimmed": (of_bytes(trim=True), "a   é ", ""),
    "bytes, some of them": (of_bytes([s for s in SIGNS if s != "Ã"]), "aéa你", "é"),  # C3 A9
    "bytes to fall back to": (with_fallback(), "a  é 😀\n", ""),
    "some bytes to fall back to": (with_fallback(200), "a é 😀a", "😀"),  # F0 9F 98 80
    "words": (of_words(), "ab foo\nc", " foo\n"),
    "pieces": (of_pieces(), "a éaü a", "éü"),
    "characters": (of_characters("ab"), "abéa😀b", "é😀"),
    "characters of a word": (Tokenizer(models.BPE(numbered("a", "b"), [])), "aéb😀ab é", "é😀 é"),
    "characters with ends": (with_ends(), "abé ba", "é b"),
    "composed": (of_characters("é", normalizers.NFC()), "e\u0301ée\u0301x", "x"),
    "taken apart": (of_characters("e", normalizers.NFD()), "éxe", "x"),
    "in small letters": (of_characters("ab", normalizers.Lowercase()), "aBX", "X"),
    "of full width": (of_characters("ab", normalizers.NFKC()), "ａｂｃ", "ｃ"),
    "in other letters": (of_characters("i", normalizers.Lowercase()), "İx", "x"),
    "put before": (of_characters("ab", normalizers.Prepend("▁")), "ab", ""),
    "left out": (of_characters("abx", normalizers.Replace("x", "")), "axbéx", "xéx"),
    "left out at the ends": (of_characters("a ", normalizers.Strip()), "  a a ", "   "),
    "left out of a run": (of_characters("a ", RUN), "a    a  ", "    "),
    "control characters": (of_characters("ab", normalizers.BertNormalizer()), "a\0Bb\0", "\0\0"),
    "accents": (of_characters("e", normalizers.StripAccents()), "e\u0301e\u0301", "\u0301" * 2),
    "composed of three": (of_characters("한", normalizers.NFC()), "\u1112\u1161\u11abx", "x"),
    "written as others": (of_characters("c", normalizers.Replace("ab", "c")), "ababx", "x"),
    "left out before bytes": (without_returns(), "a\r\ne\u0301", "\r"),
    "ours": (Tokenizer.from_str(tokenizer_json(CharTokenizer.of("ab\n"))), "a b\n\n", " "),
}


@pytest.mark.parametrize(("model", "text", "lacking"), LACKING.values(), ids=LACKING)
def test_what_no_token_stands_for_is_told(model, text, lacking):
    assert ForeignTokenizer(model.to_str()).lacking(text) == lacking


@pytest.mark.parametrize("direction", ["left", "right"])
def test_a_file_s_truncation_and_padding_are_not_obeyed(direction):
    model = of_bytes()
    whole = model.encode("abc" * 50).ids
    model.enable_truncation(5, direction=direction)
    model.enable_padding(direction=direction, length=400, pad_id=3)
    coder = ForeignTokenizer(model.to_str())
    for specials in (False, True):
        assert coder.encode("abc" * 50, specials).tolist() == whole
    assert coder.lacking("abc" * 50) == ""


@pytest.mark.parametrize(
    ("single", "first"), [("<s> $A </s>", [2]), ("$A </s>", []), ("<s> <s> $A", [2, 2]), ("$A", [])]
)
def test_a_text_to_be_continued_has_a_beginning_and_no_end(single, first):
    model = of_characters(["a", "b", "<s>", "</s>"])
    specials = [("<s>", 2), ("</s>", 3)]
    model.post_processor = processors.TemplateProcessing(single=single, special_tokens=specials)
    coder = ForeignTokenizer(model.to_str())
    for text, tokens in (("ab", [0, 1]), ("", [])):
        assert coder.encode(text, specials=True).tolist() == first + tokens
        assert coder.encode(text).tolist() == tokens


def test_merges_are_not_left_to_chance():
    model = Tokenizer(models.BPE(numbered("a", "b", "ab"), [("a", "b")], dropout=0.5))
    assert ForeignTokenizer(model.to_str()).encode("ab" * 50).tolist() == [2] * 50


def unknown_without_a_token():
    return Tokenizer(models.WordLevel({"a": 0}, unk_token="<unk>")).to_str()


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", "\x1b[31m", '{"version": "1.0"}', "[" * 999]
)
def test_what_is_no_tokeniser_is_one_line(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match=r"tokenizer\.json: cannot be read") as caught:
        ForeignTokenizer.read(tmp_path)
    assert str(caught.value).isprintable()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"has no tokenizer\.json; save the fast tokeniser"):
        ForeignTokenizer.read(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        ForeignTokenizer.read(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        ForeignTokenizer.read(tmp_path)


def test_a_tokeniser_that_cannot_encode_is_one_line():
    model = json.loads(unknown_without_a_token())
    with pytest.raises(InputError, match="cannot encode the text") as caught:
        ForeignTokenizer(json.dumps(model)).encode("zebra")
    assert str(caught.value).isprintable()


def test_a_signal_is_obeyed_while_a_text_is_encoded():
    def obey(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, obey)
    try:
        begin = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            foreign_tokenizer._waited_for(lambda: time.sleep(5))
        assert time.monotonic() - begin < 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
