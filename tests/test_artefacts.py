"""Each kind of artefact, read back from its file, and how a page embeds it."""

import base64
import io
import re
import wave

import numpy as np
import pytest
from PIL import Image

from aigc_jax.artefacts import KINDS, Animation, Picture, Sound, Text, Video
from aigc_jax.pictures import image_grid

RATE = 8000


def heard(wav):
    """The samples `[T, C]` of a WAV file in [−1, 1], and its rate."""
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getsampwidth() == 2
        content = file.readframes(file.getnframes())
        samples = np.frombuffer(content, "<i2").reshape(-1, file.getnchannels())
        return samples / (2**15 - 1), file.getframerate()


def frames_of(gif):
    """The frames of a GIF as RGB, and the milliseconds at which each begins and the last ends."""
    with Image.open(io.BytesIO(gif)) as image:
        assert image.format == "GIF"
        frames, times = [], [0]
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            times.append(times[-1] + image.info["duration"])
        return np.stack(frames), times


def sine(frequency, seconds=0.5):
    return 0.8 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def frequency_of(samples):
    """The frequency, in Hz, of which there is most."""
    return np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples)


def test_a_sine_keeps_its_frequency_its_level_and_its_length():
    samples, rate = heard(Sound(np.float32(sine(440)), RATE).encode())
    assert (samples.shape, rate) == ((4000, 1), RATE)
    assert frequency_of(samples[:, 0]) == 440
    np.testing.assert_allclose(samples[:, 0], sine(440), atol=0.51 / (2**15 - 1))


def test_channels_keep_their_places():
    both = np.stack([sine(440), sine(1000)], 1)
    samples, _ = heard(Sound(both, RATE).encode())
    assert [frequency_of(channel) for channel in samples.T] == [440, 1000]


def test_what_is_too_loud_is_clipped_and_does_not_wrap():
    samples, _ = heard(Sound(np.array([-3.0, -1.0, 0.0, 1.0, 1.5]), RATE).encode())
    assert samples[:, 0].tolist() == [-1, -1, 0, 1, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_video_shows_each_frame_in_its_time(channels):
    # Of 256 colours at most, which is what a frame of a GIF may have.
    values = np.random.default_rng(0).integers(4, size=(8, 5, 6, channels)) / 3
    frames, times = frames_of(Video(values, 8).encode())
    np.testing.assert_array_equal(frames, np.broadcast_to(np.rint(255 * values), (8, 5, 6, 3)))
    # Eighths of a second, each rounded to the nearest hundredth (the even one of two).
    assert times == [0, 120, 250, 380, 500, 620, 750, 880, 1000]


@pytest.mark.parametrize("rate", [1, 7.5, 24, 29.97, 50])
def test_a_long_video_does_not_drift(rate):
    values = np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1) / 255
    frames, times = frames_of(Video(values, rate).encode())
    assert len(frames) == 100
    np.testing.assert_allclose(times, 1000 * np.arange(101) / rate, atol=5.01)


@pytest.mark.parametrize(("count", "rate"), [(0, 10), (3, 0), (3, -1), (3, 51)])
def test_a_video_without_frames_or_at_an_impossible_rate_is_refused(count, rate):
    with pytest.raises(ValueError, match=f"got {count} frames and a rate of {rate}"):
        Video(np.zeros((count, 2, 2, 1)), rate).encode()


PNGS = [image_grid(np.full((1, 1, 2, 2, 1), shade)) for shade in (0.0, 0.4, 1.0)]


def test_an_animation_shows_its_pictures_in_turn():
    frames, times = frames_of(Animation(PNGS, 0.25).encode())
    assert frames[:, 0, 0, 0].tolist() == [0, 102, 255]
    assert times == [0, 250, 500, 2500]


def test_a_picture_is_a_grid():
    images = np.linspace(0, 1, 6).reshape(1, 3, 1, 2, 1)
    assert Picture(images).encode() == image_grid(images)


@pytest.mark.parametrize("text", ["", "a\r\nb\n", "é ✓ </pre>"])
def test_a_text_is_utf_8(text):
    assert Text(text).encode().decode() == text


def test_a_byte_that_is_not_utf_8_is_escaped():
    assert Text("caf\udce9").encode() == rb"caf\udce9"


@pytest.mark.parametrize(
    ("artefact", "suffix", "tag", "media_type"),
    [
        (Picture(np.zeros((1, 1, 2, 2, 1))), ".png", "img", "image/png"),
        (Animation(PNGS, 0.1), ".gif", "img", "image/gif"),
        (Video(np.zeros((2, 2, 2, 3)), 10), ".gif", "img", "image/gif"),
        (Sound(np.zeros(8), RATE), ".wav", "audio", "audio/wav"),
    ],
)
def test_a_file_is_embedded_whole_by_its_suffix(artefact, suffix, tag, media_type):
    assert artefact.suffix == suffix
    content = artefact.encode()
    element = KINDS[suffix].embed(content, "what it is")
    assert element.startswith(f"<{tag} ")
    (found,) = re.findall(rf'src="data:{media_type};base64,([^"]*)"', element)
    assert base64.b64decode(found) == content


def test_a_text_is_embedded_as_it_is_written_and_not_obeyed():
    assert KINDS[".txt"].embed(b"1 <b>\n2", "what it is") == "<pre>1 &lt;b&gt;\n2</pre>"
