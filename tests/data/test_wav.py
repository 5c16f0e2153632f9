"""WAV files: read exactly, or refused with one line that names the file."""

import io
import os
import struct
import wave

import numpy as np
import pytest

from aigc_jax.artefacts import Sound
from aigc_jax.data import riff, wav
from aigc_jax.data.wav import read_wav, wav_length
from aigc_jax.errors import InputError

GUID_END = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name, content, size=None):
    size = len(content) if size is None else size
    return name + struct.pack("<I", size) + content + bytes(len(content) % 2)


def fmt(tag=1, channels=1, rate=8000, bits=16, frame=None, byte_rate=None):
    frame = channels * bits // 8 if frame is None else frame
    byte_rate = (rate * frame) % 2**32 if byte_rate is None else byte_rate
    return struct.pack("<HHIIHH", tag, channels, rate, byte_rate, frame, bits)


def extensible(tag=1, end=GUID_END, **options):
    kind = fmt(0xFFFE, **options)
    return kind + struct.pack("<HHIH", 22, 16, 0, tag) + end


def riffed(*chunks, form=b"WAVE"):
    content = form + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def a_wav(data, **options):
    return riffed(chunk(b"fmt ", fmt(**options)), chunk(b"data", data))


def packed(code, *values):
    return struct.pack(f"<{len(values)}{code}", *values)


def read(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    return read_wav(tmp_path / "a.wav")


LAST = 1 - 2**-24  # the greatest float32 below 1
EXACT = {
    "8 bits": (a_wav(bytes([0, 127, 129, 255]), bits=8), [-1, -1 / 128, 1 / 128, 127 / 128]),
    "8 bits, odd": (a_wav(bytes([0, 128, 129]), bits=8), [-1, 0, 1 / 128]),
    "16 bits": (a_wav(packed("h", -(2**15), -3, 2**15 - 1)), [-1, -3 / 2**15, 1 - 2**-15]),
    "24 bits": (
        a_wav(b"\x00\x00\x80\xff\xff\xff\x01\x02\x03\xff\xff\x7f", bits=24),
        [-1, -(2**-23), 0x030201 / 2**23, 1 - 2**-23],
    ),
    "32 bits": (
        a_wav(packed("i", -(2**31), 5 * 2**20, 2**31 - 1), bits=32),
        [-1, 5 * 2**-11, LAST],
    ),
    "32-bit floats": (a_wav(packed("f", -1, 0.1, 3.5), tag=3, bits=32), [-1, np.float32(0.1), 3.5]),
    "64-bit floats": (a_wav(packed("d", -1, 0.1, 3.5), tag=3, bits=64), [-1, np.float32(0.1), 3.5]),
    "extensible": (
        riffed(chunk(b"fmt ", extensible()), chunk(b"data", packed("h", 7, -9))),
        [7 / 2**15, -9 / 2**15],
    ),
    "extensible floats": (
        riffed(chunk(b"fmt ", extensible(3, bits=32)), chunk(b"data", packed("f", 0.25))),
        [0.25],
    ),
    "other chunks": (
        riffed(
            chunk(b"LIST", b"INFOodd"),
            chunk(b"fmt ", fmt() + bytes(2)),
            chunk(b"fact", bytes(4)),
            chunk(b"data", packed("h", 7)),
            chunk(b"bext", bytes(9)),
        ),
        [7 / 2**15],
    ),
    "an uncounted even byte": (
        b"RIFF" + struct.pack("<I", 36 + 3) + a_wav(bytes([0, 128, 129]), bits=8)[8:],
        [-1, 0, 1 / 128],
    ),
    "no even byte": (
        b"RIFF" + struct.pack("<I", 36 + 3) + a_wav(bytes([0, 128, 129]), bits=8)[8:-1],
        [-1, 0, 1 / 128],
    ),
}


@pytest.mark.parametrize("kind", EXACT)
def test_samples_are_exact(tmp_path, kind):
    content, expected = EXACT[kind]
    samples, rate = read(tmp_path, content)
    assert samples.dtype == np.float32
    assert rate == 8000
    np.testing.assert_array_equal(samples, np.array(expected)[:, None])
    assert wav_length(tmp_path / "a.wav") == (len(expected), 8000)


@pytest.mark.parametrize(("channels", "rate"), [(1, 1), (2, 44100), (5, 384_000)])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_what_the_standard_library_writes(tmp_path, channels, rate, width):
    integers = np.random.default_rng(width).integers(256, size=(7, channels, width), dtype="u1")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(integers.tobytes())
    samples, found = read_wav(str(tmp_path / "a.wav"))
    values = [
        int.from_bytes(x.tobytes(), "little", signed=width > 1) for x in integers.reshape(-1, width)
    ]
    expected = np.array([x - 128 for x in values] if width == 1 else values) / 2 ** (8 * width - 1)
    assert found == rate
    assert samples.shape == (7, channels)
    np.testing.assert_array_equal(samples.ravel(), expected.astype(np.float32))


def test_what_this_package_writes(tmp_path):
    given = np.random.default_rng(0).integers(-(2**15) + 1, 2**15, size=(9, 2))
    samples, rate = read(tmp_path, Sound(given / (2**15 - 1), 11025).encode())
    assert rate == 11025
    np.testing.assert_array_equal(samples * 2**15, given)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "a.wav").write_bytes(a_wav(packed("h", 7)))
    (tmp_path / "b.wav").symlink_to("a.wav")
    assert wav_length(tmp_path / "b.wav") == (1, 8000)


