"""The user's own videos: folders and .npz files, and what cannot be used of them."""

import os

import numpy as np
import pytest

from aigc_jax import pictures
from aigc_jax.data import own_images, own_videos
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.own_videos import load_own_videos
from aigc_jax.data.video import write_mp4
from aigc_jax.errors import InputError

M, T, H, W = 30, 5, 6, 4
RNG = np.random.default_rng(1)
GREY = RNG.integers(256, size=(M, T, H, W, 1)).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
RGB = COLOURS[RNG.integers(5, size=(M, T, H, W))]
ORDER = np.random.default_rng(M).permutation(M)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def save(file, clip, rate=10.0):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pictures.video(clip / 255, rate))


def folder(path, clips=GREY, rate=10.0):
    """Numbered GIFs."""
    for i, clip in enumerate(clips):
        save(path / f"{i:02}.gif", clip, rate)
    return path


def in_order(data):
    """All clips in the order in which they were given, and their labels."""
    both = np.concatenate([data.train, data.heldout])
    given = np.empty_like(both)
    given[ORDER] = both
    if data.train_labels is None:
        return given, None
    labels = np.empty((M, data.train_labels.shape[1]), int)
    labels[ORDER] = np.concatenate([data.train_labels, data.heldout_labels])
    return given, labels


def message_of(path, frames=None):
    with pytest.raises(InputError) as caught:
        load_own_videos(str(path), frames)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("given", [RGB, GREY, GREY[..., 0]], ids=np.shape)
def test_an_npz_loads_as_it_was_saved(tmp_path, given):
    data = load_own_videos(str(npz(tmp_path / "cats.npz", videos=given, other=[1.5])))
    assert (data.name, data.unit, data.rate) == ("cats", "videos", 10.0)
    assert data.train.dtype == data.heldout.dtype == np.uint8
    assert len(data.heldout) == 3
    assert (data.train_labels, data.heldout_labels, data.attributes) == (None, None, ())
    np.testing.assert_array_equal(in_order(data)[0], given.reshape(M, T, H, W, -1))


def test_the_split_is_that_of_images(tmp_path):
    images = own_images.load_own_images(str(npz(tmp_path / "a.npz", images=GREY[:, 0])))
    data = load_own_videos(str(npz(tmp_path / "b.npz", videos=GREY)))
    np.testing.assert_array_equal(data.train[:, 0], images.train)
    np.testing.assert_array_equal(data.heldout[:, 0], images.heldout)


def test_an_npz_may_name_its_rate_and_several_labels(tmp_path):
    labels = np.stack([RNG.permutation(np.arange(M) % 4), RNG.permutation(np.arange(M) % 2)], 1)
    path = npz(tmp_path / "a.npz", videos=GREY, labels=labels, rate=12)
    data = load_own_videos(str(path))
    assert data.rate == 12.0
    assert data.train_labels.dtype == data.heldout_labels.dtype == np.int32
    given, found = in_order(data)
    np.testing.assert_array_equal(given, GREY)
    np.testing.assert_array_equal(found, labels)
    expected = Attribute("label0", ("0", "1", "2", "3")), Attribute("label1", ("0", "1"))
    assert data.attributes == expected
    one = load_own_videos(str(npz(path, videos=GREY, labels=labels[:, 1])))
    np.testing.assert_array_equal(in_order(one)[1], labels[:, 1:])
    assert one.attributes == (Attribute("class", ("0", "1")),)


def test_videos_of_an_npz_are_cut_at_their_end(tmp_path):
    path = npz(tmp_path / "a.npz", videos=RGB)
    np.testing.assert_array_equal(in_order(load_own_videos(str(path), 3))[0], RGB[:, :3])
    assert message_of(path, 6) == f"{path}: has 5 frames; at least 6 are needed"


def test_subfolders_are_classes_and_hidden_files_are_skipped(tmp_path):
    for i, clip in enumerate(GREY):
        save(tmp_path / ("walk", "run", "sit")[i % 3] / f"{i:02}.gif", clip, 8)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "run" / "Thumbs.db").write_bytes(b"\0")
    data = load_own_videos(str(tmp_path))
    given, labels = in_order(data)
    np.testing.assert_array_equal(given, np.concatenate([GREY[1::3], GREY[2::3], GREY[::3]]))
    assert labels.ravel().tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert data.attributes == (Attribute("class", ("run", "sit", "walk")),)
    assert data.rate == pytest.approx(8, rel=0.01)


