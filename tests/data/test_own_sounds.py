"""Sounds of the user's own: what loads, and each mistake as one line that names the file."""

import os
import sys

import numpy as np
import pytest

from aigc_jax.artefacts import Sound
from aigc_jax.data import audio, own_sounds
from aigc_jax.data.own_sounds import load_own_sounds
from aigc_jax.errors import InputError

COUNT = 30
TONES = [400 * (i + 1) * np.ones(50 + i, np.int64) for i in range(COUNT)]  # flat: easy to tell


def write(path, samples, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Sound(np.asarray(samples) / (2**15 - 1), rate).encode())


def folder(path, name="{:02}.wav"):
    for i, samples in enumerate(TONES):
        write(path / name.format(i), samples)
    return str(path)


def together(sounds):
    """All clips in the order in which they were given, and their labels."""
    order = np.random.default_rng(COUNT).permutation(COUNT)
    clips = np.concatenate([sounds.train, sounds.heldout])
    given = np.empty_like(clips)
    given[order] = clips
    if sounds.train_labels is None:
        return given, None
    labels = np.empty((COUNT, 1), int)
    labels[order] = np.concatenate([sounds.train_labels, sounds.heldout_labels])
    return given, labels[:, 0]


def expected(length):
    clips = np.zeros((COUNT, length), np.int16)
    for clip, samples in zip(clips, TONES, strict=True):
        clip[: len(samples)] = samples[:length]
    return clips


def test_a_folder_loads_in_the_order_of_its_names(tmp_path):
    sounds = load_own_sounds(folder(tmp_path / "cats"), normalise=False)
    assert (sounds.name, sounds.rate, sounds.attributes) == ("cats", 8000, ())
    assert sounds.train.dtype == sounds.heldout.dtype == np.int16
    assert len(sounds.heldout) == 3
    given, labels = together(sounds)
    np.testing.assert_array_equal(given, expected(1024))
    assert labels is None
    assert sounds.heldout_labels is None


def test_the_split_does_not_change(tmp_path):
    # That of own_images, as first drawn with NumPy 2.4.
    for i in range(20):
        write(tmp_path / f"{i:02}.wav", [i])
    assert load_own_sounds(str(tmp_path), normalise=False).heldout[:, 0].tolist() == [17, 11]


def test_subfolders_are_values_of_class(tmp_path):
    for i, samples in enumerate(TONES):
        write(tmp_path / "bac"[i % 3] / f"{i:02}.wav", samples)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"\0")
    sounds = load_own_sounds(str(tmp_path), normalise=False)
    assert sounds.attributes == (("class", ("a", "b", "c")),)
    assert sounds.train_labels.dtype == np.int32
    given, labels = together(sounds)
    order = [*range(1, 30, 3), *range(0, 30, 3), *range(2, 30, 3)]
    np.testing.assert_array_equal(given, expected(1024)[order])
    assert labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_every_clip_is_brought_to_the_level(tmp_path):
    given, _ = together(load_own_sounds(folder(tmp_path)))
    rms = [
        np.sqrt(np.square(x[: len(s)] / 2**15).mean()) for x, s in zip(given, TONES, strict=True)
    ]
    np.testing.assert_allclose(rms, 10 ** (audio.LEVEL / 20), atol=2**-15)


def test_seconds_and_rate(tmp_path):
    for i in range(20):
        write(tmp_path / f"{i:02}.WAV", np.full((1000, 2), [3000, 1000]), rate=16000)
    sounds = load_own_sounds(str(tmp_path), rate=4000, seconds=0.0301, normalise=False)
    assert sounds.rate == 4000
    assert sounds.train.shape == (18, 120)
    assert (abs(sounds.train[:, 15:] - 2000) < 10).all()  # beyond the filter's onset


@pytest.mark.parametrize(("long", "length"), [(1, 2048), (2, 4096)])
def test_the_length_holds_99_clips_of_100_whole(tmp_path, long, length):
    for i in range(100):
        write(tmp_path / f"{i:02}.wav", np.ones(4000 if i < long else 1025))
    assert load_own_sounds(str(tmp_path)).train.shape == (90, length)


def test_the_length_is_counted_at_the_rate_of_the_clips(tmp_path):
    for i in range(20):
        write(tmp_path / f"{i:02}.wav", np.ones(1024), rate=4000)
    assert load_own_sounds(str(tmp_path)).train.shape == (18, 2048)


