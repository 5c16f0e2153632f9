"""The chunks of RIFF files, which WAV files and sound fonts are.

A file is `RIFF`, a size as a little-endian uint32, a form of four letters, and chunks: four
letters, a size, so many bytes, and one more where that size is odd.
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aigc_jax import storage
from aigc_jax.errors import InputError

_MOST_CHUNKS = 1000  # in one list; files of sound have about ten


class Damaged(ValueError):
    """What a RIFF file says of itself is not so."""


class Chunk(NamedTuple):
    """Where a chunk's content lies in its file."""

    name: bytes
    begin: int
    size: int


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """An existing regular file, to be read; within it, `Damaged` and OSError name the file.

    Raises:
      InputError: it is no regular file, cannot be read, or is damaged.
    """
    kind = storage.kind_of(path)
    if kind != stat.S_IFREG:
        raise InputError(f"{path}: {'no such file' if kind is None else 'not a regular file'}")
    try:
        with storage.told(path), path.open("rb") as file:
            yield file
    except Damaged as error:
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory") from error


def chunks_of(file: BinaryIO, form: bytes, kind: str) -> list[Chunk]:
    """The chunks of a file, whose sizes are checked against the bytes that are there.

    Args:
      file: open.
      form: the four letters that it must have, such as `WAVE`.
      kind: what a message calls such a file.

    Raises:
      Damaged: it is another kind of file, or shorter or longer than it says.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if not head:
        raise Damaged(f"is empty, not {kind}")
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != form:
        raise Damaged(f"not {kind} (it begins with {head.hex(' ')})")
    announced, follow = struct.unpack("<I", head[4:8])[0], size - 8
    # Some writers do not count the byte that makes an odd last chunk even.
    if announced != follow and not (announced % 2 and announced + 1 == follow):
        message = f"its header announces {announced} bytes, but {follow} follow"
        raise Damaged(f"{message}; it is truncated or damaged")
    return list(_chunks(file, 12, size))


def inner_chunks(file: BinaryIO, outer: Chunk) -> list[Chunk]:
    """The chunks within a `LIST`, after its four letters.

    Raises:
      Damaged: they do not fit into it.
    """
    return list(_chunks(file, outer.begin + 4, outer.begin + outer.size))


def content(file: BinaryIO, chunk: Chunk) -> bytes:
    """All bytes of a chunk.

    Raises:
      Damaged: they are no longer there.
    """
    file.seek(chunk.begin)
    found = file.read(chunk.size)
    if len(found) != chunk.size:
        raise Damaged("became shorter while it was read")
    return found


def _chunks(file: BinaryIO, begin: int, end: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        if begin >= end:
            return
        file.seek(begin)
        head = file.read(min(8, end - begin))
        if len(head) < 8:
            raise Damaged("ends within the header of a chunk; it is truncated or damaged")
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if size > end - begin - 8:
            letters = name.decode("ascii", "replace")
            message = f"its chunk {letters!r} announces {size} bytes, but {end - begin - 8} follow"
            raise Damaged(f"{message}; it is truncated or damaged")
        yield Chunk(name, begin + 8, size)
        begin += 8 + size + size % 2
    if begin < end:
        raise Damaged(f"has more than {_MOST_CHUNKS} chunks")
