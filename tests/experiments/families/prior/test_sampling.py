"""What the command line asks a prior for: labels by name, a prompt's file, a file to write."""

import io
import sys
import wave
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_codecs
from PIL import Image

from aigc_jax.codec import coder_of
from aigc_jax.data.video import read_video
from aigc_jax.errors import InputError
from experiments.data.signals import floats
from experiments.families.codec import filing
from experiments.families.prior import sampling

DIGITS = [["digit", ["zero", "one", "two"]], ["speaker", ["theo", "7", "0"]]]


SAID = {"tokens": 9, "examples": ["one dog", "a cat", "two"]}


def told(attributes=DIGITS, labelled=True, captions=None):
    return SimpleNamespace(
        metadata={"attributes": attributes, **({"captions": captions} if captions else {})},
        options=SimpleNamespace(
            labelled=labelled and not captions, captions="files" if captions else None
        ),
        folder=SimpleNamespace(path="runs/mine"),
    )


def test_labels_by_name_number_or_left_open():
    found = sampling.labels_of(told(), ["one:theo", "2:1", "?:7", "0:0"], 6)
    # A name counts before a number: "7" and "0" are values of the speaker.
    expected = [[1, 0], [2, 1], [-1, 1], [0, 2], [1, 0], [2, 1]]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_without_labels_all_of_them_in_turn_or_none_of_a_prior_that_knows_none():
    found = sampling.labels_of(told(), None, 5)
    np.testing.assert_array_equal(found, [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1]])
    assert sampling.labels_of(told(labelled=False), None, 5) is None
    assert sampling.labels_of(told(captions=SAID), None, 5) is None
    assert sampling.labels_of(told([]), None, 5) is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["one"], "takes DIGIT:SPEAKER, such as zero:theo; got 'one'"),
        ([], "takes DIGIT:SPEAKER, such as zero:theo; got ''"),
        (["one:theo", "one:theo:2"], "takes DIGIT:SPEAKER"),
        (["three:theo"], "'three' is no digit; choose one of zero, one, two"),
        (["3:theo"], "'3' is no digit"),
        (["-1:theo"], "'-1' is no digit"),
        (["1:3"], "'3' is no speaker; choose one of theo, 7, 0"),
        (["9" * 5000 + ":theo"], "is no digit"),
    ],
)
def test_what_is_no_label_of_the_data_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        sampling.labels_of(told(), asked, 4)


@pytest.mark.parametrize("run", [told(labelled=False), told([])])
def test_a_prior_that_knows_no_labels_is_asked_for_none(run):
    with pytest.raises(InputError, match="--labels is for priors that were told labels; not the r"):
        sampling.labels_of(run, ["1"], 4)


def test_a_prior_that_knows_captions_is_asked_for_no_labels():
    with pytest.raises(InputError, match="not the run in runs/mine; give it a --caption"):
        sampling.labels_of(told(captions=SAID), ["1:theo"], 4)


def test_captions_come_in_turn_or_are_those_that_the_run_keeps():
    run = told(captions=SAID)
    found = sampling.captions_of(run, ["a dog, or two", ""], 3)
    assert found == ("a dog, or two", "", "a dog, or two")
    assert sampling.captions_of(run, None, 4) == ("one dog", "a cat", "two", "one dog")
    assert sampling.captions_of(told(), None, 4) is None
    source = sampling.source_of(run, ["ab", ""])
    np.testing.assert_array_equal(source.tokens[:, :3], [[97, 98, 256], [256, 0, 0]])
    np.testing.assert_array_equal(source.segments.sum(1), [3, 1])
    assert source.tokens.shape == (2, 9)
    assert sampling.source_of(told(), None) is None


@pytest.mark.parametrize(
    ("run", "asked", "message"),
    [
        (told(), ["a cat"], "--caption is for priors that were told captions; not the run in runs"),
        (
            told(captions=SAID),
            ["nine long"],
            "--caption: a caption of 9 bytes is longer than the 8",
        ),
        (told(captions=SAID), ["a\udcff"], "--caption: not UTF-8"),
    ],
)
def test_captions_that_a_prior_cannot_read_are_refused(run, asked, message):
    with pytest.raises(InputError, match=message):
        sampling.source_of(run, sampling.captions_of(run, asked, 2))


@pytest.fixture
def prompts(monkeypatch, tmp_path):
    """`prompts(medium, *sides)`: of a file of these sides, what it holds and the prompt it is."""

    def of(medium, *sides):
        run = tiny_codecs.run_of(medium)
        monkeypatch.setattr(sampling, "codec_of", lambda metadata: run.algorithm)
        state = SimpleNamespace(coder=coder_of(run.state))
        rng = np.random.default_rng(0)
        signal = rng.integers(256, size=(*sides, 1)).astype(np.uint8)
        if medium == "audio":
            signal = (100 * signal.astype(int) - 10_000).astype(np.int16)
        path = tmp_path / f"prompt{filing.WRITTEN[medium]}"
        path.write_bytes(filing.content(signal, run.metadata))
        prior = SimpleNamespace(metadata=run.metadata, state=state)
        expected = np.asarray(run.algorithm.encode(state.coder, floats(signal[None])))
        return expected, sampling.prompt_of(prior, str(path), 3)

    return of


@pytest.mark.parametrize(
    ("medium", "sides", "whole"),
    [
        ("audio", (64,), 1),
        ("audio", (191,), 2),  # of which the last 63 samples are no whole code
        ("audio", (999,), 15),  # the sixteenth code would be of 40 samples, 64 of which are no more
        ("video", (2, 6, 7), 1),
        ("video", (3, 6, 7), 1),
        ("video", (4, 6, 7), 2),
    ],
)
def test_whole_codes_of_a_prompt_begin_each_sample(prompts, medium, sides, whole):
    expected, prompt = prompts(medium, *sides)
    assert prompt.shape == (3, whole, *expected.shape[2:])
    for row in prompt:
        np.testing.assert_array_equal(row, expected[0, :whole])