GOOD = a_wav(packed("h", 1, 2, 3))
DATA = chunk(b"data", packed("h", 1, 2, 3))
FORMAT = chunk(b"fmt ", fmt())
SHORT = "its header announces 42 bytes, but"
REFUSED = {
    "empty": (b"", "is empty, not a WAV file"),
    "text": (b"hello, this is text", "not a WAV file (it begins with 68 65 6c 6c 6f"),
    "a few bytes": (b"RIFF", "not a WAV file (it begins with 52 49 46 46)"),
    "big-endian": (b"RIFX" + GOOD[4:], "not a WAV file"),
    "another form": (riffed(form=b"AVI "), "not a WAV file"),
    "truncated": (GOOD[:-1], f"{SHORT} 41 follow; it is truncated or damaged"),
    "truncated header": (GOOD[:30], f"{SHORT} 22 follow"),
    "longer": (GOOD + bytes(2), f"{SHORT} 44 follow"),
    "a byte longer": (GOOD + bytes(1), f"{SHORT} 43 follow"),
    "of unknown length": (b"RIFF\xff\xff\xff\xff" + GOOD[8:], "announces 4294967295 bytes"),
    "long data": (
        riffed(FORMAT, chunk(b"data", packed("h", 1, 2), size=6)),
        "its chunk 'data' announces 6 bytes, but 4 follow",
    ),
    "absurd data": (
        riffed(FORMAT, chunk(b"data", packed("h", 1), size=2**32 - 2)),
        "announces 4294967294 bytes, but 2 follow",
    ),
    "short data": (
        riffed(FORMAT, chunk(b"data", packed("h", 1, 2, 3, 4), 2)),
        "ends within the header",
    ),
    "no chunks": (riffed(), "has no chunk 'fmt '"),
    "no data": (riffed(FORMAT), "has no chunk 'data'"),
    "data first": (riffed(DATA, FORMAT), "has samples before their format"),
    "two formats": (riffed(FORMAT, FORMAT, DATA), "has two chunks 'fmt '"),
    "data twice": (riffed(FORMAT, DATA, DATA), "has two chunks 'data'"),
    "many chunks": (riffed(*[chunk(b"junk", b"")] * 1001), "has more than 1000 chunks"),
    "no samples": (a_wav(b""), "has no samples"),
    "half a frame": (a_wav(bytes(6), channels=2), "6 bytes of samples, which are not whole frames"),
    "mu-law": (a_wav(bytes(4), tag=7, bits=8), "is mu-law, not PCM or floating point; convert it"),
    "A-law": (a_wav(bytes(4), tag=6, bits=8), "is A-law, not PCM"),
    "MP3": (a_wav(bytes(4), tag=0x55), "is MP3, not PCM"),
    "unknown": (a_wav(bytes(4), tag=0x1234), "is of format 0x1234, not PCM"),
    "extensible mu-law": (
        riffed(chunk(b"fmt ", extensible(7, bits=8)), DATA),
        "is mu-law, not PCM",
    ),
    "another GUID": (
        riffed(chunk(b"fmt ", extensible(end=bytes(14))), DATA),
        "is of format 0xfffe, not PCM",
    ),
    "short extensible": (
        riffed(chunk(b"fmt ", extensible()[:39]), DATA),
        "its extensible format in 39 bytes; 40 are needed",
    ),
    "short format": (riffed(chunk(b"fmt ", fmt()[:14]), DATA), "in 14 bytes; 16 are needed"),
    "12 bits": (a_wav(bytes(4), bits=12, frame=2), "has 12 bits a sample of PCM"),
    "16-bit floats": (a_wav(bytes(4), tag=3), "has 16 bits a sample of floating point"),
    "no channels": (a_wav(bytes(4), channels=0), "has 0 channels; 1 to 256"),
    "many channels": (a_wav(bytes(514), channels=257), "has 257 channels"),
    "no rate": (a_wav(bytes(4), rate=0), "has 0 samples per second"),
    "a high rate": (a_wav(bytes(4), rate=384_001), "has 384001 samples per second; 1 to 384000"),
    "a wrong frame": (a_wav(bytes(6), frame=3), "contradicts itself: 1 channels of 16 bits"),
    "a wrong byte rate": (a_wav(bytes(4), byte_rate=8000), "in frames of 2 bytes, 8000 bytes/s"),
    "nan": (
        a_wav(packed("f", 0, 0, 0, np.nan), tag=3, bits=32, channels=2),
        "frame 1 is nan; all samples must be finite",
    ),
    "infinite": (a_wav(packed("f", -np.inf), tag=3, bits=32), "frame 0 is -inf"),
    "beyond float32": (a_wav(packed("d", 0, 1e300), tag=3, bits=64), "frame 1 is inf"),
}