def test_clips_are_cut_to_the_shortest_or_to_what_is_asked_for(tmp_path):
    folder(tmp_path / "cats")
    save(tmp_path / "cats" / "17.gif", GREY[17, :3])
    data = load_own_videos(str(tmp_path / "cats"))
    assert (data.name, data.attributes) == ("cats", ())
    given, labels = in_order(data)
    np.testing.assert_array_equal(given, GREY[:, :3])
    assert labels is None
    assert load_own_videos(str(tmp_path / "cats"), 2).train.shape == (27, 2, H, W, 1)
    path = tmp_path / "cats" / "17.gif"
    assert message_of(path.parent, 4) == f"{path}: has 3 frames; at least 4 are needed"
    save(path, GREY[17, :1])
    assert message_of(path.parent) == f"{path}: has 1 frames; at least 2 are needed"


def test_grey_clips_give_one_channel_until_one_of_colour_makes_it_three(tmp_path):
    save(folder(tmp_path) / "17.gif", RGB[17])
    expected = np.repeat(GREY, 3, -1)
    expected[17] = RGB[17]
    np.testing.assert_array_equal(in_order(load_own_videos(str(tmp_path)))[0], expected)


def test_gifs_and_mp4s_may_be_mixed(tmp_path):
    pytest.importorskip("av")
    large = GREY.repeat(4, 2).repeat(4, 3)  # even, as an MP4's sides are
    folder(tmp_path, large)
    (tmp_path / "17.gif").rename(tmp_path / "17.txt")
    wanted = ".gif, .mp4, .m4v, .mov, .webm, .mkv or .avi"
    assert message_of(tmp_path).endswith(f"17.txt: not a {wanted} file; move it elsewhere")
    (tmp_path / "17.txt").unlink()
    (tmp_path / "17.MP4").write_bytes(write_mp4(large[17], 10, scale=1))
    given = in_order(load_own_videos(str(tmp_path)))[0].astype(int)
    np.testing.assert_array_equal(np.delete(given, 17, 0), np.delete(large, 17, 0))
    assert np.abs(given[17] - large[17]).mean() < 6


MUST, LABELS = "'videos' must be uint8 [M, T, H, W], ", "'labels' must be integers [30] or [30, A]"
ARRAYS = {
    "no videos": ({"x": RGB}, "no array 'videos'; it holds 'x'"),
    "floats": ({"videos": RGB / 255}, MUST),
    "images": ({"videos": RGB[:, 0, 0]}, "and is uint8 [30, 4, 3]"),
    "alpha": ({"videos": np.concatenate([RGB, RGB[..., :1]], 4)}, "and is uint8 [30, 5, 6, 4, 4]"),
    "few": ({"videos": RGB[:19]}, "holds 19 videos; at least 20 are needed"),
    "one frame": ({"videos": RGB[:, :1]}, "has 1 frames; at least 2 are needed"),
    "no pixels": ({"videos": RGB[:, :, :0]}, "no pixels: it is uint8 [30, 5, 0, 4, 3]"),
    "too few labels": ({"labels": np.arange(29)}, f"{LABELS}, and is int64 [29]"),
    "float labels": ({"labels": np.ones(30)}, f"{LABELS}, and is float64"),
    "labels of three axes": ({"labels": np.ones((30, 1, 1), int)}, LABELS),
    "labels of nothing": ({"labels": np.ones((30, 0), int)}, "from 0 to 65535, and are none"),
    "negative labels": ({"labels": np.arange(30) - 1}, "from 0 to 65535, and are -1 to 28"),
    "large labels": ({"labels": np.full(30, 65536)}, "are 65536 to 65536"),
    "two rates": ({"rate": [10, 20], "videos": RGB}, "'rate' must be one positive number"),
    "no rate": ({"rate": 0.0, "videos": RGB}, "'rate' must be one positive number"),
    "infinite rate": ({"rate": np.inf, "videos": RGB}, "'rate' must be one positive number"),
    "rate in words": ({"rate": "ten", "videos": RGB}, "'rate' must be one positive number"),
    "objects": ({"videos": np.array([RGB[0], None] * 15, object)}, "which are never unpickled"),
}


