"""Text to learn from: the standard library's own documentation, or any UTF-8 file of any size."""

import codecs
import hashlib
import io
import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aigc_jax import storage
from aigc_jax.errors import InputError

DATASETS = ("python_docs",)
CHUNK = 2**15  # characters that are handled at once
LARGE = 2**26  # bytes: a larger file is never in memory as a whole
_BLOCK = 2**20  # bytes that are read at once from such a file


@dataclass(frozen=True)
class FilePart:
    """A part of a UTF-8 file that stays on disk."""

    path: Path
    offset: int  # bytes before it
    characters: int

    def __len__(self) -> int:
        return self.characters


Part = str | FilePart


class Text(NamedTuple):
    """A text split by position: the first 90 % of its characters to train on, the rest held out."""

    name: str
    train: Part
    heldout: Part

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "characters"

    def fingerprint(self) -> str:
        """SHA-256 of the whole text and of where it is split."""
        digest = hashlib.sha256(f"{len(self.train)} {len(self.heldout)} ".encode())
        for part in (self.train, self.heldout):
            for chunk in chunks(part):
                digest.update(chunk.encode())
        return digest.hexdigest()


def chunks(part: Part) -> Iterator[str]:
    """A part from its beginning to its end, `CHUNK` characters at a time.

    Raises:
      InputError: its file has become shorter.
    """
    if isinstance(part, str):
        yield from (part[i : i + CHUNK] for i in range(0, len(part), CHUNK))
        return
    left = len(part)
    with storage.told(part.path), open(part.path, "rb") as file:
        file.seek(part.offset)
        reader = io.TextIOWrapper(file, encoding="utf-8", newline="\n")  # as it is, "\r" too
        while left:
            chunk = reader.read(min(CHUNK, left))
            if not chunk:
                raise InputError(f"{part.path}: was truncated while it was read; run this again")
            yield chunk
            left -= len(chunk)


def count_bytes(part: Part) -> int:
    """The length of a part in bytes of UTF-8."""
    return sum(len(chunk.encode()) for chunk in chunks(part))


def load_text(name: str, file: str | None = None) -> Text:
    """Loads a text and splits it 90 / 10.

    Args:
      name: `python_docs`, the topics of `pydoc_data` in alphabetical order: about half a million
        characters of English, which differ between Python versions. Ignored where `file` is given.
      file: a UTF-8 text file to use instead. Above `LARGE` bytes it is read through once, to check
        it and to find where to split it, and its parts are `FilePart`s.

    Raises:
      InputError: the name is unknown, or the file is missing, empty or not UTF-8.
    """
    if file is not None:
        return _from_file(Path(file))
    if name not in DATASETS:
        raise InputError(
            f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}, or pass --text"
        )
    from pydoc_data.topics import topics

    return _split(name, "\n".join(topics[topic] for topic in sorted(topics)))


def read_text(path: Path) -> str:
    """A file as a whole, the characters that `load_text` has in its two parts.

    Raises:
      InputError: the file is missing, empty or not UTF-8.
    """
    try:
        return _checked(path, path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error, error.start) from error


def utf_bytes(text: str, encoding: str = "utf-8") -> bytes:
    """The bytes of a text in an encoding of Unicode.

    Raises:
      InputError: it has something that is not a character, as from a command line not in UTF-8.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        # Python keeps byte b of a command line as U+DC00 + b.
        code, place = ord(text[error.start]), error.start + 1
        found = f"byte {code - 0xDC00:#04x}" if 0xDC80 <= code < 0xDD00 else f"U+{code:04X}"
        raise InputError(f"not UTF-8 ({found} for character {place}); give it in UTF-8") from None


def check_prompt(prompt: str) -> None:
    """Refuses what is not text.

    Raises:
      InputError: it holds bytes that are not UTF-8.
    """
    try:
        utf_bytes(prompt)
    except InputError as error:
        raise InputError(f"the prompt is {error}") from None


def _from_file(path: Path) -> Text:
    try:
        large = path.stat().st_size > LARGE
        return _split_in_place(path) if large else _split(_name(path), read_text(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _name(path: Path) -> str:
    """A file's name as text, which a name need not be."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _not_utf8(path: Path, error: UnicodeDecodeError, offset: int) -> InputError:
    byte = error.object[error.start]
    message = f"{path}: not UTF-8 (byte {byte:#04x} at offset {offset})"
    return InputError(f"{message}; convert it with iconv -t UTF-8")


def _checked(path: Path, text: str) -> str:
    if not text.strip():
        raise InputError(f"{path}: holds no text")
    return text


def _split(name: str, text: str) -> Text:
    boundary = len(text) * 9 // 10
    return Text(name, text[:boundary], text[boundary:])


def _split_in_place(path: Path) -> Text:
    """Where `_split` would split it, and its checks, without the whole text in memory."""
    decoder, before, blank = codecs.getincrementaldecoder("utf-8")(), [0], True
    with open(path, "rb") as file:
        start = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
        file.seek(start)
        while True:
            block, kept = file.read(_BLOCK), len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                offset = file.tell() - len(block) - kept + error.start
                raise _not_utf8(path, error, offset) from error
            if not block:
                break
            blank = blank and not text.strip()
            before.append(before[-1] + len(_character_starts(block)))
        _checked(path, "" if blank else "text")
        boundary = before[-1] * 9 // 10
        index = bisect_right(before, boundary) - 1  # of the block in which the second part begins
        file.seek(start + index * _BLOCK)
        within = _character_starts(file.read(_BLOCK))[boundary - before[index]]
    offset = start + index * _BLOCK + int(within)
    train = FilePart(path, start, boundary)
    return Text(_name(path), train, FilePart(path, offset, before[-1] - boundary))


def _character_starts(block: bytes) -> np.ndarray:
    """The positions of the bytes that begin a character: all but 10xxxxxx."""
    return np.flatnonzero(np.frombuffer(block, np.uint8) & 0xC0 != 0x80)