def message_of(path, **options):
    with pytest.raises(InputError) as caught:
        load_own_sounds(str(path), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FOLDERS = {
    "empty": ([], "", "holds no sounds"),
    "hidden files alone": ([".a.wav"], "", "holds no sounds"),
    "nested": (["a/b/0.wav"], "a/b", "not a WAV, FLAC, Ogg or MP3 file; move it elsewhere"),
    "mixed": (["00.wav", "a/00.wav"], "", "has a file (00.wav) beside a subfolder (a)"),
    "stray file": (["00.wav", "notes.txt"], "notes.txt", "not a WAV, FLAC, Ogg or MP3 file"),
    "empty class": (["a/00.wav", "b/.hidden"], "b", "holds no sounds"),
    "19": ([f"{i}.wav" for i in range(19)], "", "holds 19 sounds; at least 20 are needed"),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_folders(tmp_path, mistake):
    files, named, reason = FOLDERS[mistake]
    for file in files:
        write(tmp_path / file, [1, 2])
    message = message_of(tmp_path)
    assert message.startswith(f"{tmp_path / named}: ")
    assert reason in message


def test_a_damaged_file_is_named(tmp_path):
    folder(tmp_path)
    file = tmp_path / "17.wav"
    file.write_bytes(file.read_bytes()[:-1])
    assert message_of(tmp_path).startswith(f"{file}: its header announces")
    assert message_of(tmp_path, seconds=1).startswith(f"{file}: its header announces")


def test_neither_pipes_nor_links_to_nowhere(tmp_path):
    folder(tmp_path)
    os.mkfifo(tmp_path / "30.wav")
    assert message_of(tmp_path).startswith(f"{tmp_path / '30.wav'}: not a WAV")
    (tmp_path / "30.wav").unlink()
    (tmp_path / "30.wav").symlink_to("nowhere")
    assert message_of(tmp_path).startswith(f"{tmp_path / '30.wav'}: not a WAV")


def test_what_is_no_folder(tmp_path):
    write(tmp_path / "a.wav", [1])
    assert message_of(tmp_path / "a.wav") == f"{tmp_path / 'a.wav'}: no such folder"
    assert message_of(tmp_path / "gone") == f"{tmp_path / 'gone'}: no such folder"
    assert "--sounds is empty" in message_of("")


@pytest.mark.parametrize("seconds", [0, -1, 1e-9, np.nan, np.inf])
def test_lengths_without_a_sample(tmp_path, seconds):
    assert "have no samples; choose more than 0" in message_of(folder(tmp_path), seconds=seconds)


@pytest.mark.parametrize("rate", [0, -8000, 384_001])
def test_rates(tmp_path, rate):
    assert f"a rate of {rate} samples per second" in message_of(folder(tmp_path), rate=rate)


def test_what_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MOST_BYTES", 2 * COUNT * 1024 - 1)
    assert message_of(folder(tmp_path)).startswith(f"{tmp_path}: its samples would take")

    def empty(shape, dtype):
        raise MemoryError

    monkeypatch.undo()
    monkeypatch.setattr(own_sounds.np, "empty", empty)
    assert message_of(tmp_path) == f"{tmp_path}: its sounds do not fit into memory"


def test_a_compressed_file_without_its_reader(tmp_path, monkeypatch):
    folder(tmp_path)
    (tmp_path / "30.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert message_of(tmp_path).startswith(
        f"{tmp_path / '30.flac'}: reading it needs the soundfile"
    )


class TestCompressed:
    @pytest.fixture(autouse=True)
    def soundfile(self):
        return pytest.importorskip("soundfile")

    @pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".FLAC"])
    def test_it_loads(self, tmp_path, soundfile, suffix):
        folder(tmp_path)
        wave = 0.5 * np.sin(np.arange(900) / 5)
        soundfile.write(tmp_path / f"17{suffix}", wave, 8000, format=suffix[1:].upper())
        (tmp_path / "17.wav").unlink()
        given, _ = together(load_own_sounds(str(tmp_path), normalise=False))
        off = np.abs(given[17, 100:800] / 2**15 - wave[100:800]).max()
        assert off < (2**-15 if suffix.lower() == ".flac" else 0.1)

    @pytest.mark.parametrize("content", ["cut", "empty", "text"])
    def test_damage_is_told(self, tmp_path, soundfile, content):
        folder(tmp_path)
        file = tmp_path / "17.flac"
        soundfile.write(file, np.sin(np.arange(9000) / 5), 8000)
        whole = file.read_bytes()
        file.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}[content])
        assert message_of(tmp_path).startswith(f"{file}: cannot be read (")
