"""Files of each medium to codes, and codes to files."""

import contextlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_codecs
from PIL import Image

from aigc_jax import codec, pictures
from aigc_jax.artefacts import Sound
from aigc_jax.errors import InputError
from experiments.data.signals import floats, integers
from experiments.families.codec import filing

MEDIA = pytest.mark.parametrize("medium", tiny_codecs.SPANS)


def signal(medium, *sides):
    """Integers `[*S, C]` of other sides than the codec was made for."""
    sides = sides or {"image": (7, 9), "audio": (333,), "video": (4, 5, 9)}[medium]
    rng = np.random.default_rng(len(sides))
    if medium == "audio":
        return rng.integers(-(2**15) + 1, 2**15, (*sides, 1), np.int16)
    return rng.integers(256, size=(*sides, 3 if medium == "image" else 1), dtype=np.uint8)


def written(path, medium, *sides):
    run = tiny_codecs.run_of(medium)
    found = signal(medium, *sides)
    path.write_bytes(filing.content(found, run.metadata))
    return found


@MEDIA
def test_a_file_holds_what_was_decoded(medium, tmp_path):
    path = tmp_path / f"a{filing.WRITTEN[medium]}"
    found = written(path, medium)
    np.testing.assert_array_equal(
        filing.read_signal(path, tiny_codecs.run_of(medium).metadata), found
    )


def test_sounds_become_mono_and_are_resampled_but_as_loud_as_they_were(tmp_path):
    time = np.arange(44_100) / 44_100
    stereo = 0.2 * np.stack([np.sin(880 * np.pi * time), 3 * np.sin(880 * np.pi * time)], axis=1)
    (tmp_path / "a.wav").write_bytes(Sound(stereo, 44_100).encode())
    found = filing.read_signal(tmp_path / "a.wav", tiny_codecs.run_of("audio").metadata)
    assert found.shape == (8000, 1)
    assert found.dtype == np.int16
    expected = 0.4 * np.sin(880 * np.pi * np.arange(8000) / 8000)
    inner = slice(100, -100)  # ends ring
    np.testing.assert_allclose(found[inner, 0] / 2**15, expected[inner], atol=2e-3)


def test_grey_pictures_go_to_a_codec_of_colours_but_not_the_other_way(tmp_path):
    grey = np.arange(30, dtype=np.uint8).reshape(6, 5)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    run = tiny_codecs.run_of("image")
    found = filing.read_signal(tmp_path / "grey.png", run.metadata)
    np.testing.assert_array_equal(found, np.stack([grey] * 3, axis=-1))
    written(tmp_path / "colour.png", "image")
    with pytest.raises(InputError, match=r"colour.png: has colours, and the codec was trained on"):
        filing.read_signal(tmp_path / "colour.png", {**run.metadata, "channels": 1})


def test_a_video_of_more_frames_a_second_than_a_gif_can_have_is_written_slower(tmp_path):
    metadata = {**tiny_codecs.run_of("video").metadata, "rate": 60}
    (tmp_path / "a.gif").write_bytes(filing.content(signal("video"), metadata))
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["duration"] == 1000 / pictures.MOST_PER_SECOND


