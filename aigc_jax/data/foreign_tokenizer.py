"""A tokeniser of other software, from its tokenizer.json, with an eye on what it cannot say.

`tokenizers` drops a character without a token, or gives the token of the unknown for it, and says
nothing. A loss on what is left is no loss on the text.
"""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tokenizers import Tokenizer

from aigc_jax import printed
from aigc_jax.data.bpe import byte_signs
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps

T = TypeVar("T")
FILE = "tokenizer.json"
_FALLBACKS = [f"<0x{byte:02X}>" for byte in range(256)]


class ForeignTokenizer:
    """Texts to the tokens of a model that came from elsewhere, and back.

    A length that its file says texts are cut or padded to is that of its training, not of a text's.

    Args:
      text: the contents of tokenizer.json.

    Raises:
      InputError: they are no tokeniser's.
    """

    def __init__(self, text: str):
        try:
            self._model = Tokenizer.from_str(text)
        except Exception as error:  # the bindings raise no narrower type
            raise InputError(f"{FILE}: cannot be read ({_reason(error)})") from error
        self._model.no_truncation()
        self._model.no_padding()
        self._settings: dict[str, Any] = json.loads(self._model.to_str())

    @classmethod
    def read(cls, folder: str | Path) -> "ForeignTokenizer":
        """The tokeniser in a model's folder.

        Raises:
          InputError: there is none, or it cannot be read.
        """
        path = Path(folder) / FILE
        try:
            return cls(path.read_text("utf-8"))
        except FileNotFoundError:
            message = f"{folder} has no {FILE}; save the fast tokeniser beside the model"
            raise InputError(message) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: cannot be read (not UTF-8)") from error
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def encode(self, text: str, specials: bool = False) -> np.ndarray:
        """Tokens, int32 `[T]`.

        Args:
          text: to encode.
          specials: whether the tokeniser's own beginning of a text comes before it.

        Raises:
          InputError: the tokeniser cannot.
        """
        encoded = _encode(self._model.encode_batch_fast, text, specials)
        return np.array(encoded.ids, np.int32)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, without special tokens."""
        return self._model.decode(tokens)

    def lacking(self, text: str) -> str:
        """The characters of a text that no token stands for, in their order.

        They are those of the text as the tokeniser's normaliser leaves it: to compose an accent, or
        to write small letters for capitals, is not to lack them.
        """
        settings, normaliser = self._settings, self._model.normalizer
        vocabulary = _vocabulary(settings["model"])
        if settings["model"].get("byte_fallback") and vocabulary.keys() >= {*_FALLBACKS}:
            return ""
        of_bytes = _has(settings["normalizer"], "ByteLevel")
        if normaliser is not None and not of_bytes:
            text = normaliser.normalize_str(text)
        if of_bytes or _has(settings["pre_tokenizer"], "ByteLevel"):
            absent = {byte for byte, sign in enumerate(byte_signs()) if sign not in vocabulary}
            without = {c for c in set(text) if not absent.isdisjoint(c.encode())}
            return "".join(c for c in text if c in without) if without else ""
        bare = {**settings, "normalizer": None, "post_processor": None}
        encoded = _encode(Tokenizer.from_str(dumps(bare)).encode_batch, text, False)
        said, unknown = np.zeros(len(text) + 1, np.int64), _unknown(settings["model"], vocabulary)
        known = [o for o, i in zip(encoded.offsets, encoded.ids, strict=True) if i != unknown]
        begins, ends = np.array(known, np.int64).reshape(-1, 2).T
        np.add.at(said, begins, 1)
        np.add.at(said, ends, -1)
        return "".join(text[i] for i in np.flatnonzero(np.cumsum(said[:-1]) == 0))


def _encode(batch: Callable[..., Any], text: str, specials: bool) -> Any:
    """One text by a function of many, which others of this process can run beside.

    Raises:
      InputError: the tokeniser cannot.
    """
    try:
        return _waited_for(lambda: batch([text], add_special_tokens=specials))[0]
    except Exception as error:  # the bindings raise no narrower type
        raise InputError(f"{FILE}: cannot encode the text ({_reason(error)})") from error


def _waited_for(call: Callable[[], T]) -> T:
    """What a call returns, in a thread, so that Ctrl-C is obeyed in the midst of it."""
    found: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


def _vocabulary(model: dict[str, Any]) -> dict[str, int]:
    listed = model["vocab"]  # of a Unigram: pairs of a token and its score
    return {pair[0]: i for i, pair in enumerate(listed)} if isinstance(listed, list) else listed


def _unknown(model: dict[str, Any], vocabulary: dict[str, int]) -> int | None:
    """The token of the unknown."""
    return model["unk_id"] if "unk_id" in model else vocabulary.get(model.get("unk_token") or "")


def _has(part: dict[str, Any] | None, kind: str) -> bool:
    """Whether a normaliser or a pre-tokeniser is of a kind, or one of its sequence is."""
    if part is None:
        return False
    inner = part.get("normalizers") or part.get("pretokenizers") or []
    return part["type"] == kind or any(_has(one, kind) for one in inner)


def _reason(error: Exception) -> str:
    """The first line of what the bindings say."""
    line = next(iter(str(error).splitlines()), type(error).__name__)[:200]
    return printed.line(line)
