"""Byte-level byte-pair encoding, trained and run by Hugging Face's `tokenizers`, kept as its JSON.

A text is cut into words (letters, digits, symbols or spaces, a word with the space before it), each
word into the bytes of its UTF-8, and these are merged in the order in which training found the
pairs to be frequent. Since all 256 bytes are tokens, any text can be encoded, and decoding gives it
back exactly.

Source: Sennrich et al., arXiv:1508.07909 (merges); Radford et al., GPT-2, 2019 (bytes, words).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from aigc_jax.data import bpe_training as training
from aigc_jax.data.text import CHUNK, chunks, utf_bytes
from aigc_jax.errors import InputError

AT_ONCE = 16  # pieces that are encoded in parallel; a signal waits for them, under a second
BYTES = 256

# A word never continues across a space or a line break that follows something else.
_UP_TO_LAST_CUT = re.compile(r".*\S(?=[ \n])", re.DOTALL)
_PROBE = "a  b\r\n\tKönig e\u0301 你好，世界 😀 if x:\n\n    y += 1\0"


class BpeTokenizer:
    """One token for each frequent sequence of bytes, and for each byte.

    Special tokens stand for no text: `encode` never gives one, whatever the text says, and `decode`
    leaves them out.

    Args:
      model: a byte-level BPE.

    Raises:
      InputError: it is something else.
    """

    def __init__(self, model: Tokenizer):
        model.encode_special_tokens = True  # "<s>" in a text is three characters
        model.no_padding()
        model.no_truncation()
        added = model.get_added_tokens_decoder()
        self._model = model
        self.specials = {token.content: i for i, token in sorted(added.items())}
        self.vocabulary_size = model.get_vocab_size()
        self._bytes = _bytes_of_tokens(model.get_vocab(), self.specials)
        if any(self.decode(self.encode(text)) != text for text in (_PROBE, f" {_PROBE} ")):
            raise InputError(
                "the tokeniser is not a byte-level BPE: it does not preserve every text"
            )

    @classmethod
    def trained(
        cls, texts: Iterable[str], vocabulary_size: int, specials: Sequence[str] = ()
    ) -> "BpeTokenizer":
        """A tokeniser trained on the texts; the same texts give the same one.

        Args:
          texts: read once, one after the other, so they need not fit into memory together. What is
            kept is a count for each different word.
          vocabulary_size: how many tokens at most; fewer where too few pairs occur twice in the
            texts. Special tokens come first, then the bytes, then the merges.
            specials: the special tokens, whose ids are 0, 1, … in this order.

        Raises:
          InputError: the vocabulary has no room for 256 bytes and the special tokens.
        """
        least = BYTES + len(specials)
        if vocabulary_size < least:
            added = f" and {len(specials)} special tokens" if specials else ""
            message = f"a vocabulary of {vocabulary_size} tokens has no room for 256 bytes{added}"
            raise InputError(f"{message}; give at least {least}")
        return cls.from_json(training.trained(pieces(texts), vocabulary_size, specials))

    @classmethod
    def from_json(cls, text: str) -> "BpeTokenizer":
        """The tokeniser that `to_json` wrote, or any byte-level BPE in the JSON of `tokenizers`.

        Raises:
          InputError: the JSON is damaged, or that of another kind of tokeniser.
        """
        try:
            model = Tokenizer.from_str(text)
        except Exception as error:  # the bindings raise no narrower type
            reason = str(error).splitlines()[0][:200]
            message = f"the BPE tokeniser is damaged ({reason}); train it again"
            raise InputError(message) from error
        return cls(model)

    def to_json(self) -> str:
        """All of it, as `tokenizers.Tokenizer.from_str` reads it."""
        return self._model.to_str()

    def encode(self, text: str) -> np.ndarray:
        """int32 `[T]`, T ≤ bytes of the text."""
        return np.concatenate([np.zeros(0, np.int32), *self.encode_chunks(chunks(text))])

    def encode_chunks(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """The tokens of the joined texts, in the memory of a few of them.

        They are cut again where no token can reach across, so that where they began and ended makes
        no difference; see `pieces` for the one exception.

        Raises:
          InputError: a text contains something that is not a character.
        """
        stream = pieces(texts)
        while batch := list(islice(stream, AT_ONCE)):
            for piece in batch:
                utf_bytes(piece)  # the bindings would not say what is wrong with it
            encoded = self._model.encode_batch_fast(batch, add_special_tokens=False)
            yield np.concatenate([np.array(e.ids, np.int32) for e in encoded])

    def decode(self, tokens: np.ndarray) -> str:
        """The text; bytes that are not UTF-8, such as half a character, become U+FFFD."""
        joined = b"".join(self._bytes[token] for token in tokens)
        return joined.decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text; nothing for a special token."""
        return self._bytes[token]


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Cuts the joined texts again, so that encoding the pieces is encoding the whole.

    A piece ends before a space or a line break that follows something else. Where `CHUNK`
    characters have none, it ends where one of the texts does, and a word that spans this point is
    cut in two. Texts that come from `chunks` end in the same places each time.
    """
    held = ""
    for text in texts:
        seen = max(len(held) - 1, 0)  # there was no cut before
        held += text
        found = _UP_TO_LAST_CUT.match(held, seen)
        cut = found.end() if found else len(held) if len(held) >= CHUNK else 0
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def byte_signs() -> list[str]:
    """How the 256 bytes are written in a byte-level vocabulary, in their order: as themselves where
    they can be printed, and otherwise as the characters from U+0100 on. Source: GPT-2's encoder.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(BYTES)]


def _bytes_of_tokens(vocabulary: dict[str, int], specials: dict[str, int]) -> list[bytes]:
    """What each token stands for. `tokenizers` writes a byte as a printable character.

    Raises:
      InputError: a token is not written in that alphabet, or one of the bytes is missing.
    """
    alphabet = {sign: byte for byte, sign in enumerate(byte_signs())}
    if not vocabulary.keys() >= alphabet.keys():
        raise InputError("the tokeniser is not a byte-level BPE: it lacks some of the 256 bytes")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise InputError("the tokeniser's tokens are not numbered 0, 1, …")
    by_number = sorted(vocabulary, key=vocabulary.__getitem__)
    try:
        return [
            b"" if token in specials else bytes(alphabet[sign] for sign in token)
            for token in by_number
        ]
    except KeyError as error:
        raise InputError(f"the tokeniser is not a byte-level BPE: {error} is not a byte") from error