@pytest.mark.parametrize("mistake", ARRAYS)
def test_arrays_that_cannot_be_used(tmp_path, mistake):
    arrays, reason = ARRAYS[mistake]
    if "labels" in arrays:
        arrays = {"videos": RGB, **arrays}
    path = npz(tmp_path / "cats.npz", **arrays)
    message = message_of(path)
    assert message.startswith(f"{path}: ")
    assert reason in message


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4" + bytes(99)])
def test_files_that_are_no_npz(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert "not an .npz file, or damaged" in message_of(tmp_path / "a.npz")


def test_paths_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "gone", "/dev/null"):
        assert message_of(path) == f"{path}: no such file or folder"
    assert "--videos is empty" in message_of("")
    assert "at least 2 frames; 1 were asked for" in message_of(tmp_path, 1)


FOLDERS = {
    "empty": ([], "", "holds no videos"),
    "hidden files alone": ([".a.gif"], "", "holds no videos"),
    "mixed": (["00.gif", "a/00.gif"], "", "has a file (00.gif) beside a subfolder (a)"),
    "stray file": (["00.gif", "notes.txt"], "notes.txt", "not a .gif, .mp4,"),
    "nested": (["a/b/0.gif"], "a/b", "not a .gif, .mp4,"),
    "empty class": (["a/00.gif", "b/.hidden"], "b", "holds no videos"),
    "19": ([f"{i}.gif" for i in range(19)], "", "holds 19 videos; at least 20 are needed"),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_folders_that_cannot_be_used(tmp_path, mistake):
    files, named, reason = FOLDERS[mistake]
    for file in files:
        save(tmp_path / file, GREY[0])
    message = message_of(tmp_path)
    assert message.startswith(f"{tmp_path / named}: ")
    assert reason in message


def test_a_pipe_among_the_files(tmp_path):
    os.mkfifo(folder(tmp_path) / "30.gif")
    assert message_of(tmp_path).startswith(f"{tmp_path / '30.gif'}: not a .gif")


@pytest.mark.parametrize("name", ["00.gif", "17.gif"])
def test_a_damaged_clip_is_named(tmp_path, name):
    path = folder(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-1])
    assert message_of(tmp_path) == f"{path}: cannot be read (truncated)"


def test_clips_of_another_size_or_rate(tmp_path):
    path, first = folder(tmp_path) / "17.gif", tmp_path / "00.gif"
    save(path, GREY[17].swapaxes(1, 2))
    sizes = f"6×4 pixels, and {first} has 4×6; all must be of one size"
    assert message_of(tmp_path) == f"{path}: has {sizes}"
    save(path, GREY[17], 12.5)
    rates = f"12.5 frames a second, and {first} has 10; all must be of one rate"
    assert message_of(tmp_path) == f"{path}: has {rates}"
    folder(tmp_path, GREY, 25.0)
    save(path, GREY[17], 24.0)
    assert load_own_videos(str(tmp_path)).rate == 25.0


def test_the_memory_is_checked_before_any_clip_is_kept(tmp_path, monkeypatch):
    folder(tmp_path)
    monkeypatch.setattr(own_videos, "MOST_BYTES", GREY.nbytes - 1)
    with monkeypatch.context() as patched:
        patched.setattr(own_videos, "read_video", None)
        assert message_of(tmp_path).startswith(f"{tmp_path}: its pixels would take")
    monkeypatch.setattr(own_videos, "MOST_BYTES", GREY.nbytes)
    assert len(load_own_videos(str(tmp_path)).train) == 27
    save(tmp_path / "17.gif", RGB[17])
    assert message_of(tmp_path).startswith(f"{tmp_path}: its pixels would take")


def test_what_does_not_fit_into_the_memory(tmp_path, monkeypatch):
    def empty(shape, dtype):
        raise MemoryError(f"Unable to allocate {shape}")

    folder(tmp_path)
    monkeypatch.setattr(own_videos.np, "empty", empty)
    assert message_of(tmp_path) == f"{tmp_path}: its videos do not fit into memory"
