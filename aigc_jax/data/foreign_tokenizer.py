"""A tokeniser of other software, from its tokenizer.json, with a check for what it cannot encode.

`tokenizers` silently drops a character without a token, or replaces it with the unknown token. A
loss on what is left is not a loss on the text.
"""

import json
import threading
from collections.abc import Callable, Sequence
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from aigc_jax import printed
from aigc_jax.data.bpe import byte_signs
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps

T = TypeVar("T")
FILE = "tokenizer.json"
_FALLBACKS = [f"<0x{byte:02X}>" for byte in range(256)]
_NO_TOKEN = 2**32 - 1  # the largest id that `tokenizers` takes
_ANY = "a"  # a text, to see what is put before one
_KEEPING = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "ByteLevel"}
_EACH = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")


class ForeignTokenizer:
    """Texts to the tokens of an imported model, and back.

    Truncation, padding and BPE dropout that its file asks for were for its training, and are turned
    off.

    Args:
      text: the contents of tokenizer.json.

    Raises:
      InputError: they are not a tokeniser's.
    """

    def __init__(self, text: str):
        try:
            self._model = Tokenizer.from_str(text)
        except Exception as error:  # the bindings raise no narrower type
            raise InputError(f"{FILE}: cannot be read ({_reason(error)})") from error
        self._model.no_truncation()
        self._model.no_padding()
        if isinstance(self._model.model, models.BPE):
            self._model.model.dropout = None
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
          specials: whether to prepend the tokeniser's own beginning of a text. Its end, which some
            append, is never added: what is encoded is to be continued.

        Raises:
          InputError: the tokeniser cannot.
        """
        tokens = _encode(self._model.encode_batch_fast, text, False).ids
        if specials:
            whole = _encode(self._model.encode_batch_fast, text or _ANY, True)
            own = takewhile(itemgetter(1), zip(whole.ids, whole.special_tokens_mask, strict=True))
            tokens = [token for token, _ in own] + tokens
        return np.array(tokens, np.int32)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, without special tokens."""
        return self._model.decode(tokens)

    def lacking(self, text: str) -> str:
        """The characters of a text that no token stands for, in their order.

        A character has a token if what the tokeniser's normaliser turns it into has one: composing
        an accent or lower-casing loses nothing. One that the normaliser drops has none.
        """
        normaliser = self._model.normalizer
        read = self._read(text if normaliser is None else normaliser.normalize_str(text))
        if normaliser is not None and not (read.all() and _keeps(self._settings["normalizer"])):
            read = _before(normaliser, text, read)
        return "" if read.all() else "".join(text[i] for i in np.flatnonzero(~read))

    def _read(self, text: str) -> np.ndarray:
        """Which characters of a normalised text have a token, bool `[len(text)]`."""
        settings = self._settings
        vocabulary = _vocabulary(settings["model"])
        if settings["model"].get("byte_fallback") and vocabulary.keys() >= {*_FALLBACKS}:
            return np.ones(len(text), bool)
        if _has(settings["normalizer"], "ByteLevel"):
            return np.array([sign in vocabulary for sign in text], bool)
        if _has(settings["pre_tokenizer"], "ByteLevel"):
            absent = {byte for byte, sign in enumerate(byte_signs()) if sign not in vocabulary}
            without = {c for c in set(text) if not absent.isdisjoint(c.encode())}
            return np.array([c not in without for c in text], bool)
        model, unknown = _with_unknown(settings["model"], vocabulary)
        bare = {**settings, "model": model, "normalizer": None, "post_processor": None}
        encoded = _encode(Tokenizer.from_str(dumps(bare)).encode_batch, text, False)
        known = [o for o, i in zip(encoded.offsets, encoded.ids, strict=True) if i != unknown]
        return _within(known, len(text))


