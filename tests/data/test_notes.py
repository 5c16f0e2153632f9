"""The data set of notes, from a sound font made by hand."""

from importlib.util import find_spec

import numpy as np
import pytest
from soundfonts import font

from aigc_jax.data import notes, soundfont
from aigc_jax.data.notes import load_notes, note_details, render
from aigc_jax.data.soundfont import read_soundfont
from aigc_jax.errors import InputError
from aigc_jax.metrics.pitch import cents, pitch_of


def message_of(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def general_midi(tmp_path, monkeypatch):
    """A font in which each program of the data set is the sine, and a data set of ten keys."""
    monkeypatch.setattr(notes, "KEYS", tuple(range(60, 70)))
    zone = [(soundfont.RELEASE, 6000), (soundfont.LOOPS, 1), (soundfont.SAMPLE, 1)]
    presets = {program: [[(soundfont.INSTRUMENT, 0)]] for program in notes.PROGRAMS.values()}
    (tmp_path / "a.sf2").write_bytes(font(presets, [[zone]]))
    return str(tmp_path / "a.sf2")


def test_the_data_set(general_midi):
    sounds = load_notes(general_midi)
    assert (sounds.name, sounds.rate) == ("notes", 8000)
    pitch, instrument = sounds.attributes
    assert pitch == ("pitch", ("C4", "C#4", "D4", "D#4", "E4", "F4", "F#4", "G4", "G#4", "A4"))
    assert instrument == ("instrument", tuple(notes.PROGRAMS))
    assert sounds.train.dtype == np.int16
    every = [(i, k, v) for i in range(8) for k in range(10) for v in range(5)]
    for clips, labels, held in (
        (sounds.train, sounds.train_labels, False),
        (sounds.heldout, sounds.heldout_labels, True),
    ):
        told = [(n, *one) for n, one in enumerate(every) if (sum(one) % 6 == 0) == held]
        assert clips.shape == (len(told), 8192)
        assert labels.dtype == np.int32
        assert labels.tolist() == [[k, i] for _, i, k, _ in told]
        some = slice(0, None, 7)
        for clip, (number, _, k, v) in zip(clips[some], told[some], strict=True):
            off = cents(pitch_of(clip[None], 8000), 440 * 2 ** ((k - 9) / 12))[0]
            assert off == pytest.approx(note_details(number)[1], abs=0.5)
            rms = np.sqrt(np.square(clip / 2**15).mean())
            assert rms == pytest.approx(0.1 * (notes.VELOCITIES[v] / 127) ** 2, rel=2e-3)
    assert len({clip.tobytes() for clip in (*sounds.train, *sounds.heldout)}) == 400


def test_a_note_begins_late_and_ends_without_a_click(general_midi):
    made = read_soundfont(general_midi)
    clips = render(made, np.zeros(9, int), np.full(9, 69), np.full(9, 127), 16000, 8000)
    for i, clip in enumerate(clips):
        late, detuned = note_details(i)
        assert 0 <= late <= 0.02
        assert abs(detuned) <= 8
        assert not clip[: round(late * 16000) + 1].any()
        assert clip[round(late * 16000) + 1 :][:9].all()
        peak = np.abs(clip).max()
        assert np.abs(clip[-400:-300]).max() > peak / 2  # the release takes 32 s, the fade 160
        assert (np.abs(clip[-3:]) <= peak * 3 / 160 + 1).all()


def test_without_a_font(monkeypatch, tmp_path):
    monkeypatch.setattr(notes.importlib.util, "find_spec", lambda name: None)
    assert message_of(load_notes).startswith("dataset notes needs a General MIDI sound font: pip")
    assert message_of(load_notes, str(tmp_path / "b.sf2")).endswith("b.sf2: no such file")


@pytest.mark.skipif(find_spec("pretty_midi") is None, reason="pretty_midi is not installed")
def test_the_font_that_a_package_carries():
    made = read_soundfont(notes._default_font())
    keys = np.tile([48, 59, 70, 81], 8)
    programs = np.repeat(list(notes.PROGRAMS.values()), 4)
    clips = render(made, programs, keys, np.full(32, 90), 8000)
    assert (np.abs(cents(pitch_of(clips, 8000), 440 * 2 ** ((keys - 69) / 12))) < 25).all()
