"""The programs that turn files into codes and back, with a codec that needs no training."""

from pathlib import Path

import numpy as np
import pytest
import tiny_codecs

from aigc_jax.codec import coder_of
from aigc_jax.errors import InputError
from experiments import decode, encode
from experiments.cli import launch
from experiments.families.codec import filing

RNG = np.random.default_rng(0)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of sounds, and runs in it: `mine` of sounds, `other` of another gain, `pictures`."""
    runs = {
        "mine": tiny_codecs.run_of("audio"),
        "other": tiny_codecs.run_of("audio", gain=0.5),
        "pictures": tiny_codecs.run_of("image"),
    }
    for program in (encode, decode):
        monkeypatch.setattr(program, "restore", lambda experiment, workdir: runs[workdir])
    monkeypatch.chdir(tmp_path)
    for name in ("a b/1.wav", "a b/2.wav", "c/1.wav"):
        samples = RNG.integers(-30000, 30000, (RNG.integers(100, 400), 1)).astype(np.int16)
        file = Path("sounds", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(filing.content(samples, runs["mine"].metadata))
    return tmp_path


def run(program, *arguments):
    given = ["--nocompilation_cache", *arguments]
    program.command(launch.parse(None, program.define_flags, given, program.NAMES))


def test_a_folder_goes_to_codes_and_back_under_its_names(place, capsys):
    run(encode, "--workdir=mine", "sounds", "codes.npz")
    found = filing.read_codes(Path("codes.npz"))
    codes = sum(-(-int(side) // 64) for side in found.sides[:, 0]) * 2
    information = round(codes * np.log2(11) / 8)
    said = f"3 files in codes.npz, {information} bytes of information\n"
    assert capsys.readouterr().out == said
    run(decode, "--workdir=mine", "codes.npz", "back/again")
    assert capsys.readouterr().out == "3 files in back/again\n"
    metadata = tiny_codecs.run_of("audio").metadata
    for name, signal in zip(
        found.files, filing.decode(tiny_codecs.run_of("audio"), found), strict=True
    ):
        written = filing.read_signal(place / "back/again" / name, metadata)
        np.testing.assert_array_equal(written, signal)
        original = filing.read_signal(place / "sounds" / name, metadata)
        assert len(written) == len(original)
    run(decode, "--workdir=mine", "--stages=1", "codes.npz", "coarse")
    coarse = filing.read_signal(place / "coarse/c/1.wav", metadata)
    np.testing.assert_array_equal(coarse, filing.decode(tiny_codecs.run_of("audio"), found, 1)[2])


def test_codes_of_another_codec_are_refused(place):
    run(encode, "--workdir=mine", "sounds", "codes.npz")
    with pytest.raises(
        InputError, match=r"codes.npz: was made by another codec than that of other"
    ):
        run(decode, "--workdir=other", "codes.npz", "back")
    assert not Path("back").exists()


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        (encode, ["sounds", "codes.npz"], "--workdir is required"),
        (
            encode,
            ["--workdir=mine", "sounds", "codes.zip"],
            "OUTPUT: codes go to an .npz file, not",
        ),
        (encode, ["--workdir=mine", "sounds", "no/codes.npz"], "OUTPUT: there is no folder"),
        (encode, ["--workdir=mine", "nowhere", "codes.npz"], "nowhere: "),
        (
            encode,
            ["--workdir=pictures", "sounds", "codes.npz"],
            "1.wav: not a .png or .jpg or .jpeg",
        ),
        (decode, ["codes.npz", "back"], "--workdir is required"),
        (decode, ["--workdir=mine", "nowhere", "back"], "nowhere: "),
        (decode, ["--workdir=mine", "sounds/c/1.wav", "back"], "1.wav: not a file of codes"),
        (
            decode,
            ["--workdir=mine", "--stages=3", "mine.npz", "back"],
            "--stages must be from 1 to 2",
        ),
        (
            decode,
            ["--workdir=mine", "--stages=0", "mine.npz", "back"],
            "--stages must be from 1 to 2",
        ),
        (
            decode,
            ["--workdir=mine", "mine.npz", "sounds"],
            "1.wav is there already; name another",
        ),
        (decode, ["--workdir=mine", "mine.npz", "mine.npz"], "mine.npz"),
    ],
)
def test_what_cannot_be_done_is_refused_and_harms_nothing(place, program, arguments, message):
    run(encode, "--workdir=mine", "sounds", "mine.npz")
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=message):
        run(program, *arguments)
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before


def codes(*files):
    shape = len(files), *tiny_codecs.GRIDS["audio"], 2
    sides = np.array([tiny_codecs.SIDES["audio"]] * len(files))
    sha256 = filing.coder_sha256(coder_of(tiny_codecs.run_of("audio").state))
    Path("codes.npz").write_bytes(
        filing.CodeFile(np.zeros(shape, np.int32), sides, files, sha256).encode()
    )


@pytest.mark.parametrize("name", ["../a.wav", "/tmp/a.wav", "a/../../b.wav", "", "."])
def test_a_name_that_leads_out_of_the_folder_is_refused(place, name):
    codes("fine.wav", name)
    with pytest.raises(InputError, match="leads out of the folder"):
        run(decode, "--workdir=mine", "codes.npz", "back")
    assert not Path("back").exists()


def test_files_that_differ_in_their_suffix_alone_stay_apart(place):
    codes("a.wav", "a.flac", "b.mp3", "b.flac")
    run(decode, "--workdir=mine", "codes.npz", "back")
    found = sorted(file.name for file in Path("back").iterdir())
    assert found == ["a.flac.wav", "a.wav", "b.flac.wav", "b.wav"]
    codes("c.wav", "c.wav", "c.wav")
    with pytest.raises(InputError, match=r"more/c.wav.wav is there already"):
        run(decode, "--workdir=mine", "codes.npz", "more")