def test_a_folder_is_read_with_its_subfolders(tmp_path):
    names = ["b/2.png", "a/1.PNG", "a/.hidden", "b/10.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = filing.inputs(tmp_path, "image")
    assert found == [(name, tmp_path / name) for name in ("a/1.PNG", "b/10.jpg", "b/2.png")]
    assert filing.inputs(tmp_path / "b/2.png", "image") == [("2.png", tmp_path / "b/2.png")]
    with pytest.raises(InputError, match=r"1.PNG: not a .wav or .flac or .ogg or .mp3 file"):
        filing.inputs(tmp_path, "audio")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no image files"):
        filing.inputs(tmp_path / "empty", "image")


@MEDIA
def test_files_of_any_length_are_coded_and_come_back_in_theirs(medium, tmp_path):
    run, other = tiny_codecs.run_of(medium), {"image": (3, 4), "audio": (70,), "video": (2, 3, 3)}
    given = [written(tmp_path / "a", medium), written(tmp_path / "b", medium, *other[medium])]
    files = [(name, tmp_path / name) for name in "ab"]
    for name in "ab":  # named after what they are
        path = (tmp_path / name).rename(tmp_path / f"{name}{filing.WRITTEN[medium]}")
        files["ab".index(name)] = (path.name, path)
    found = filing.encode(run, files, "abc")
    path = tmp_path / "codes.npz"
    path.write_bytes(found.encode())
    read = filing.read_codes(path)
    np.testing.assert_array_equal(read.codes, found.codes)
    assert read.files == tuple(name for name, _ in files)
    assert read.codec_sha256 == "abc"
    made, coder = run.algorithm, codec.coder_of(run.state)
    for i, (signal, decoded) in enumerate(zip(given, filing.decode(run, read), strict=True)):
        codes = np.asarray(made.encode(coder, floats(signal[None])))
        own = tuple(slice(side) for side in codes.shape[1:])
        np.testing.assert_array_equal(read.codes[i][own], codes[0])
        assert np.sum(read.codes[i] >= 0) == codes.size  # beyond them is −1
        assert tuple(read.sides[i]) == signal.shape[:-1]
        expected = integers(made.decode(coder, codes, signal.shape[:-1]), medium)[0]
        assert decoded.shape == signal.shape
        np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("length", [65, 128])
def test_a_sounds_codes_do_not_depend_on_the_zeros_that_complete_the_last(length, tmp_path):
    """By a real codec: each length between two whole ones would else be compiled anew."""
    config = codec.Config(
        (256,),
        rate=8000,
        architecture=codec.config.Sounds(width=4, blocks=1, decoder_blocks=1, hop=64),
        perceptual_weight=0.0,
    )
    made = codec.make(config)
    state = jax.jit(made.init)(jax.random.key(0))

    def encode(coder, x):  # the features themselves, in hundredths
        return jnp.rint(100 * made.networks.encode(coder.params, x)).astype(jnp.int32)

    algorithm = made._replace(encode=encode)
    metadata = tiny_codecs.run_of("audio").metadata
    run = SimpleNamespace(algorithm=algorithm, state=state, metadata=metadata)
    given = written(tmp_path / "a.wav", "audio", length)
    found = filing.encode(run, filing.inputs(tmp_path, "audio"), "")
    coder = codec.coder_of(state)
    np.testing.assert_array_equal(found.codes, jax.jit(encode)(coder, floats(given[None])))
    codes = np.resize(np.arange(20), (1, -(-length // 64), 1))
    found = found._replace(codes=codes)
    (decoded,) = filing.decode(run, found)
    expected = integers(jax.jit(made.decode, static_argnums=2)(coder, codes, (length,)), "audio")
    assert np.abs(decoded.astype(int) - expected[0]).max() <= 1


def test_by_the_first_stages_alone():
    run, found = tiny_codecs.run_of("audio"), codes_of("audio")
    found.codes[..., 0], found.codes[..., 1] = 3, 8
    assert set(filing.decode(run, found, 1)[0].ravel()) == {round(2**15 * 3 / 11)}
    assert set(filing.decode(run, found)[0].ravel()) == {round(2**15 * (3 / 11 + 8 / 121))}


def codes_of(medium="image", **changes):
    codes = np.zeros((1, *tiny_codecs.GRIDS[medium], tiny_codecs.STAGES[medium]), np.int32)
    sides = np.array([tiny_codecs.SIDES[medium]])
    return filing.CodeFile(codes, sides, ("a",), "")._replace(**changes)


NONE_OF_ITS = {
    "out of range": {"codes": np.full((1, 3, 3, 1), 11)},
    "beyond the end": {"codes": np.full((1, 3, 3, 1), -1)},
    "another grid": {"codes": np.zeros((1, 3, 2, 1), int)},
    "more stages": {"codes": np.zeros((1, 3, 3, 2), int)},
    "longer": {"sides": np.array([[60, 5]])},
    "another medium": {"codes": np.zeros((1, 16, 2), int), "sides": np.array([[1000]])},
}


@pytest.mark.parametrize("changes", NONE_OF_ITS.values(), ids=NONE_OF_ITS)
def test_codes_of_no_such_codec_are_refused(changes):
    with pytest.raises(InputError, match="the codes are not of this codec: "):
        filing.decode(tiny_codecs.run_of("image"), codes_of(**changes))


def test_a_damaged_file_of_codes_is_one_line(tmp_path):
    path = tmp_path / "codes.npz"
    whole = codes_of().encode()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"codes.npz: not a file of codes, or damaged \(.+\)$"):
            filing.read_codes(path)
    for place in range(0, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with contextlib.suppress(InputError):  # which is all that it may raise
            filing.read_codes(path)


WRONG = {
    "no names": {"files": ()},
    "fewer sides": {"sides": np.zeros((0, 2), int)},
    "fractions": {"codes": np.zeros((1, 3, 3, 1))},
    "no stages": {"codes": np.zeros((1, 3, 3), int)},
    "one number": {"codes": np.zeros((), int)},
    "no pixels": {"sides": np.zeros((1, 2), int)},
    "nothing": {"codes": np.zeros((1, 0, 0, 1), int)},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_what_is_no_file_of_codes_is_refused(changes, tmp_path):
    path = tmp_path / "codes.npz"
    path.write_bytes(codes_of(**changes).encode())
    with pytest.raises(InputError, match=r"codes\.npz: "):
        filing.read_codes(path)


def test_an_array_that_says_it_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    found, path = codes_of(), tmp_path / "codes.npz"
    path.write_bytes(found.encode())
    monkeypatch.setattr(filing, "MOST_BYTES", found.codes.nbytes)  # and its header has some more
    with pytest.raises(InputError, match=r"codes\.npz: its arrays would take .+ allowed$"):
        filing.read_codes(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros(3))
    with pytest.raises(InputError, match=r"images\.npz: has no array 'codes'; see experiments.enc"):
        filing.read_codes(tmp_path / "images.npz")
    with pytest.raises(InputError, match="nowhere"):
        filing.read_codes(tmp_path / "nowhere")


def test_the_hash_is_of_all_that_codes_and_decodes():
    one, same = (tiny_codecs.run_of("image").state for _ in range(2))
    other = tiny_codecs.run_of("image", gain=0.5).state
    quantised = SimpleNamespace(eval_params=one.eval_params, quantiser=np.zeros(2))
    hashes = [filing.coder_sha256(codec.coder_of(s)) for s in (one, same, other, quantised)]
    assert len(hashes[0]) == 64
    assert [hashes.index(found) for found in hashes] == [0, 0, 2, 3]