def _before(normaliser: Any, text: str, read: np.ndarray) -> np.ndarray:
    """Which characters have a token, given which of those do that a normaliser turns them into.

    Args:
      normaliser: of a tokeniser.
      text: before normalisation.
      read: bool, for each character of the normalised text.

    Returns:
      bool `[len(text)]`: True where anything that the character became is; False where nothing is.
    """
    each = Tokenizer(models.WordLevel({"": 0}, unk_token=""))
    each.normalizer, each.pre_tokenizer = normaliser, _EACH
    places = _encode(each.encode_batch, text, False).offsets
    found = _within([place for place, has in zip(places, read, strict=True) if has], len(text))
    left = _within(places, len(text))
    left_out: dict[tuple[str, str], bool] = {}

    def without(others: str, both: str) -> bool:
        if (others, both) not in left_out:
            normalised = map(normaliser.normalize_str, (others, both))
            left_out[others, both] = len(set(normalised)) == 1
        return left_out[others, both]

    # A character without an offset of its own was dropped, or is a part of its neighbour.
    before, last = "", bool(found[left][:1].any())
    for i in range(len(text)):
        if left[i]:
            before, last = text[i], found[i]
        elif without(before, before + text[i]) or without(text[i + 1 : i + 2], text[i : i + 2]):
            found[i] = False
        else:
            before, found[i] = before + text[i], last
    return found


def _within(places: list[tuple[int, int]], length: int) -> np.ndarray:
    """Which characters are within some of the places, bool `[length]`."""
    begins, ends = np.array(places, np.int64).reshape(-1, 2).T
    changes = np.zeros(length + 1, np.int64)
    np.add.at(changes, begins, 1)
    np.add.at(changes, ends, -1)
    return np.cumsum(changes[:-1]) > 0


def _encode(batch: Callable[..., Any], text: str, specials: bool) -> Any:
    """One text by a function of many, which does not block other threads.

    Raises:
      InputError: the tokeniser cannot.
    """
    try:
        return _waited_for(lambda: batch([text], add_special_tokens=specials))[0]
    except Exception as error:  # the bindings raise no narrower type
        raise InputError(f"{FILE}: cannot encode the text ({_reason(error)})") from error


def _waited_for(call: Callable[[], T]) -> T:
    """What a call returns, made in a thread so that Ctrl-C can interrupt it."""
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


def _with_unknown(
    model: dict[str, Any], vocabulary: dict[str, int]
) -> tuple[dict[str, Any], int | None]:
    """A model with an unknown token, and its id.

    A BPE without one drops what is unknown to it, and gives what follows in the word the offsets of
    what it dropped. Other models then refuse the text.
    """
    if model["type"] == "BPE" and not model["unk_token"]:
        token = max(vocabulary, key=len, default="") + "?"  # longer than any that there is
        return {**model, "unk_token": token, "vocab": {**vocabulary, token: _NO_TOKEN}}, _NO_TOKEN
    if model["type"] == "Unigram":
        return model, model["unk_id"]
    return model, vocabulary.get(model["unk_token"])


def _keeps(normaliser: dict[str, Any]) -> bool:
    """Whether it drops no character, as far as its kind alone tells."""
    if normaliser["type"] == "Sequence":
        return all(map(_keeps, normaliser["normalizers"]))
    if normaliser["type"] == "Replace":
        return len(normaliser["pattern"].get("String", "")) == 1 and normaliser["content"] != ""
    return normaliser["type"] in _KEEPING


def _has(part: dict[str, Any] | None, kind: str) -> bool:
    """Whether a normaliser or a pre-tokeniser is of a kind, or one of its sequence is."""
    if part is None:
        return False
    inner = part.get("normalizers") or part.get("pretokenizers") or []
    return part["type"] == kind or any(_has(one, kind) for one in inner)


def _reason(error: Exception) -> str:
    """The first line of the bindings' message."""
    line = next(iter(str(error).splitlines()), type(error).__name__)[:200]
    return printed.line(line)
