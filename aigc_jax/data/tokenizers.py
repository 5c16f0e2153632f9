"""Tokenisers that need no training: characters and bytes."""

from typing import Protocol

import numpy as np

from aigc_jax.errors import InputError


class Tokenizer(Protocol):
    """Text to integers and back."""

    vocabulary_size: int

    def encode(self, text: str) -> np.ndarray:
        """int32 `[T]`, each in [0, vocabulary_size)."""

    def decode(self, tokens: np.ndarray) -> str:
        """The inverse of `encode`."""


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
    def of(cls, text: str) -> "CharTokenizer":
        """The tokeniser whose alphabet is the sorted set of the text's characters."""
        return cls("".join(sorted(set(text))))

    def encode(self, text: str) -> np.ndarray:
        """int32 `[len(text)]`.

        Raises:
          InputError: a character is not in the alphabet; the message names it.
        """
        code_points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        ranks = np.searchsorted(self._code_points, code_points, sorter=self._order)
        tokens = self._order[np.minimum(ranks, self.vocabulary_size - 1)]
        unknown = self._code_points[tokens] != code_points
        if unknown.any():
            character = chr(code_points[unknown.argmax()])
            raise InputError(f"character {character!r} is not in the model's alphabet")
        return tokens.astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """The characters of the tokens, joined."""
        return "".join(self.alphabet[token] for token in tokens)


class ByteTokenizer:
    """One token for each byte of the UTF-8 encoding."""

    vocabulary_size = 256

    def encode(self, text: str) -> np.ndarray:
        """int32 `[bytes]`."""
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """The text; bytes that are not UTF-8, as a model may draw them, become U+FFFD."""
        return bytes(np.asarray(tokens, np.uint8)).decode("utf-8", errors="replace")
