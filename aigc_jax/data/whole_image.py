"""A PNG or JPEG image whose file holds all of its pixels.

Decoders make up what is missing: Pillow leaves the last rows of a PNG black where its stream ends
early, and libjpeg paints the rest of a JPEG grey where its end marker comes early.
"""

import hashlib
import io
import re
import struct
import zlib

import numpy as np
from PIL import Image, ImageFile

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by its colour type
# The seven passes of an interlaced PNG: the first column and row, and the steps between them.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # of a JPEG, but for those within its data
_END = b"\xd9"
_NOISE = hashlib.shake_256(b"noise").digest(600).replace(b"\xff", b"\xfe")  # no marker in it


def whole_image(content: bytes) -> Image.Image:
    """Decodes an image, which is loaded but not rotated.

    Args:
      content: of the file.

    Raises:
      ValueError: pixels are missing, or differ from those written.
      Exception: whatever Pillow raises where it is not an image, or damaged.
    """
    image = _loaded(content)
    if image.format == "PNG" and not _has_all_rows(content):
        raise ValueError("its stream has too few rows")
    if image.format != "PNG" and not _has_all_blocks(content, image):  # JPEG, or MPO of several
        raise ValueError("its data end too early")
    return image


def _loaded(content: bytes) -> Image.Image:
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES  # which another library may have set for all
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    return image


def _has_all_rows(content: bytes) -> bool:
    """Whether a PNG's stream is as long as its header announces.

    A row is a byte for its filter and ⌈columns · bits / 8⌉ for its pixels.
    """
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    bits = depth * _CHANNELS[colours]
    grids = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, right, down in grids:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + -(-columns * bits // 8))
    return len(zlib.decompressobj().decompress(_stream(content), expected)) == expected


def _stream(content: bytes) -> bytes:
    """The data of all IDAT chunks of a PNG.

    Raises:
      ValueError: they are damaged, which Pillow does not check.
    """
    parts, place = [], 8
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        if kind == b"IDAT":
            data, check = content[place + 8 : place + 8 + length], content[place + 8 + length :][:4]
            if zlib.crc32(kind + data).to_bytes(4, "big") != check:
                raise ValueError("the checksum of its data does not match them")
            parts.append(data)
        place += 12 + length
    return b"".join(parts)


def _has_all_blocks(content: bytes, image: Image.Image) -> bool:
    """Whether a JPEG's decoder had finished before the end marker.

    It skips bytes that follow the last block, and decodes them where blocks are missing.
    """
    end = _end(content)
    other = _loaded(content[:end] + _NOISE + content[end:])
    return np.array_equal(np.asarray(image), np.asarray(other))


def _end(content: bytes) -> int:
    """Where the end marker of a JPEG's first image is.

    A thumbnail before it has one of its own, and so has what a camera has appended.
    """
    place = 2
    while (found := _MARKER.search(content, place)) and found[1] != _END:
        # A segment begins with its length; a scan's data, in which there are no markers, follow it.
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    return found.start() if found else len(content)
