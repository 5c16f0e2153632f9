"""The same images under other compressors, and the table of their sizes beside ours."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable

import numpy as np
from PIL import Image

from experiments.families.vae.compression import Compressed

_WEBP_SIDE = 16383  # pixels, the most that the format knows


def raw(images: np.ndarray, levels: int) -> bytes:
    """The images uncompressed: eight binary pixels in a byte, or a byte for each value."""
    return (np.packbits(images > 127) if levels == 2 else images).tobytes()


def layouts(images: np.ndarray, levels: int) -> list[bytes]:
    """The uncompressed bytes in the orders that a compressor of bytes may be given.

    Binary pixels also with each row padded to whole bytes: a stroke is then at the same bits of a
    byte in each row, which suits compressors that look for repeated bytes.
    """
    packed = [raw(images, levels)]
    if levels == 2:
        packed.append(np.packbits(images > 127, axis=2).tobytes())
    return packed


def picture_bytes(images: np.ndarray, levels: int, form: str) -> int:
    """The size of all images in one tall picture, or in several where `form` bounds its height.

    Args:
      images: uint8 `[M, H, W, C]`.
      levels: 2 for images of 0 and 255.
      form: `PNG` or `WebP`, which is lossless here.
    """
    count, height, width, channels = images.shape
    rows = images.reshape(count * height, width, channels)
    each = len(rows) if form == "PNG" else max(1, _WEBP_SIDE // height) * height
    total = 0
    for start in range(0, len(rows), each):
        pixels = rows[start : start + each]
        picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        options: dict[str, int] = {"lossless": True, "quality": 100, "method": 6}
        if form == "PNG":
            options = {"optimize": True}
            picture = picture.convert("1") if levels == 2 and channels == 1 else picture
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        total += buffer.tell()
    return total


def baselines(images: np.ndarray, levels: int) -> dict[str, int | None]:
    """Bytes of the images by name of the compressor; None where it cannot take them.

    Compressors of bytes are given each of the `layouts`, and the smallest file counts.
    """

    def smallest(compress: Callable[[bytes], bytes]) -> int:
        return min(len(compress(data)) for data in layouts(images, levels))

    codecs: dict[str, Callable[[], int]] = {
        "gzip -9": lambda: smallest(lambda data: gzip.compress(data, 9)),
        "bz2 -9": lambda: smallest(lambda data: bz2.compress(data, 9)),
        "xz -9e": lambda: smallest(
            lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
        ),
        "PNG": lambda: picture_bytes(images, levels, "PNG"),
        "WebP lossless": lambda: picture_bytes(images, levels, "WebP"),
    }
    found: dict[str, int | None] = {}
    for name, size in codecs.items():
        try:
            found[name] = size()
        except (OSError, ValueError, KeyError):  # a picture too large, or a Pillow without WebP
            found[name] = None
    return found


def table(compressed: Compressed) -> str:
    """Sizes in bytes, bits for each image and each value of a pixel, and how many times smaller."""
    images, levels = compressed.images, compressed.levels
    size = len(raw(images, levels))
    rows: dict[str, float | None] = {
        "uncompressed": size,
        **baselines(images, levels),
        "this file": len(compressed.content),
        "negative ELBO": compressed.goal,
    }
    lines = [f"{'':16}{'bytes':>14}{'bits/image':>14}{'bits/dim':>10}{'ratio':>8}"]
    for name, found in rows.items():
        if found is None:
            lines.append(f"{name:16}{'—':>14}{'—':>14}{'—':>10}{'—':>8}")
            continue
        bits = 8 * found
        each = f"{bits / len(images):>14.2f}{bits / images.size:>10.4f}{size / found:>8.2f}"
        lines.append(f"{name:16}{found:>14,.0f}{each}")
    return "\n".join(lines)
