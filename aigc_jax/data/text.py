"""Text to learn from: the standard library's own documentation, or any UTF-8 file."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from aigc_jax.errors import InputError

DATASETS = ("python_docs",)


class Text(NamedTuple):
    """A text split by position: the first 90 % of its characters to train on, the rest held out."""

    name: str
    train: str
    heldout: str

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "characters"

    def fingerprint(self) -> str:
        """SHA-256 of the whole text and of where it is split."""
        split = f"{len(self.train)} {len(self.heldout)} "
        return hashlib.sha256((split + self.train + self.heldout).encode()).hexdigest()


def load_text(name: str, file: str | None = None) -> Text:
    """Loads a text and splits it 90 / 10.

    Args:
      name: `python_docs`, the topics of `pydoc_data` in alphabetical order: about half a million
        characters of English, which differ between Python versions. Ignored where `file` is given.
      file: a UTF-8 text file to use instead.

    Raises:
      InputError: the name is unknown, or the file is missing, empty or not UTF-8.
    """
    if file is not None:
        return _split(Path(file).name, _read(Path(file)))
    if name not in DATASETS:
        raise InputError(
            f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}, or pass --text"
        )
    from pydoc_data.topics import topics

    return _split(name, "\n".join(topics[topic] for topic in sorted(topics)))


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        message = (
            f"{path}: not UTF-8 (byte {error.object[error.start]:#04x} at offset {error.start})"
        )
        raise InputError(f"{message}; convert it with iconv -t UTF-8") from error
    if not text.strip():
        raise InputError(f"{path}: holds no text")
    return text


def _split(name: str, text: str) -> Text:
    boundary = len(text) * 9 // 10
    return Text(name, text[:boundary], text[boundary:])
