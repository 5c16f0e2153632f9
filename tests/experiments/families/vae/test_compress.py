"""From the command line to the file and back, with runs of hardly any training."""

import bz2
import dataclasses
import functools
import gzip
import importlib
import lzma
import struct
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from aigc_jax.checkpoint import Checkpoints
from aigc_jax.data.images import load_images
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from aigc_jax.vae.compression import bitsback, container
from experiments import compress as compress_program
from experiments.cli import launch as program
from experiments.cli.options import from_flags, from_stored, stored_options
from experiments.families.vae import compression, compressors
from experiments.families.vae.compression import (
    compress,
    decompress,
    open_model,
    read_input,
    suited,
)
from experiments.families.vae.experiment import EXPERIMENT

SIDE = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with digits, grey.npz and binary.npz, and a run on each kind of them."""
    place = tmp_path_factory.mktemp("place")
    digits = load_images("mnist5k").heldout[:101, 8 : 8 + SIDE, 8 : 8 + SIDE]
    np.savez(place / "grey.npz", images=digits)
    np.savez(place / "binary.npz", images=np.uint8(255 * (digits > 127)))
    for name, likelihood in (("binary", "bernoulli"), ("grey", "logistic_mixture")):
        leave_run(place / name, likelihood=likelihood)
    return place


def leave_run(workdir, **given):
    """The folder of a run that was stopped at step 20 and has learned nothing."""
    options = from_flags(EXPERIMENT.presets, {"width": 16, "latent_size": 4, **given})
    metadata = {"image_shape": [SIDE, SIDE, 1], "classes": None}
    config = {
        "options": stored_options(options),
        "metadata": metadata,
        "data": {},
        "score": None,
    }
    folder = RunFolder(workdir)
    folder.create()
    folder.write_config({"experiment": "vae", **config})
    state = jax.jit(EXPERIMENT.algorithm(options, metadata).init)(jax.random.key(0))
    with Checkpoints(folder.checkpoints) as checkpoints:
        checkpoints.save(20, state)


@pytest.fixture(scope="module")
def models(place):
    return {kind: opened(str(place / kind)) for kind in ("binary", "grey")}


opened = functools.cache(open_model)
PROGRAMS = ("compress", "decompress")


@pytest.fixture(scope="module")
def programs():
    """`compress` and `decompress` as modules; a run is opened once."""
    found = {name: importlib.import_module(f"experiments.{name}") for name in PROGRAMS}
    with pytest.MonkeyPatch.context() as patch:
        for module in found.values():
            patch.setattr(module, "open_model", opened)
        yield found


def images_of(place, kind, count=101):
    with np.load(place / f"{kind}.npz") as stored:
        return stored["images"][:count]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(compression, "_DRAWS", 1000)


@pytest.mark.parametrize("kind", ["binary", "grey"])
@pytest.mark.parametrize("count", [1, 2, 101])
def test_a_round_trip_is_exact(place, models, kind, count):
    images = images_of(place, kind, count)
    if count == 2:
        values = np.array([0, 255] if kind == "binary" else range(256), np.uint8)
        images = np.random.default_rng(0).choice(values, images.shape)
    done = compress(models[kind], images)
    restored = decompress(models[kind], done.content, "d.bb")
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored, images)


@pytest.mark.parametrize("kind", ["binary", "grey"])
def test_the_size_is_the_negative_elbo_and_what_it_says_it_is_more(place, models, kind):
    done = compress(models[kind], images_of(place, kind))
    payload = len(done.content) - done.overhead - done.borrowed
    assert payload == pytest.approx(done.goal, rel=0.02)
    header, words = container.unpack(done.content, "d.bb")
    assert len(done.content) - words.nbytes == done.overhead
    assert header.lanes == bitsback.lanes_for(101, (SIDE, SIDE, 1), header.levels)
    assert done.model == sum(a.nbytes for a in _leaves(models[kind].run.state.ema))


def _leaves(tree):
    return [tree] if hasattr(tree, "nbytes") else [a for v in tree.values() for a in _leaves(v)]


def test_the_programs_restore_what_they_were_given(place, programs, tmp_path, capsys):
    packed, out = tmp_path / "d.bb", tmp_path / "d.npz"
    packed.write_bytes(b"of yesterday")
    programs["compress"].run(str(place / "binary"), str(place / "binary.npz"), str(packed), False)
    shown = capsys.readouterr().out
    for name in ("gzip -9", "bz2 -9", "xz -9e", "PNG", "WebP lossless", "this file"):
        (line,) = [line for line in shown.splitlines() if line.startswith(name)]
        size, each, per_value, ratio = (float(n.replace(",", "")) for n in line.split()[-4:])
        assert each == pytest.approx(8 * size / 101, abs=0.01)
        assert per_value == pytest.approx(each / SIDE**2, abs=1e-4)
        assert ratio == pytest.approx(SIDE**2 / each, rel=0.01)
    assert size == packed.stat().st_size
    assert "The model is not in the file" in shown
    programs["decompress"].run(str(place / "binary"), str(packed), str(out))
    with np.load(out) as found:
        np.testing.assert_array_equal(found["images"], images_of(place, "binary"))


def test_binary_images_drawn_from_grey_ones_are_what_is_compressed(
    place, programs, tmp_path, capsys
):
    packed, out = str(tmp_path / "d.bb"), str(tmp_path / "d.npz")
    source = str(place / "grey.npz")
    with pytest.raises(InputError, match=r"grey\.npz: has grey values.*--binarise"):
        programs["compress"].run(str(place / "binary"), source, packed, False)
    programs["compress"].run(str(place / "binary"), source, packed, True)
    assert "these are compressed, not the grey ones" in capsys.readouterr().out
    programs["decompress"].run(str(place / "binary"), packed, out)
    grey = images_of(place, "grey")
    with np.load(out) as found:
        drawn = found["images"]
    assert set(np.unique(drawn)) == {0, 255}
    assert (drawn[grey == 0] == 0).all()
    assert (drawn[grey == 255] == 255).all()
    assert 0 < (drawn != 255 * (grey > 127)).mean() < 0.2


@pytest.fixture(scope="module")
def packed(place, models):
    return compress(models["binary"], images_of(place, "binary", 7)).content


def repacked(packed, **changes):
    header, words = container.unpack(packed, "d.bb")
    own = {k: changes.pop(k) for k in list(changes) if hasattr(header.origin, k)}
    origin = dataclasses.replace(header.origin, **own)
    words = changes.pop("words", words)
    return container.pack(dataclasses.replace(header, origin=origin, **changes), words)


def test_nothing_is_written_unless_all_of_it_is_right(place, programs, packed, tmp_path):
    source, out = tmp_path / "d.bb", tmp_path / "d.npz"
    out.write_bytes(b"mine")
    words = container.unpack(packed, "d.bb")[1]
    for content, workdir, message in (
        (b"", "binary", "not a file"),
        (packed[:-1], "binary", "truncated or damaged"),
        (packed[:99] + bytes([packed[99] ^ 4]) + packed[100:], "binary", "truncated or damaged"),
        (packed, "grey", "was made by another model"),
        (repacked(packed, versions={"jax": "0.1"}), "binary", "was made with"),
        (repacked(packed, device="tpu"), "binary", "was made on tpu"),
        (repacked(packed, outputs="0"), "binary", "return other numbers"),
        (repacked(packed, images="0"), "binary", "its images are not those"),
        (repacked(packed, words=words ^ np.uint32(1 << 9)), "binary", "does not decode here"),
        (repacked(packed, shape=(8, SIDE, SIDE, 1)), "binary", "does not decode here"),
        (repacked(packed, shape=(7, SIDE, 1, SIDE)), "binary", "does not fit the model"),
        (repacked(packed, grid=(128, 8)), "binary", "does not fit the model"),
        (repacked(packed, levels=256), "binary", "does not fit the model"),
        (repacked(packed, shape=(10**8, SIDE, SIDE, 1), lanes=65), "binary", "does not fit"),
        (repacked(packed, shape=(10**12, SIDE, SIDE, 1)), "binary", "header cannot be read"),
        (repacked(packed, shape=(10**8, SIDE, SIDE, 1)), "binary", "not decode here|the memory"),
        (repacked(packed, versions={"evil": "1"}), "binary", "header cannot be read"),
    ):
        source.write_bytes(content)
        with pytest.raises(InputError, match=message) as error:
            programs["decompress"].run(str(place / workdir), str(source), str(out))
        assert str(error.value).startswith(f"{source}: ")
        assert "\n" not in str(error.value)
    assert out.read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.bb", "d.npz"]


def test_what_a_file_says_of_its_maker_is_shown_and_not_obeyed(
    place, programs, packed, tmp_path, capsys
):
    source = tmp_path / "d.bb"
    source.write_bytes(repacked(packed, device="tpu\x1b]0;owned\x07\n"))
    arguments = (str(place / "binary"), str(source), str(tmp_path / "d.npz"))
    with pytest.raises(SystemExit) as ended:
        program.report_errors(lambda: programs["decompress"].run(*arguments))
    assert ended.value.code == program.BAD_INPUT
    shown = capsys.readouterr().err
    assert r"was made on tpu\x1b]0;owned\x07\n, and this is" in shown
    assert shown.count("\n") == 1


def test_of_what_is_no_such_file_only_the_beginning_is_read(place, programs, tmp_path):
    for endless in ("/dev/zero", "/dev/urandom"):
        with pytest.raises(InputError, match="not a file that experiments"):
            programs["decompress"].run(str(place / "binary"), endless, str(tmp_path / "d.npz"))


def test_a_run_that_was_trained_further_says_so(models, packed):
    run = models["binary"].run._replace(step=30)
    other = jax.tree.map(lambda a: a + 1, run.state.ema)
    moved = models["binary"]._replace(run=run._replace(state=run.state._replace(ema=other)))
    with pytest.raises(InputError, match="at step 20, and this run is at step 30"):
        decompress(moved, packed, "d.bb")


def test_the_place_of_the_run_and_of_its_data_do_not_matter(models, packed):
    run = models["binary"].run
    stored = {**run.config["options"], "workdir": "moved", "images": "gone", "steps": 10**6}
    moved = run._replace(config={**run.config, "options": stored})
    assert len(decompress(models["binary"]._replace(run=moved), packed, "d.bb")) == 7


def test_missing_packages_are_named(place, models, packed, monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    for work in (
        lambda: open_model(str(place / "binary")),  # before any work is done
        lambda: compress(models["binary"], images_of(place, "binary", 1)),
        lambda: decompress(models["binary"], packed, "d.bb"),
    ):
        with pytest.raises(InputError, match=r"pip install 'aigc_jax\[compress\]'"):
            work()


def test_what_cannot_be_compressed_is_refused(place, programs, tmp_path):
    np.savez(tmp_path / "wide.npz", images=np.zeros((3, 5, 7), np.uint8))
    (tmp_path / "folder").mkdir()
    binary, grey, out = str(place / "binary"), str(place / "grey"), str(tmp_path / "d.bb")
    digits = str(place / "grey.npz")
    for arguments, message in (
        ((None, digits, out, False), "--workdir is required"),
        ((binary, str(tmp_path / "wide.npz"), out, False), "of 5×7×1, and the model's of 12×12×1"),
        ((grey, digits, out, True), "--binarise is for models of binary pixels"),
        ((binary, str(tmp_path / "gone.npz"), out, False), "no such file"),
        ((binary, digits, str(tmp_path / "gone" / "d.bb"), False), "OUTPUT: there is no folder"),
        ((binary, digits, str(tmp_path / "folder"), False), "OUTPUT: .* is a folder"),
        ((binary, digits, digits, True), "is INPUT itself"),
        ((str(tmp_path), digits, out, False), "holds no run"),
    ):
        with pytest.raises(InputError, match=message):
            programs["compress"].run(*arguments)
    for arguments, message in (
        ((None, out, str(tmp_path / "d.npz")), "--workdir is required"),
        ((binary, str(tmp_path / "gone.bb"), str(tmp_path / "d.npz")), "gone.bb: cannot be read"),
        ((binary, out, str(tmp_path / "d.png")), r"must end in \.npz"),
    ):
        with pytest.raises(InputError, match=message):
            programs["decompress"].run(*arguments)
    assert not (tmp_path / "d.bb").exists()


@pytest.mark.parametrize("options", [{"prior": "vamp", "pseudo_inputs": 3}, {"preset": "ladder"}])
def test_runs_that_cannot_code_are_named(place, models, options, monkeypatch):
    run = models["binary"].run
    changed = from_stored(EXPERIMENT.presets, {**stored_options(run.options), **options})
    monkeypatch.setattr(compression, "restore", lambda *_: other)
    algorithm = EXPERIMENT.algorithm(changed, run.metadata)
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    other = run._replace(options=changed, state=state)
    with pytest.raises(InputError, match="workdir there: the model "):
        open_model("there")


@pytest.mark.parametrize("name", ["gan", "vq"])
def test_runs_of_other_experiments_are_refused(tmp_path, name):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    # As a run with codes was stored before it had an experiment of its own.
    config = {"experiment": "vae" if name == "vq" else name, "options": {"preset": name}}
    folder.write_config({**config, "metadata": {}, "data": {}})
    with pytest.raises(InputError, match=rf"holds a run of experiments\.{name}, and not of"):
        open_model(str(tmp_path / "run"))


def test_images_are_read_in_their_order_from_each_kind_of_input(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(3, 5, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images[..., 0])
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", 3, 5, 4) + images.tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx))
    (tmp_path / "folder").mkdir()
    for i in range(3):
        Image.fromarray(images[i, ..., 0]).save(tmp_path / "folder" / f"{i}.png")
    names = ["a.npz", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "folder"]
    for name in names:
        np.testing.assert_array_equal(read_input(str(tmp_path / name)), images)


def test_a_folder_of_grey_images_suits_a_model_of_colours(models, rng):
    grey = rng.integers(256, size=(3, SIDE, SIDE, 1), dtype=np.uint8)
    config = dataclasses.replace(models["grey"].config, image_shape=(SIDE, SIDE, 3))
    found = suited(grey, models["grey"]._replace(config=config), False, "d")
    np.testing.assert_array_equal(found, np.repeat(grey, 3, axis=3))


def test_what_a_file_is_called_does_not_say_what_it_is(tmp_path, rng):
    images = rng.integers(256, size=(3, 5, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    (tmp_path / "a.npz").rename(tmp_path / "npz.gz")
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", 3, 5, 4) + images.tobytes()
    (tmp_path / "zipped").write_bytes(gzip.compress(idx))
    (tmp_path / "plain.gz").write_bytes(idx)
    for name in ("npz.gz", "zipped", "plain.gz"):
        np.testing.assert_array_equal(read_input(str(tmp_path / name)), images)


def test_suited_images_are_left_as_they_are(place, models):
    for kind in ("binary", "grey"):
        images = images_of(place, kind, 3)
        assert suited(images, models[kind], False, "d") is images


def test_pictures_hold_all_the_images(rng, monkeypatch):
    images = rng.integers(256, size=(7, 5, 4, 1), dtype=np.uint8)
    seen = []
    save = Image.Image.save

    def keep(self, buffer, form, **options):
        save(self, buffer, form, **options)
        seen.append(np.asarray(Image.open(buffer).convert("L")).copy())
        buffer.seek(0, 2)

    monkeypatch.setattr(Image.Image, "save", keep)
    monkeypatch.setattr(compressors, "_WEBP_SIDE", 14)
    for form, pictures in (("PNG", 1), ("WebP", 4)):
        for values, levels in ((images, 256), (255 * (images > 127).astype(np.uint8), 2)):
            seen.clear()
            compressors.picture_bytes(values, levels, form)
            assert len(seen) == pictures
            np.testing.assert_array_equal(np.concatenate(seen), values.reshape(-1, 4))


def test_colours_are_no_obstacle_to_the_others(rng):
    images = rng.integers(256, size=(3, 5, 4, 3), dtype=np.uint8)
    found = compressors.baselines(images, 256)
    assert all(size and size >= 3 * 5 * 4 for size in found.values())


def test_binary_rows_may_begin_with_a_byte(rng):
    """Rows of 13 pixels out of 4 that there are: a byte of its own shows that they repeat."""
    kinds = 255 * rng.integers(2, size=(4, 13, 1), dtype=np.uint8)
    images = kinds[rng.integers(4, size=(200, 9))]
    by_row = np.packbits(images > 127, axis=2).tobytes()
    found = compressors.baselines(images, 2)
    assert found["xz -9e"] == len(lzma.compress(by_row, preset=9 | lzma.PRESET_EXTREME))
    assert found["bz2 -9"] == len(bz2.compress(by_row, 9))


def test_a_compressor_that_cannot_take_the_images_is_left_out(monkeypatch):
    def refuse(*_):
        raise OSError("encoder webp not available")

    monkeypatch.setattr(compressors, "picture_bytes", refuse)
    found = compressors.baselines(np.zeros((1, 2, 2, 1), np.uint8), 2)
    assert found["PNG"] is None
    assert found["xz -9e"] is not None


def test_the_command_lines(launch, place):
    arguments = ("--workdir=binary", "--binarise", "grey.npz", "d.bb")
    done = launch("experiments.compress", *arguments, cwd=place)
    assert "this file" in done.stdout
    done = launch("experiments.decompress", "--workdir=binary", "d.bb", "d.npz", cwd=place)
    assert "101 images in d.npz" in done.stdout


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "INPUT is missing"),
        (["a"], "OUTPUT is missing"),
        (["a", "b", "c"], "unexpected argument 'c'"),
    ],
)
def test_names_of_files_are_two(given, message, capsys, monkeypatch):
    monkeypatch.setattr(program.compile_cache, "keep_programs", lambda: None)  # not of this process
    with pytest.raises(SystemExit) as ended:
        compress_program.main(given)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    define, names = compress_program.define_flags, compress_program.NAMES
    found = program.parse(None, define, ["a", "b"], names)
    assert found.positional == ("a", "b")