@pytest.mark.parametrize(
    ("medium", "sides", "message"),
    [
        ("audio", (63,), "prompt.wav is shorter than a code, which is 64 samples"),
        ("audio", (1000,), "has 1000 samples, and the model writes 1000 in all; give it fewer"),
        ("audio", (1200,), "has 1200 samples, and the model writes 1000 in all"),
        ("video", (5, 6, 7), "has 5 frames, and the model writes 5 in all"),
        ("video", (1, 6, 7), "prompt.gif is shorter than a code, which is 2 frames"),
        ("video", (2, 7, 6), "prompt.gif has frames of 7×6, and the model of 6×7"),
        ("image", (6, 5), "--prompt_file is for sounds and videos, and this run makes images"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(prompts, medium, sides, message):
    with pytest.raises(InputError, match=message):
        prompts(medium, *sides)


def signals(medium, count=3, channels=1):
    rng = np.random.default_rng(count)
    if medium == "audio":
        return rng.integers(-(2**15) + 1, 2**15, (count, 500, 1), np.int16)
    sides = tiny_codecs.SIDES[medium]
    return rng.integers(256, size=(count, *sides, channels), dtype=np.uint8)


@pytest.mark.parametrize("medium", tiny_codecs.SPANS)
def test_an_npz_holds_the_integers_their_labels_and_their_rate(medium):
    found, metadata = signals(medium), tiny_codecs.run_of(medium).metadata
    labels = np.array([[0], [1], [-1]])
    name = {"image": "images", "audio": "sounds", "video": "videos"}[medium]
    with np.load(io.BytesIO(sampling.encoded(found, metadata, ".npz", labels))) as arrays:
        assert set(arrays) == {name, "labels"} | ({"rate"} if medium != "image" else set())
        expected = found[..., 0] if medium == "audio" else found
        np.testing.assert_array_equal(arrays[name], expected)
        assert arrays[name].dtype == found.dtype
        np.testing.assert_array_equal(arrays["labels"], labels)
        assert medium == "image" or arrays["rate"] == metadata["rate"]
    with np.load(io.BytesIO(sampling.encoded(found, metadata, ".npz"))) as arrays:
        assert not {"labels", "captions"} & set(arrays)
    said = "a cat", "ã", ""
    content = sampling.encoded(found, metadata, ".npz", asked=said)
    with np.load(io.BytesIO(content)) as arrays:
        assert tuple(arrays["captions"]) == said


def test_a_wav_holds_sounds_one_after_another_with_pauses():
    found = signals("audio")
    content = sampling.encoded(found, tiny_codecs.run_of("audio").metadata, ".wav")
    with wave.open(io.BytesIO(content)) as file:
        assert file.getframerate() == 8000
        read = np.frombuffer(file.readframes(10**6), "<i2")
    pause = np.zeros(2000, int)
    parts = [found[0, :, 0], pause, found[1, :, 0], pause, found[2, :, 0]]
    np.testing.assert_array_equal(read, np.concatenate(parts))


def test_a_png_is_a_grid_of_images():
    found = signals("image", channels=3)
    content = sampling.encoded(found, tiny_codecs.run_of("image").metadata, ".png")
    with Image.open(io.BytesIO(content)) as picture:
        pixels = np.asarray(picture)[::2, ::2]
    assert pixels.shape == (13, 11, 3)  # 2 × 2 images of 6 × 5, and grey lines between
    np.testing.assert_array_equal(pixels[:6, 6:], found[1])
    np.testing.assert_array_equal(pixels[7:, :5], found[2])


@pytest.mark.parametrize(("suffix", "rate"), [(".gif", 8), (".mp4", 8), (".mp4", 60), (".gif", 60)])
def test_a_film_is_a_grid_of_videos(suffix, rate, tmp_path):
    if suffix == ".mp4":
        pytest.importorskip("av")
    found = signals("video", count=2) // 64 * 64
    metadata = {**tiny_codecs.run_of("video").metadata, "rate": rate}
    path = tmp_path / f"film{suffix}"
    path.write_bytes(sampling.encoded(found, metadata, suffix))
    frames, read_rate = read_video(path)
    assert read_rate == pytest.approx(min(rate, 50) if suffix == ".gif" else rate, rel=0.05)
    scale = 1 if suffix == ".gif" else -(-256 // 7)
    own = frames[:, : 7 * scale : scale, : 16 * scale : scale, 0].astype(int)
    assert own.shape == (5, 7, 16)
    tolerance = 0 if suffix == ".gif" else 4  # a film is compressed
    assert np.abs(own[:, :6, :7] - found[0, ..., 0]).mean() <= tolerance
    assert np.abs(own[:, :6, 8:15] - found[1, ..., 0]).mean() <= tolerance


@pytest.mark.parametrize(
    ("medium", "suffix", "message"),
    [
        ("image", ".wav", "--out: images go to .png or .npz, not .wav"),
        ("audio", ".png", "--out: sounds go to .wav or .npz, not .png"),
        ("video", "", "--out: videos go to .gif or .mp4 or .npz, not a file with no suffix"),
    ],
)
def test_files_of_another_medium_are_refused(medium, suffix, message):
    with pytest.raises(InputError, match=message):
        sampling.check_suffix(medium, suffix)


def test_a_film_that_cannot_be_encoded_here_is_refused_before_it_is_drawn(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="pip install"):
        sampling.check_suffix("video", ".mp4")
    sampling.check_suffix("video", ".gif")
