"""Tokens of a text that is larger than memory: made once, kept in a file, read with random access.

The file is the tokens as little-endian uint16, or uint32 where the vocabulary is larger than that,
followed by the 32 bytes of their SHA-256. It is written under another name and then renamed, so it
is there as a whole or not at all; and it is read through and checked before each use, so that one
that was damaged since is made again.

It is in `cache_folder`, since all runs on a text share it. It may be deleted whenever no run is
training on it.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from aigc_jax import storage
from aigc_jax.cache_folder import cache_folder
from aigc_jax.errors import InputError

_DIGEST_BYTES = 32
_BLOCK = 2**20  # bytes that are hashed at once


def tokens_on_disk(
    identity: str,
    vocabulary_size: int,
    encode: Callable[[], Iterable[np.ndarray]],
    folder: Path | None = None,
) -> np.ndarray:
    """The tokens of a text, from their file; the file is made where it is missing or damaged.

    Of several processes that want the same tokens at once, one makes them and the others wait.

    Args:
      identity: what decides the tokens: equal only for the same text under the same tokeniser.
      vocabulary_size: V; tokens are in [0, V).
      encode: yields the tokens, `[T]` some at a time; called only when they must be made.
      folder: where the file is; default: `cache_folder("tokens")`.

    Returns:
      Unsigned `[M]`, mapped into memory and read-only: only what is used is read.

    Raises:
      InputError: the folder cannot be written to, or is full, or there is none.
    """
    folder = cache_folder("tokens") if folder is None else folder
    if folder is None:
        raise InputError(
            "there is no home folder to keep tokens in; set XDG_CACHE_HOME to a folder"
        )
    path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()}.tokens"
    dtype = np.dtype("<u2" if vocabulary_size <= 2**16 else "<u4")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if not _is_whole(path):
                _write(path, encode(), dtype)
    except OSError as error:
        message = f"{folder}: tokens cannot be kept there ({error.strerror})"
        raise InputError(f"{message}; set XDG_CACHE_HOME to a folder with free space") from error
    count = (path.stat().st_size - _DIGEST_BYTES) // dtype.itemsize
    if not count:
        return np.zeros(0, dtype)  # which cannot be mapped
    return np.memmap(path, dtype, mode="r", shape=(count,))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits until no other process has the lock, which ends with its process, however that ends."""
    with open(path, "w") as file:
        storage.lock(file, wait=True)
        yield


def _write(path: Path, tokens: Iterable[np.ndarray], dtype: np.dtype) -> None:
    # A killed process leaves this behind, and the next one writes over it.
    unfinished = path.with_suffix(".unfinished")
    digest = hashlib.sha256()
    try:
        with open(unfinished, "wb") as file:
            for some in tokens:
                content = some.astype(dtype).tobytes()
                digest.update(content)
                file.write(content)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)  # it may be what has filled the disk
        raise


def _is_whole(path: Path) -> bool:
    """Whether the file is there and ends in the SHA-256 of what comes before."""
    try:
        left = path.stat().st_size - _DIGEST_BYTES
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                digest.update(block)
                left -= len(block)
            return file.read() == digest.digest()
    except FileNotFoundError:
        return False
