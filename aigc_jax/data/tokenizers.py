"""What tokenisers have in common, and those that need no training: characters and bytes."""

import codecs
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from aigc_jax.data.text import utf_bytes
from aigc_jax.errors import InputError


class Tokenizer(Protocol):
    """Text to integers and back."""

    vocabulary_size: int

    def encode(self, text: str) -> np.ndarray:
        """int32 `[T]`, each in [0, vocabulary_size)."""

    def encode_chunks(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """The tokens of the joined texts, int32 `[T]` some at a time, in bounded memory."""

    def decode(self, tokens: np.ndarray) -> str:
        """The inverse of `encode`."""

    def token_bytes(self, token: int) -> bytes:
        """What one token adds to a text, in UTF-8; a token may be a part of a character."""


class CharTokenizer:
    """One token for each character of an alphabet.

    Args:
      alphabet: distinct characters; token i stands for `alphabet[i]`.
    """

    def __init__(self, alphabet: str):
        self.alphabet = alphabet
        self.vocabulary_size = len(alphabet)
        self._code_points = np.array([ord(c) for c in alphabet])
        self._order = np.argsort(self._code_points)

    @classmethod
    def of(cls, texts: Iterable[str]) -> "CharTokenizer":
        """The tokeniser whose alphabet is the sorted set of the texts' characters.

        Args:
          texts: read once, one after the other; also one text, as its characters are texts too.
        """
        alphabet: set[str] = set()
        for text in texts:
            alphabet.update(text)
        return cls("".join(sorted(alphabet)))

    def encode(self, text: str) -> np.ndarray:
        """int32 `[len(text)]`.

        Raises:
          InputError: a character is not in the alphabet; the message names it.
        """
        code_points = np.frombuffer(utf_bytes(text, "utf-32-le"), np.uint32)
        ranks = np.searchsorted(self._code_points, code_points, sorter=self._order)
        tokens = self._order[np.minimum(ranks, self.vocabulary_size - 1)]
        unknown = self._code_points[tokens] != code_points
        if unknown.any():
            character = chr(code_points[unknown.argmax()])
            raise InputError(f"character {character!r} is not in the model's alphabet")
        return tokens.astype(np.int32)

    def encode_chunks(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """One text after the other."""
        return map(self.encode, texts)

    def decode(self, tokens: np.ndarray) -> str:
        """The characters of the tokens, joined."""
        return "".join(self.alphabet[token] for token in tokens)

    def token_bytes(self, token: int) -> bytes:
        """The character's UTF-8."""
        return self.alphabet[token].encode()


class ByteTokenizer:
    """One token for each byte of the UTF-8 encoding."""

    vocabulary_size = 256

    def encode(self, text: str) -> np.ndarray:
        """int32 `[bytes]`."""
        return np.frombuffer(utf_bytes(text), np.uint8).astype(np.int32)

    def encode_chunks(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """One text after the other."""
        return map(self.encode, texts)

    def decode(self, tokens: np.ndarray) -> str:
        """The text; bytes that are not UTF-8, as a model may draw them, become U+FFFD."""
        return bytes(np.asarray(tokens, np.uint8)).decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """The byte."""
        return bytes([token])


class StreamDecoder:
    """Decodes a text while its tokens are still being drawn.

        text = "".join(decoder.push(token) for token in tokens) + decoder.finish()

    is `tokenizer.decode(tokens)`. A character is held back until its last byte has come.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._token_bytes = tokenizer.token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The characters that this token completes; often one, sometimes none."""
        return self._utf8.decode(self._token_bytes(int(token)))

    def finish(self) -> str:
        """U+FFFD where the text ends within a character, else nothing; ready for another text."""
        return self._utf8.decode(b"", final=True)
