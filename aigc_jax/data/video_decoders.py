"""Frames of a video's file, decoded one after another; what is damaged or cut off is refused.

Decoders make up what is damaged, and take what is there: Pillow reads a GIF that was cut between
two frames as a shorter one.
"""

import io
import math
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from aigc_jax import storage
from aigc_jax.errors import InputError

MOST_PIXELS = 2**26  # of a frame

# Other formats of FFmpeg name further files and addresses to open.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_ALONE, _WITH_SOUND = 1.5, 1.0  # what may be missing at the end: frames; seconds
_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9  # the extension that says how long the next frame is shown
_UNSAID = 10  # hundredths of a second, as browsers take it where the file says 0


class Decoder(NamedTuple):
    """The frames of a file, each decoded when it is asked for."""

    rate: float
    frames: Iterator[Any]
    pixels: Callable[[Any], np.ndarray]  # of one frame: uint8 [H, W, 3]


def package() -> Any:
    """PyAV, which is imported where it is needed.

    Raises:
      InputError: it is missing.
    """
    try:
        import av
    except ImportError as error:
        message = "videos other than GIF need the package av: pip install 'aigc_jax[video]'"
        raise InputError(message) from error
    return av


@contextmanager
def opened(file: Path) -> Iterator[Decoder]:
    """The decoder of a file; any error in the body of its `with` is told as the file's."""
    if storage.kind_of(file) != stat.S_IFREG:  # a pipe would be waited for
        raise InputError(f"{file}: no such file")
    try:
        with file.open("rb") as content:
            gif = content.read(4) == b"GIF8"
            content.seek(0)
            video: AbstractContextManager[Decoder]
            video = _gif(file, content.read()) if gif else _film(file, content)
            with video as decoder:
                yield decoder
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{file}: its frames do not fit into memory") from error
    except Exception as error:  # decoders raise many types
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{file}: cannot be read ({said.splitlines()[0][:200]})") from error


def _check_size(file: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        most = f"{MOST_PIXELS:,} that a frame may have"
        raise InputError(f"{file}: {width}×{height} pixels are more than the {most}")


@contextmanager
def _gif(file: Path, content: bytes) -> Iterator[Decoder]:
    durations, (width, height) = _gif_durations(content)
    _check_size(file, width, height)
    times = _times(durations)
    with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=("GIF",)) as image:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # see _check_size

        def composited() -> Iterator[np.ndarray]:
            for i, n in enumerate(times):
                rgb = _composited(file, image, i)
                for _ in range(n):
                    yield rgb

        rate = 100.0 * sum(times) / sum(durations)
        yield Decoder(rate, composited(), lambda rgb: rgb)


def _times(durations: list[int]) -> list[int]:
    """How many frames of one length each is, where hundredths of a second are rounded.

    At 30 a second frames begin at 0, 3, 7, 10, …, and programs merge equal ones: 3, 4, 3, 17 are
    1, 1, 1, 5. The length is within half a hundredth of the shortest, where all fit best.
    """
    shown = np.array(durations)[None]
    offsets = np.array(sorted(np.arange(-50, 51) / 100, key=abs))
    lengths = (min(durations) + offsets)[:, None]
    times = np.rint(shown / lengths)
    errors = np.abs(shown - times * lengths).max(1)
    return [int(n) for n in times[np.argmin(errors.round(9))]]


def _composited(file: Path, image: Any, index: int) -> np.ndarray:
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES  # which another library may have set for all
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image.seek(index)
        rgba = np.asarray(image.convert("RGBA"))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    if rgba[..., 3].min() < 255:
        raise InputError(f"{file}: has transparent pixels; put it on a background")
    return rgba[..., :3]


@contextmanager
def _film(file: Path, content: Any) -> Iterator[Decoder]:
    av = package()
    with av.open(content, options={"format_whitelist": _FORMATS}) as container:
        if not container.streams.video:
            raise InputError(f"{file}: has no pictures")
        stream = container.streams.video[0]
        context = stream.codec_context
        _check_size(file, context.width, context.height)
        # Not to make up what is damaged; and where threads share the work, damage is not reported.
        context.options = {"err_detect": "explode", "threads": "1"}
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        if not 0 < rate < math.inf:
            raise InputError(f"{file}: names no frame rate; re-encode it")
        yield Decoder(rate, _decoded(file, container, stream, rate), _shown)


def _decoded(file: Path, container: Any, stream: Any, rate: float) -> Iterator[Any]:
    first = last = None
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise InputError(f"{file}: damaged or truncated")
        for frame in packet.decode():
            if frame.is_corrupt:
                raise InputError(f"{file}: damaged or truncated")
            _check_size(file, frame.width, frame.height)
            last = frame.time if frame.time is not None else last
            first = last if first is None else first
            yield frame
    # A WebM file may end anywhere, but says at its beginning how long it is.
    if container.duration and first is not None and last is not None:
        alone = len(container.streams) == 1
        missing = container.duration / 1e6 - (last - first + 1 / rate)
        if missing > (_ALONE / rate if alone else _WITH_SOUND):
            raise InputError(f"{file}: truncated: its last {missing:.1f} s are missing")


def _shown(frame: Any) -> np.ndarray:
    """uint8 `[H, W, 3]`, turned as the file says that the camera was held."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _gif_durations(content: bytes) -> tuple[list[int], tuple[int, int]]:
    """The duration of each frame, and the size of the picture, before any pixel is decoded.

    Args:
      content: of the file.

    Returns:
      Hundredths of a second, and (width, height) in pixels.

    Raises:
      ValueError: it is no GIF, has no frames, ends before its end marker, or a frame is larger than
        the picture.

    Source: CompuServe, "Graphics Interchange Format, version 89a" (1990).
    """
    try:
        return _durations(content)
    except (IndexError, struct.error) as error:
        raise ValueError("truncated") from error


def _durations(content: bytes) -> tuple[list[int], tuple[int, int]]:
    if content[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("not a GIF")
    width, height, flags = struct.unpack("<HHB", content[6:11])
    place, next_duration, durations = 13 + _colours(flags), 0, []
    while (kind := content[place]) != _END:
        if kind == _EXTENSION:
            if content[place + 1] == _CONTROL:
                (next_duration,) = struct.unpack("<H", content[place + 4 : place + 6])
            place = _after(content, place + 2)
        elif kind == _IMAGE:
            left, top, across, down, flags = struct.unpack("<4HB", content[place + 1 : place + 10])
            if left + across > width or top + down > height:
                raise ValueError("a frame is larger than the picture")
            durations.append(next_duration or _UNSAID)
            place, next_duration = _after(content, place + 11 + _colours(flags)), 0
        else:
            raise ValueError("damaged")
    if not durations:
        raise ValueError("it has no frames")
    return durations, (width, height)


def _colours(flags: int) -> int:
    """The bytes of a table of colours, where there is one."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after(content: bytes, place: int) -> int:
    """What follows a chain of blocks, each with its length before it, and 0 after the last."""
    while content[place]:
        place += content[place] + 1
    return place + 1
