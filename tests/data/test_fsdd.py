"""The Free Spoken Digit Dataset, of a few samples a recording."""

import numpy as np
import pytest

from aigc_jax.artefacts import Sound
from aigc_jax.data.fsdd import load_fsdd
from aigc_jax.errors import InputError


def write(path, samples):
    path.write_bytes(Sound(np.asarray(samples) / (2**15 - 1), 8000).encode())


def value(digit, speaker, index):
    return 1000 * digit + 100 * speaker + index


def folder(path, recordings=12, speakers=("zoe", "al-2")):
    path.mkdir(parents=True, exist_ok=True)
    for digit in range(10):
        for s, speaker in enumerate(sorted(speakers)):
            for index in range(recordings):
                write(path / f"{digit}_{speaker}_{index}.wav", [value(digit, s, index), 0, 7])
    return path


@pytest.mark.parametrize("inside", ["", "recordings"])
def test_the_first_ten_of_each_are_held_out(tmp_path, inside):
    folder(tmp_path / inside)
    sounds = load_fsdd(str(tmp_path), normalise=False)
    assert (sounds.name, sounds.rate) == ("fsdd", 8000)
    assert sounds.attributes[0] == ("digit", tuple("0123456789"))
    assert sounds.attributes[1] == ("speaker", ("al-2", "zoe"))
    assert sounds.train.shape == (40, 8192)
    assert sounds.heldout.shape == (200, 8192)
    assert sounds.train_labels.dtype == sounds.heldout_labels.dtype == np.int32
    for clips, labels, indices in (
        (sounds.train, sounds.train_labels, [10, 11]),
        (sounds.heldout, sounds.heldout_labels, range(10)),
    ):
        told = [(d, s, i) for d in range(10) for s in range(2) for i in indices]
        assert labels.tolist() == [[d, s] for d, s, _ in told]
        assert clips[:, 0].tolist() == [value(*one) for one in told]
        assert (clips[:, 2] == 7).all()
        assert not clips[:, 3:].any()


def test_long_recordings_are_cut_and_all_are_levelled(tmp_path):
    folder(tmp_path, 11)
    write(tmp_path / "0_al-2_10.wav", np.resize([300, -300], 9000))
    sounds = load_fsdd(str(tmp_path))
    assert (abs(sounds.train[0]) == round(0.1 * 2**15)).all()


def message_of(path):
    with pytest.raises(InputError) as caught:
        load_fsdd(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "10_al_0.wav",
        "a_al_0.wav",
        "1_al.wav",
        "1__0.wav",
        "1_al_01.wav",
        "1_al_0.mp3",
        "1_a_b_0.wav",
    ],
)
def test_malformed_names(tmp_path, name):
    folder(tmp_path, 11)
    write(tmp_path / name, [1])
    message = message_of(tmp_path)
    assert (
        message
        == f"{tmp_path / name}: not named {{digit}}_{{speaker}}_{{index}}.wav; move it elsewhere"
    )


@pytest.mark.parametrize("name", ["3_zoe_0.wav", "9_al-2_9.wav", "0_zoe_10.wav"])
def test_missing_recordings(tmp_path, name):
    folder(tmp_path, 12)
    (tmp_path / name).unlink()
    assert message_of(tmp_path) == f"{tmp_path / name}: no such file; download the data set again"


def test_recordings_to_train_on_are_needed(tmp_path):
    folder(tmp_path, 10)
    assert message_of(tmp_path).startswith(f"{tmp_path / '0_al-2_10.wav'}: no such file")


def test_a_digit_that_nobody_says(tmp_path):
    folder(tmp_path, 11)
    for file in tmp_path.glob("7_*"):
        file.unlink()
    assert message_of(tmp_path).startswith(f"{tmp_path / '7_al-2_0.wav'}: no such file")


def test_no_folder_and_an_empty_one(tmp_path):
    assert message_of(tmp_path / "gone").startswith(f"{tmp_path / 'gone'}: no such folder")
    assert message_of(tmp_path).startswith(f"{tmp_path}: holds no recordings")
    assert "--data_dir is empty" in message_of("")


def test_a_damaged_recording_is_named(tmp_path):
    folder(tmp_path, 11)
    (tmp_path / "4_zoe_3.wav").write_bytes(b"")
    assert message_of(tmp_path) == f"{tmp_path / '4_zoe_3.wav'}: is empty, not a WAV file"
