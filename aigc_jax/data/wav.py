"""WAV files of uncompressed samples, read strictly: exactly as they were meant, or not at all.

Dimensions: T time, C channels.
"""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from aigc_jax.data import riff
from aigc_jax.data.riff import Damaged

HIGHEST_RATE = 384_000  # samples per second and channel
MOST_BYTES = 2**30  # of the samples of one file
MOST_CHANNELS = 256

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_COMPRESSED = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM", 0x55: "MP3"}
_GUID_END = bytes.fromhex("000000001000800000aa00389b71")  # after the two bytes of a format
_BELOW_ONE = np.float32(1 - 2**-24)


class _Header(NamedTuple):
    format: int  # _PCM or _FLOAT
    channels: int
    rate: int
    bits: int  # of a sample
    data: riff.Chunk

    @property
    def frames(self) -> int:
        return self.data.size // (self.channels * self.bits // 8)


def read_wav(path: str | Path) -> tuple[np.ndarray, int]:
    """Reads all samples of a WAV file.

    Integers of b bits are divided by 2^(b − 1), those of 8 bits after 128 was subtracted. Up to 24
    bits this is exact; samples of 32 bits are rounded to float32. Floating-point samples are
    returned as stored, even beyond [−1, 1).

    Args:
      path: a file of 8, 16, 24 or 32 bits PCM, or of 32 or 64 bits floating point, also as
        `WAVE_FORMAT_EXTENSIBLE`.

    Returns:
      float32 `[T, C]`, and the rate in samples per second.

    Raises:
      InputError: it is no such file, has no samples, is not as long as its header says, or holds
        a sample that is not finite. No more memory is taken than what the file's own length needs.
    """
    path = Path(path)
    with riff.opened(path) as file:
        header = _header(file)
        samples = _decoded(riff.content(file, header.data), header)
        wrong = np.flatnonzero(~np.isfinite(samples))
        if len(wrong):
            frame = wrong[0] // header.channels
            raise Damaged(f"frame {frame} is {samples[wrong[0]]}; all samples must be finite")
    return samples.reshape(-1, header.channels), header.rate


def wav_length(path: str | Path) -> tuple[int, int]:
    """The number of frames T of a WAV file and its rate, from its header alone.

    Raises:
      InputError: as `read_wav` does, but for what the samples are.
    """
    with riff.opened(Path(path)) as file:
        header = _header(file)
    return header.frames, header.rate


def _header(file: BinaryIO) -> _Header:
    found: dict[bytes, riff.Chunk] = {}
    for chunk in riff.chunks_of(file, b"WAVE", "a WAV file"):
        if chunk.name not in (b"fmt ", b"data"):
            continue
        name = chunk.name.decode()
        if chunk.name in found:
            raise Damaged(f"has two chunks {name!r}")
        if chunk.name == b"data" and b"fmt " not in found:
            raise Damaged("has samples before their format")
        found[chunk.name] = chunk
    if b"fmt " not in found or b"data" not in found:
        raise Damaged(f"has no chunk {'data' if b'fmt ' in found else 'fmt '!r}")
    header = _format(riff.content(file, found[b"fmt "]), found[b"data"])
    size, frame = header.data.size, header.channels * header.bits // 8
    if size == 0:
        raise Damaged("has no samples")
    if size % frame:
        raise Damaged(f"has {size} bytes of samples, which are not whole frames of {frame}")
    if size > MOST_BYTES:
        raise Damaged(f"has {size} bytes of samples, above the {MOST_BYTES} that are allowed")
    return header


def _format(fmt: bytes, data: riff.Chunk) -> _Header:
    if len(fmt) < 16:
        raise Damaged(f"describes its format in {len(fmt)} bytes; 16 are needed")
    tag, channels, rate, byte_rate, frame, bits = struct.unpack("<HHIIHH", fmt[:16])
    if tag == _EXTENSIBLE:
        if len(fmt) < 40:
            raise Damaged(f"describes its extensible format in {len(fmt)} bytes; 40 are needed")
        tag = struct.unpack("<H", fmt[24:26])[0] if fmt[26:40] == _GUID_END else _EXTENSIBLE
    if tag not in _BITS:
        kind = f"{_COMPRESSED[tag]}" if tag in _COMPRESSED else f"of format {tag:#06x}"
        raise Damaged(f"is {kind}, not PCM or floating point; convert it to 16-bit PCM")
    if bits not in _BITS[tag]:
        kind = "PCM" if tag == _PCM else "floating point"
        raise Damaged(f"has {bits} bits a sample of {kind}; convert it to 16-bit PCM")
    if not 1 <= channels <= MOST_CHANNELS:
        raise Damaged(f"has {channels} channels; 1 to {MOST_CHANNELS} can be read")
    if not 1 <= rate <= HIGHEST_RATE:
        raise Damaged(f"has {rate} samples per second; 1 to {HIGHEST_RATE} can be read")
    if frame != channels * bits // 8 or byte_rate != rate * frame:
        message = f"{channels} channels of {bits} bits at {rate}/s, in frames of {frame} bytes"
        raise Damaged(f"contradicts itself: {message}, {byte_rate} bytes/s")
    return _Header(tag, channels, rate, bits, data)


def _decoded(data: bytes, header: _Header) -> np.ndarray:
    """float32 `[T · C]`."""
    if header.format == _FLOAT:
        with np.errstate(all="ignore"):  # beyond float32 is infinite, which is refused
            return np.frombuffer(data, f"<f{header.bits // 8}").astype(np.float32)
    if header.bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if header.bits == 24:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return padded.view("<i4").ravel().astype(np.float32) / 2**31
    samples = np.frombuffer(data, f"<i{header.bits // 8}").astype(np.float32)
    # The greatest of 32 bits would be rounded to 1.
    return np.minimum(samples / 2 ** (header.bits - 1), _BELOW_ONE)
