"""Captions of signals: texts in files beside them, or made of their labels; and as tokens.

Dimensions: M captions, A attributes, S tokens of the longest.
"""

from collections.abc import Collection, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from aigc_jax import storage
from aigc_jax.data import class_folders
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.text import read_text
from aigc_jax.data.tokenizers import ByteTokenizer
from aigc_jax.errors import InputError

MOST_BYTES = 256  # of a caption
END = ByteTokenizer.vocabulary_size  # the token after its bytes
SYMBOLS = END + 1

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CLOTHES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_TRIPLES = tuple(f"a red {r}, a green {g} and a blue {b}" for r, g, b in product(_DIGITS, repeat=3))
_OF_DIGITS = "the digit {class}", "a handwritten {class}", "{class}"
_OF_NOTES = "{a player} plays {pitch}", "the note {pitch} on {a player}", "{pitch} by {a player}"

# By data set: what its captions say, `{a NAME}` being a value with its article; and what values are
# called in them, where not by their names.
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "mnist5k": _OF_DIGITS,
    "mnist": _OF_DIGITS,
    "fashion_mnist": ("{a class}", "a picture of {a class}", "{class}"),
    "stacked_mnist": ("{class}",),
    "fsdd": (
        "{speaker} says {digit}",
        "{digit}, spoken by {speaker}",
        "the word {digit} in the voice of {speaker}",
    ),
    "tones": tuple(text.replace("player", "timbre") for text in _OF_NOTES),
    "notes": tuple(text.replace("player", "instrument") for text in _OF_NOTES),
}
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "mnist5k": {"class": _DIGITS},
    "mnist": {"class": _DIGITS},
    "fashion_mnist": {"class": _CLOTHES},
    "stacked_mnist": {"class": _TRIPLES},
    "fsdd": {"digit": _DIGITS},
    "tones": {"timbre": ("plucked string", "organ", "reed", "bell")},
}


def from_labels(
    name: str | None,
    attributes: Sequence[Attribute],
    labels: np.ndarray,
    seed: int | Sequence[int],
) -> tuple[str, ...]:
    """A caption of each example, in one of some wordings of its data set.

    Which one is a function of the seed and the example's index. Of a data set without wordings of
    its own it is the names of the values, with commas between.

    Args:
      name: of a data set of this package; None for others.
      attributes: what the columns of labels are.
      labels: int `[M, A]`.
      seed: of NumPy's generator.
    """
    known = _WORDS.get(name or "", {})
    words = [known.get(a.name, a.values) for a in attributes]
    plain = ", ".join(f"{{{i}}}" for i in range(len(attributes)))
    templates = _TEMPLATES.get(name or "", (plain,))
    chosen = np.random.default_rng(seed).integers(len(templates), size=len(labels))
    found = []
    for template, row in zip(chosen, labels, strict=True):
        said = [of[label] for of, label in zip(words, row, strict=True)]
        named = {a.name: word for a, word in zip(attributes, said, strict=True)}
        named |= {f"a {key}": _with_article(word) for key, word in named.items()}
        found.append(templates[template].format(*said, **named))
    return tuple(found)


def _with_article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def read_captions(
    folder: Path, suffixes: Collection[str], things: str, kinds: str
) -> tuple[str, ...]:
    """The texts beside the files of a folder, in their order: NAME.txt of NAME.png, say.

    White space is one space, and none at the ends.

    Args:
      folder, suffixes, things, kinds: see `class_folders.listed`.

    Raises:
      InputError: names the text that is missing, empty, too long or not UTF-8.
    """
    texts = []
    for file in class_folders.listed(folder, suffixes, things, kinds).files:
        path = class_folders.caption_file(file)
        if not storage.is_there(path):
            raise InputError(f"{path}: no such file, and the caption of {file.name} is read there")
        text = " ".join(read_text(path).split())
        if (size := len(text.encode())) > MOST_BYTES:
            raise InputError(f"{path}: has {size} bytes; a caption has at most {MOST_BYTES}")
        texts.append(text)
    return tuple(texts)


def tokens_of(texts: Sequence[str], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Captions as their bytes and `END`: int32 `[M, S]`, padded by zeros, and their lengths `[M]`.

    Args:
      texts: of M captions; an empty one is its end alone.
      length: S; None: as many tokens as the longest has.

    Raises:
      InputError: one has more tokens, or is not UTF-8.
    """
    rows = [np.append(ByteTokenizer().encode(text), END) for text in texts]
    lengths = np.array([len(row) for row in rows], np.int32)
    length = int(lengths.max()) if length is None else length
    if (longest := lengths.max()) > length:
        raise InputError(
            f"a caption of {longest - 1} bytes is longer than the {length - 1} that are read; "
            "shorten it"
        )
    tokens = np.zeros((len(rows), length), np.int32)
    for row, own in zip(tokens, rows, strict=True):
        row[: len(own)] = own
    return tokens, lengths
