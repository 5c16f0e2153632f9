"""Files of videos: what was written is read, and what is damaged or cut off is refused."""

import builtins
import io
import os
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageFile

from aigc_jax import pictures
from aigc_jax.data import video, video_decoders
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.video import VideoClips, measure_video, read_video, write_mp4
from aigc_jax.errors import InputError

T, H, W = 7, 10, 13
RNG = np.random.default_rng(1)
GREY = RNG.integers(256, size=(T, H, W, 1)).astype(np.uint8)
# A GIF's frame has 256 colours; Pillow's quantiser keeps these.
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
RGB = COLOURS[RNG.integers(5, size=(T, H, W))]


def saved(path, content):
    path.write_bytes(content)
    return path


def gif(frames, rate=10.0):
    return pictures.video(frames / 255, rate)


def film(frames=RGB, kind="mp4", codec="libx264", options=None, rate=10, muxer=None):
    """A file as FFmpeg writes it, scaled up to sides that codecs take."""
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.height, stream.width, stream.pix_fmt = 8 * H, 8 * W, "yuv420p"
        for image in frames.repeat(8, 1).repeat(8, 2):
            image = np.ascontiguousarray(np.broadcast_to(image, (8 * H, 8 * W, 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def message_of(path, read=read_video, **options):
    with pytest.raises(InputError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("frames", [GREY, RGB], ids=["grey", "RGB"])
@pytest.mark.parametrize("rate", [10.0, 25.0, 30.0])
def test_a_gif_is_read_as_it_was_written(tmp_path, frames, rate):
    found, seen = read_video(saved(tmp_path / "a.gif", gif(frames, rate)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, frames)
    assert seen == pytest.approx(rate, rel=0.02)  # 7 frames at 30 are 23 hundredths, not 23.3


@pytest.mark.parametrize("rate", [10.0, 30.0])
def test_equal_frames_that_a_gif_merges_are_as_many_again(tmp_path, rate):
    still = GREY[[0, 0, 0, 0, 0, 1, 2, 2, 3]]
    content = gif(still, rate)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 4
    found, seen = read_video(saved(tmp_path / "a.gif", content))
    np.testing.assert_array_equal(found, still)
    assert seen == pytest.approx(rate, rel=0.02)


def test_a_gifs_frame_is_laid_over_those_before(tmp_path):
    """Only what changes is stored, in a rectangle of its own."""
    frames = RGB[[0, 0, 0, 0]].copy()
    frames[1, 4:7, 3:9] = RGB[1, 4:7, 3:9]
    frames[2:, 2, 5] = [255, 255, 255]
    frames[2, 4:7, 3:9] = frames[1, 4:7, 3:9]
    content = gif(frames)
    _, place = content.split(b"\x2c\x03\x00\x04\x00", 1)
    assert struct.unpack("<HH", place[:4]) == (6, 3)
    np.testing.assert_array_equal(read_video(saved(tmp_path / "a.gif", content))[0], frames)


@pytest.mark.parametrize(("hundredths", "rate"), [(0, 10.0), (1, 100.0)])
def test_durations_of_none_and_of_one_hundredth(tmp_path, hundredths, rate):
    """Browsers play a GIF that names no durations at ten frames a second."""
    content = bytearray(gif(GREY))
    for i in range(len(content) - 8):
        if content[i : i + 3] == b"\x21\xf9\x04":
            content[i + 4 : i + 6] = bytes([hundredths, 0])
    found, seen = read_video(saved(tmp_path / "a.gif", bytes(content)))
    np.testing.assert_array_equal(found, GREY)
    assert seen == pytest.approx(rate)


def test_frames_are_the_first(tmp_path):
    path = saved(tmp_path / "a.gif", gif(GREY))
    np.testing.assert_array_equal(read_video(path, 3)[0], GREY[:3])
    assert measure_video(path) == pytest.approx((T, H, W, 10.0))
    assert measure_video(path, 4).frames == 4
    assert message_of(path, frames=8).endswith("has 7 frames; 8 are needed")
    assert "ask for at least 1" in message_of(path, frames=0)


def transparent():
    """In one place of all frames one sees what is behind."""
    rgba = np.concatenate([RGB, np.full_like(RGB[..., :1], 255)], -1)
    rgba[:, 4, 5] = 0
    images = [Image.fromarray(frame) for frame in rgba]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], disposal=2)
    return buffer.getvalue()


def images_of(content):
    """Where the image blocks of a GIF with a table of colours for each frame begin."""
    found, place = [], 13 + (3 << ((content[10] & 7) + 1) if content[10] & 128 else 0)
    while content[place] != 0x3B:
        if content[place] == 0x21:
            place += 2
        else:
            found.append(place)
            flags = content[place + 9]
            place += 11 + (3 << ((flags & 7) + 1) if flags & 128 else 0)
        while content[place]:
            place += content[place] + 1
        place += 1
    return found


def huge(content):
    return content[:6] + struct.pack("<HH", 60_000, 60_000) + content[10:]


def wider(content):
    place = images_of(content)[2]
    return content[: place + 5] + struct.pack("<H", W + 1) + content[place + 7 :]


def short(content):
    """The data of the last frame end after a few bytes, in good order."""
    place = images_of(content)[-1]
    flags = content[place + 9]
    place += 11 + (3 << ((flags & 7) + 1) if flags & 128 else 0)
    return content[:place] + bytes([9]) + content[place + 1 : place + 10] + b"\0\x3b"


GIF = gif(GREY)
GIFS = {
    "cut at the end marker": (GIF[:-1], "cannot be read (truncated)"),
    "cut between two frames": (GIF[: images_of(GIF)[4]], "cannot be read (truncated)"),
    "cut within a frame": (GIF[: images_of(GIF)[4] + 30], "cannot be read (truncated)"),
    "cut within the header": (GIF[:9], "cannot be read (truncated)"),
    "too little of a frame": (short(GIF), "cannot be read ("),
    "an unknown block": (GIF[: images_of(GIF)[4]] + b"\7" + bytes(99), "cannot be read (damaged)"),
    "no frames": (GIF[:10] + b"\0\0\0\x3b", "cannot be read (it has no frames)"),
    "another version": (b"GIF88a" + GIF[6:], "cannot be read (not a GIF)"),
    "huge": (huge(GIF), "60000×60000 pixels are more than"),
    "a wide frame": (wider(GIF), "a frame is larger than the picture"),
    "transparent": (transparent(), "has transparent pixels; put it on a background"),
}


@pytest.mark.parametrize("mistake", GIFS)
@pytest.mark.parametrize("read", [read_video, measure_video])
def test_gifs_that_cannot_be_used(tmp_path, monkeypatch, mistake, read):
    content, reason = GIFS[mistake]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as another library may
    assert reason in message_of(saved(tmp_path / "a.gif", content), read)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_gif_shown_for_days_takes_no_more_memory_than_is_allowed(tmp_path, monkeypatch):
    content = bytearray(GIF)
    place = content.rindex(b"\x21\xf9\x04")
    content[place + 4 : place + 6] = b"\xff\xff"  # the last frame, for eleven minutes
    path = saved(tmp_path / "a.gif", bytes(content))
    monkeypatch.setattr(video, "MOST_BYTES", 50 * H * W * 3)
    assert "read fewer frames" in message_of(path)
    assert read_video(path, 50)[0].shape == (50, H, W, 1)


def test_pipes_and_what_is_not_there_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.gif")
    for name in ("a.gif", "b.gif", "."):
        assert message_of(tmp_path / name).endswith("no such file")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(1, 10, 13), (3, 9, 16)], ids=["grey", "RGB"])
def test_an_mp4_shows_the_frames_it_was_made_of(tmp_path, shape, dtype):
    """To 6 of 255: brightness has 219 levels in it, and quantisation does the rest."""
    channels, height, width = shape
    frames = RGB[:, :height] if channels == 3 else GREY
    frames = np.pad(frames, ((0, 0), (0, 0), (0, width - W), (0, 0)))
    given = frames if dtype == np.uint8 else np.float32(frames / 255)
    path = saved(tmp_path / "a.mp4", write_mp4(given, 29.97))
    found, rate = read_video(path)
    scale = -(-256 // height)
    sides = [2 * -(-scale * n // 2) for n in (height, width)]
    assert found.shape == (T, *sides, channels)
    assert rate == 29.97
    assert measure_video(path) == (T, *sides, 29.97)
    centres = found[:, scale // 2 :: scale, scale // 2 :: scale].astype(int)
    assert np.abs(centres - frames).max() <= 6


def test_an_mp4_is_what_browsers_play(tmp_path):
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(write_mp4(RGB, 10))) as container:
        (stream,) = container.streams
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert (context.colorspace, context.color_range) == (5, 1)
        assert float(stream.duration * stream.time_base) == T / 10


def test_odd_sides_are_made_even_by_their_last_row_and_column(tmp_path):
    dark = np.zeros((2, 31, 33, 1), np.uint8)
    dark[:, -1] = dark[:, :, -1] = 255
    found, _ = read_video(saved(tmp_path / "a.mp4", write_mp4(dark, 5, scale=1)))
    assert found.shape == (2, 32, 34, 1)
    assert found[:, 30:].min() > 250
    assert found[:, :, 32:].min() > 250
    assert found[:, :29, :31].max() < 5


def test_an_mp4_of_values_beyond_the_range_is_clipped(tmp_path):
    flat = np.full((2, 8, 8, 1), 1.5)
    flat[:, :, :4] = -0.5
    found, _ = read_video(saved(tmp_path / "a.mp4", write_mp4(flat, 5)))
    assert (found[:, :, :120].max(), found[:, :, 136:].min()) == (0, 255)


@pytest.mark.parametrize(
    ("frames", "rate", "scale"),
    [
        (GREY[:0], 10, None),
        (GREY[..., 0], 10, None),
        (np.zeros((2, 8, 8, 4)), 10, None),
        (GREY, 0, None),
        (GREY, float("nan"), None),
        (GREY, 10, 0),
        (GREY, 10, 2000),
    ],
)
def test_what_is_no_video_is_not_written(frames, rate, scale):
    with pytest.raises(ValueError, match=r"MP4 needs|cannot be shown"):
        write_mp4(frames, rate, scale)


FILMS = {
    "webm": ("webm", "libvpx-vp9", {}),
    "vp8 with hidden frames": ("webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "5"}),
    "avi": ("avi", "mpeg4", {"q": "2"}),
    "mov": ("mov", "libx264", {}),
    "matroska": ("matroska", "libx264", {}),
}


@pytest.mark.parametrize("kind", FILMS)
def test_other_films_are_read(tmp_path, kind):
    muxer, codec, options = FILMS[kind]
    found, rate = read_video(saved(tmp_path / "a", film(RGB, muxer, codec, options, rate=15)))
    assert found.shape == (T, 8 * H, 8 * W, 3)
    assert rate == 15
    # Colours at a quarter of the resolution, at these codecs' usual quality.
    assert np.abs(found[:, 4::8, 4::8].astype(int) - RGB).mean() < 12


def test_a_film_is_turned_as_a_player_shows_it(tmp_path):
    flat = np.zeros((2, H, W, 3), np.uint8)
    flat[:, :3, :3] = 255
    content = film(flat)
    upright, _ = read_video(saved(tmp_path / "a.mp4", content))
    place = content.index(b"tkhd") + 44
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    turned, _ = read_video(
        saved(tmp_path / "b.mp4", content[:place] + clockwise + content[place + 36 :])
    )
    np.testing.assert_array_equal(turned, np.rot90(upright, -1, (1, 2)))
    assert upright[0, 4, 4] == 255
    assert turned[0, 4, -4] == 255


def cut(content):
    return content[: 2 * len(content) // 3]


WRONG = {
    "empty": lambda: b"",
    "text": lambda: b"hello",
    "png": lambda: pictures.image_grid(RGB[None, :1] / 255),
    "truncated mp4": lambda: film()[:-100],
    "mp4 that was cut": lambda: cut(film(muxer={"movflags": "frag_keyframe+empty_moov"})),
    "webm that was cut": lambda: cut(film(RGB, *FILMS["webm"])),
    "avi that was cut": lambda: cut(film(RGB, *FILMS["avi"])),
    "another format": lambda: film(kind="yuv4mpegpipe", codec="wrapped_avframe"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_films_that_cannot_be_used(tmp_path, mistake):
    assert message_of(saved(tmp_path / "a.mp4", WRONG[mistake]())).count("a.mp4") == 1


def test_damaged_pictures_are_told_from_others(tmp_path):
    """Not always, as what is overwritten may be another picture's code: in 27 of 29 places."""
    content, told = film(), 0
    first, last = content.index(b"mdat") + 900, content.index(b"moov") - 100  # behind comments
    for place in np.linspace(first, last, 10).astype(int):
        path = saved(tmp_path / "a.mp4", content[:place] + b"\xff" * 60 + content[place + 60 :])
        try:
            read_video(path)
        except InputError as error:
            told += "damaged" in str(error) or "cannot be read" in str(error)
    assert told >= 7


def test_a_webm_that_ends_early_is_said_to(tmp_path):
    content = film(RGB, *FILMS["webm"])
    found = message_of(saved(tmp_path / "a.webm", cut(content)))
    assert "truncated: its last 0." in found


def test_a_film_without_pictures(tmp_path):
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    assert message_of(saved(tmp_path / "a.mkv", buffer.getvalue())).endswith("has no pictures")


def test_the_size_of_a_film_is_checked_before_it_is_decoded(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.mp4", film())
    monkeypatch.setattr(video_decoders, "MOST_PIXELS", 64 * H * W - 1)
    monkeypatch.setattr(video_decoders, "_decoded", None)
    assert "104×80 pixels are more than" in message_of(path)


def test_films_need_a_package_and_gifs_do_not(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    content = film()
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"pip install 'aigc_jax\[video\]'"):
        read_video(saved(tmp_path / "a.mp4", content))
    with pytest.raises(InputError, match=r"pip install 'aigc_jax\[video\]'"):
        write_mp4(GREY, 10)
    assert len(read_video(saved(tmp_path / "a.gif", GIF))[0]) == T


def test_a_build_without_an_encoder_is_told(monkeypatch):
    monkeypatch.setattr(video, "_ENCODER", "none_such")
    with pytest.raises(InputError, match=r"no H\.264 encoder"):
        write_mp4(GREY, 10)


def test_the_fingerprint_of_clips_tells_their_parts_and_labels():
    clips = np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3, 1)
    labels, heldout = np.int32([[0], [1], [1]]), np.int32([[0]])
    attributes = (Attribute("class", ("walk", "run")),)
    data = VideoClips("a", 10.0, clips[:3], clips[3:], labels, heldout, attributes)
    others = [
        VideoClips("a", 10.0, clips[:2], clips[2:], labels, heldout),
        VideoClips("a", 10.0, clips[1:], clips[:1], labels, heldout),
        VideoClips("a", 10.0, clips[:3], clips[3:], 1 - labels, heldout),
        VideoClips("a", 10.0, clips[:3], clips[3:], labels, 1 - heldout),
        VideoClips("a", 10.0, clips[:3], clips[3:]),
        VideoClips("a", 10.0, clips[:3].reshape(3, 2, 3, 2, 1), clips[3:], labels, heldout),
    ]
    assert data.unit == "videos"
    assert data.fingerprint() == VideoClips("b", 5.0, *data_parts(data)).fingerprint()
    assert len({x.fingerprint() for x in (data, *others)}) == 7


def data_parts(data):
    return data.train, data.heldout, data.train_labels, data.heldout_labels
