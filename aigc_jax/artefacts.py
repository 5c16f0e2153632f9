"""What a model makes, by kind: how it becomes a file, and how a page shows that file.

To add a kind, subclass `Artefact` here and add its name to `KINDS`.

Dimensions: R rows, K columns, H W C image, T time.
"""

import abc
import base64
import html
import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aigc_jax import pictures

_PCM_PEAK = 2**15 - 1  # of 16-bit samples


class Artefact(abc.ABC):
    """One of the kinds below."""

    suffix: ClassVar[str]  # of its file

    @abc.abstractmethod
    def encode(self) -> bytes:
        """The content of its file."""

    @staticmethod
    @abc.abstractmethod
    def embed(content: bytes, caption: str) -> str:
        """The HTML element that shows such a file; `caption` is HTML."""


@dataclass(frozen=True, eq=False)
class Picture(Artefact):
    """A grid of images, as PNG."""

    images: np.ndarray  # [R, K, H, W, C] in [0, 1], C = 1 (grey) or 3 (RGB)
    suffix: ClassVar[str] = ".png"

    def encode(self) -> bytes:
        return pictures.image_grid(np.asarray(self.images))

    @staticmethod
    def embed(content: bytes, caption: str) -> str:
        return f'<img alt="{caption}" src="{_data_uri("image/png", content)}">'


@dataclass(frozen=True, eq=False)
class Animation(Artefact):
    """Pictures made one after another, as GIF; see `pictures.animation`."""

    frames: Sequence[bytes]  # PNGs
    seconds_per_frame: float
    suffix: ClassVar[str] = ".gif"

    def encode(self) -> bytes:
        return pictures.animation(self.frames, self.seconds_per_frame)

    @staticmethod
    def embed(content: bytes, caption: str) -> str:
        return f'<img alt="{caption}" src="{_data_uri("image/gif", content)}">'


@dataclass(frozen=True, eq=False)
class Video(Artefact):
    """A video without sound, as GIF; see `pictures.video`."""

    frames: np.ndarray  # [T, H, W, C] in [0, 1], C = 1 (grey) or 3 (RGB)
    rate: float  # frames per second
    suffix: ClassVar[str] = Animation.suffix

    def encode(self) -> bytes:
        return pictures.video(np.asarray(self.frames), self.rate)

    @staticmethod
    def embed(content: bytes, caption: str) -> str:
        return Animation.embed(content, caption)


@dataclass(frozen=True, eq=False)
class Sound(Artefact):
    """A sound, as 16-bit WAV; samples beyond [−1, 1] are clipped."""

    samples: np.ndarray  # [T] or [T, C] in [−1, 1], C channels
    rate: int  # samples per second and channel
    suffix: ClassVar[str] = ".wav"

    def encode(self) -> bytes:
        samples = np.atleast_2d(np.asarray(self.samples, np.float64).T).T
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(np.rint(samples.clip(-1, 1) * _PCM_PEAK).astype("<i2").tobytes())
        return buffer.getvalue()

    @staticmethod
    def embed(content: bytes, caption: str) -> str:
        return f'<audio controls src="{_data_uri("audio/wav", content)}"></audio>'


@dataclass(frozen=True)
class Text(Artefact):
    """Text, as UTF-8."""

    text: str
    suffix: ClassVar[str] = ".txt"

    def encode(self) -> bytes:
        return self.text.encode(errors="backslashreplace")

    @staticmethod
    def embed(content: bytes, caption: str) -> str:
        return f"<pre>{html.escape(content.decode())}</pre>"


KINDS: dict[str, type[Artefact]] = {
    kind.suffix: kind for kind in (Picture, Animation, Video, Sound, Text)
}
"""The kinds by their files' suffix; animations and videos are shown alike."""


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
