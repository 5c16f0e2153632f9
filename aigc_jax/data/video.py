"""Videos: a data set of clips, and files of one: GIF, MP4, WebM, AVI.

Dimensions: M clips, T frames, H W C frame, A attributes.
"""

import hashlib
import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aigc_jax.data.attributes import Attribute
from aigc_jax.data.video_decoders import opened, package
from aigc_jax.errors import InputError

SUFFIXES = (".gif", ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
MOST_BYTES = 2**35  # of pixels, as all are kept in memory
LONGEST_SIDE = 16_384  # of what encoders take
SMALLEST_SHOWN = 256  # pixels of the shorter side of an MP4, so that it can be looked at

_STANDARD = 5  # ITU-R BT.601 as FFmpeg and H.264 number it, to which RGB is converted
_ENCODER = "libx264"
_LIMITED = 1  # brightness in 16 … 235


@dataclass(frozen=True, eq=False)
class VideoClips:
    """A data set of videos of one size and length in memory, a part of it held out."""

    name: str
    rate: float  # frames per second
    train: np.ndarray  # uint8 [M, T, H, W, C]
    heldout: np.ndarray
    train_labels: np.ndarray | None = None  # int32 [M, A], each an index of an attribute's values
    heldout_labels: np.ndarray | None = None
    attributes: tuple[Attribute, ...] = ()

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "videos"

    def fingerprint(self) -> str:
        """SHA-256 over all clips and labels in order: equal where training sees the same data."""
        digest = hashlib.sha256()
        for array in (self.train, self.train_labels, self.heldout, self.heldout_labels):
            if array is not None:
                digest.update(str(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Measured(NamedTuple):
    """What a file of a video holds."""

    frames: int
    height: int
    width: int
    rate: float  # frames per second


def read_video(path: str | Path, frames: int | None = None) -> tuple[np.ndarray, float]:
    """The frames of a file, as a player shows them, and their rate.

    Args:
      path: a GIF, or an MP4, QuickTime, Matroska, WebM or AVI file, which the package `av` decodes
        (extra `video`). A GIF's frame that is shown twice as long as its shortest is two frames.
      frames: how many to read from its beginning; None: all.

    Returns:
      uint8 `[T, H, W, C]`, C = 1 if no pixel has a colour, else 3; frames per second.

    Raises:
      InputError: the file cannot be read whole, or has fewer frames; or `av` is missing.
    """
    if frames is not None and frames < 1:
        raise InputError(f"{path}: {frames} frames were asked for; ask for at least 1")
    found: list[np.ndarray] = []
    with opened(Path(path)) as video:
        for frame in video.frames:
            image = video.pixels(frame)
            if found and image.shape != found[0].shape:
                raise InputError(f"{path}: its frames change in size; re-encode it")
            if (len(found) + 1) * image.size > MOST_BYTES:
                allowed = f"{MOST_BYTES / 2**30:.1f} GiB that are allowed; read fewer frames"
                raise InputError(f"{path}: its pixels would take more than the {allowed}")
            found.append(image)
            if len(found) == frames:
                break
        if len(found) < (frames or 1):
            raise InputError(f"{path}: has {len(found)} frames; {frames or 1} are needed")
        pixels = np.stack(found)
        grey = bool((pixels == pixels[..., :1]).all())
        return (np.ascontiguousarray(pixels[..., :1]) if grey else pixels), video.rate


def measure_video(path: str | Path, most: int | None = None) -> Measured:
    """The length, size and rate of a file, whose pixels are decoded but not kept.

    Args:
      path: see `read_video`.
      most: how many frames to count; None: all.

    Raises:
      InputError: see `read_video`.
    """
    with opened(Path(path)) as video:
        count, height, width = 0, 0, 0
        for frame in video.frames:
            if not count:
                height, width, _ = video.pixels(frame).shape
            count += 1
            if count == most:
                break
        return Measured(count, height, width, video.rate)


def write_mp4(frames: np.ndarray, rate: float, scale: int | None = None) -> bytes:
    """An MP4 that browsers play: H.264, yuv420p, BT.601, at a quality that looks lossless.

    Each pixel becomes a square of `scale` pixels; the last row and column are repeated where a side
    would be odd, which the format does not allow. The bytes depend on the encoder's version.

    Args:
      frames: `[T, H, W, C]` in [0, 1], clipped, or uint8; C = 1 (grey) or 3 (RGB).
      rate: frames per second.
      scale: None: the least integer that makes the shorter side 256 pixels or more.

    Raises:
      InputError: `av` is missing, or its FFmpeg has no H.264 encoder.
      ValueError: there are no frames, they are of another shape, the rate is not positive, or a
        side would exceed 16,384 pixels.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3) or not frames.size or not rate > 0:
        found = f"{list(frames.shape)} at a rate of {rate}"
        raise ValueError(f"an MP4 needs frames [T, H, W, 1 or 3] and a rate, got {found}")
    height, width = frames.shape[1:3]
    scale = max(1, -(-SMALLEST_SHOWN // min(height, width))) if scale is None else scale
    if scale < 1 or scale * max(height, width) > LONGEST_SIDE:
        message = f"frames of {width}×{height} pixels cannot be shown {scale} times as large"
        raise ValueError(f"{message}; the longest side is {LONGEST_SIDE}")
    av, buffer = package(), io.BytesIO()
    exact = Fraction(rate).limit_denominator(1001)
    options = {"crf": "14", "threads": "1"}  # threads change the bytes
    with av.open(buffer, "w", format="mp4") as container:
        try:
            stream = container.add_stream(_ENCODER, rate=exact, options=options)
        except ValueError as error:  # av's errors of codecs are such
            raise InputError("this build of av has no H.264 encoder; pip install av") from error
        stream.height, stream.width = (2 * -(-scale * side // 2) for side in (height, width))
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = _STANDARD, _LIMITED
        for i, image in enumerate(frames):
            picture = _enlarged(image, scale, stream.height, stream.width)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=_STANDARD, dst_color_range=_LIMITED
            )
            frame.pts, frame.time_base = i, 1 / exact
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _enlarged(image: np.ndarray, scale: int, height: int, width: int) -> np.ndarray:
    """`[H, W, C]` → uint8 RGB `[height, width, 3]`."""
    if image.dtype != np.uint8:
        image = np.clip(np.rint(np.asarray(image, np.float64) * 255), 0, 255).astype(np.uint8)
    image = image.repeat(scale, 0).repeat(scale, 1)
    beyond = (0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)
    image = np.pad(image, beyond, mode="edge")
    return np.ascontiguousarray(np.broadcast_to(image, (height, width, 3)))