def message_of(path, call=read_wav):
    with pytest.raises(InputError) as caught:
        call(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("mistake", REFUSED)
def test_refused(tmp_path, mistake):
    content, reason = REFUSED[mistake]
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert reason in message_of(path)
    if "finite" not in reason and " is " not in reason:
        assert reason in message_of(path, wav_length)


def test_the_refused_have_no_other_fault(tmp_path):
    assert read(tmp_path, GOOD)[0].ravel().tolist() == [1 / 2**15, 2 / 2**15, 3 / 2**15]
    assert len(read(tmp_path, riffed(FORMAT, *[chunk(b"junk", b"")] * 998, DATA))[0]) == 3


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    (tmp_path / "link").symlink_to("nowhere")
    assert message_of(tmp_path / "pipe").endswith("not a regular file")
    assert message_of(tmp_path).endswith("not a regular file")
    assert message_of(tmp_path / "link").endswith("no such file")
    assert message_of(tmp_path / "gone").endswith("no such file")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def opened(self, mode):
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "a.wav").write_bytes(GOOD)
    monkeypatch.setattr(riff.Path, "open", opened)
    assert message_of(tmp_path / "a.wav").endswith("cannot be read (Permission denied)")


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(GOOD)
    monkeypatch.setattr(wav, "MOST_BYTES", 5)
    assert "has 6 bytes of samples, above the 5" in message_of(tmp_path / "a.wav")
    monkeypatch.setattr(wav, "MOST_BYTES", 6)
    assert wav_length(tmp_path / "a.wav") == (3, 8000)


def test_a_file_that_becomes_shorter():
    class Shrunk(io.BytesIO):
        def read(self, size=-1):
            return super().read(size - 1)

    with pytest.raises(riff.Damaged, match="became shorter"):
        riff.content(Shrunk(GOOD), riff.Chunk(b"data", 44, 6))
