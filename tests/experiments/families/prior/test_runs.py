"""A codec and the prior over its codes, from data of one's own to samples, by their commands."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from aigc_jax.codec import coder_of
from experiments.catalogue import open_any
from experiments.families.codec.filing import coder_sha256

SMALL = ["--batch_size=8", "--steps_per_dispatch=2", "--eval_every=2", "--checkpoint_every=2"]
SMALL += ["--steps=4", "--log_every=2"]
CODEC = [*SMALL, "--images=images.npz", "--width=2", "--halvings=1", "--codes=16"]
PRIOR = [*SMALL, "--layers=1", "--heads=2", "--width=8"]
RUNS = {"codec": "runs/codec-images-image", "prior": "runs/prior-images-image-default"}


@pytest.fixture(scope="module")
def place(launch, tmp_path_factory):
    """A folder, with a space in its name, of images, a codec of them and a prior over its codes."""
    place = tmp_path_factory.mktemp("my work")
    rng = np.random.default_rng(0)
    images = np.zeros((60, 8, 6), np.uint8)
    for image in images:
        y, x = rng.integers(0, 5, 2)
        image[y : y + 4, x : x + 2] = 200
    np.savez(place / "images.npz", images=images)
    launch("experiments.codec", *CODEC, cwd=place)
    launch("experiments.prior", *PRIOR, f"--codec={RUNS['codec']}", cwd=place)
    return place


@pytest.fixture
def copy(place, tmp_path):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("codec", {"reconstructions.png", "codebook.txt"}), ("prior", {"samples.png"})],
)
def test_a_run_is_shown_with_a_text_for_each_metric(name, kinds, place, toy):
    folder = place / RUNS[name]
    found = {p.stem.rsplit("_", 1)[0] + p.suffix for p in (folder / "samples").iterdir()}
    assert found == kinds
    assert toy.untold(folder) == (set(), set())
    page = (folder / "index.html").read_text()
    assert "54 images to train on, 6 held out" in page
    config = json.loads((folder / "config.json").read_text())
    captions = config["captions"]
    assert all(config["parameters"].values())  # no critics where there are none
    assert all(captions[kind.split(".")[0]] in page for kind in kinds)


@pytest.mark.parametrize("name", RUNS)
def test_the_same_command_again_does_nothing_but_say_so(name, place, launch):
    options = {"codec": CODEC, "prior": [*PRIOR, f"--codec={RUNS['codec']}"]}[name]
    before = {p: p.stat().st_mtime_ns for p in (place / RUNS[name]).rglob("*") if p.is_file()}
    done = launch(f"experiments.{name}", *options, cwd=place)
    assert "finished" in done.stderr
    changed = {p.name for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed <= {"config.json", ".lock"}


@pytest.fixture
def evaluated(launch):
    """`evaluated(name, cwd, *moved)`: the metrics that experiments.evaluate finds."""

    def run(name, cwd, *moved):
        arguments = [f"--workdir={RUNS[name]}", "--out=again.json", *moved]
        launch("experiments.evaluate", *arguments, cwd=cwd)
        return json.loads((cwd / "again.json").read_text())

    return run


def heldout(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    splits = {line.pop("split"): line for line in lines if line["step"] in (0, 4)}
    keep = {"step", "wall_s"}
    return {s: {k: v for k, v in line.items() if k not in keep} for s, line in splits.items()}


def test_metrics_are_found_again_where_codec_and_data_have_moved(copy, evaluated, toy):
    stored = {name: heldout(copy / RUNS[name]) for name in RUNS}
    (copy / "images.npz").rename(copy / "pictures.npz")
    (copy / RUNS["codec"]).rename(copy / "moved")
    again = evaluated("prior", copy, "--codec=moved", "--images=pictures.npz")
    for split, metrics in stored["prior"].items():
        if split != "train":
            assert again[split] == pytest.approx(metrics, rel=1e-6)
    (copy / "moved").rename(copy / RUNS["codec"])
    again = evaluated("codec", copy, "--images=pictures.npz")
    assert again["heldout"] == pytest.approx(stored["codec"]["heldout"], rel=1e-6)


def test_the_codec_is_in_the_priors_state(place):
    runs = {name: open_any(str(place / folder)) for name, folder in RUNS.items()}
    sha256 = coder_sha256(coder_of(runs["codec"].state))
    assert coder_sha256(runs["prior"].state.coder) == sha256
    assert runs["prior"].metadata["codec_sha256"] == sha256


def test_samples_need_nothing_but_the_priors_folder(copy, launch):
    shutil.rmtree(copy / RUNS["codec"])
    (copy / "images.npz").unlink()
    run = f"--workdir={RUNS['prior']}"
    launch("experiments.sample", run, "--num=3", "--out=three.npz", cwd=copy)
    launch("experiments.sample", run, "--num=5", "--out=five.npz", cwd=copy)
    launch("experiments.sample", run, "--num=5", "--out=five.png", cwd=copy)
    three, five = (np.load(copy / f"{name}.npz")["images"] for name in ("three", "five"))
    assert five.shape == (5, 8, 6, 1)
    np.testing.assert_array_equal(three, five[:3])
    with Image.open(copy / "five.png") as picture:
        pixels = np.asarray(picture)[::2, ::2]
    np.testing.assert_array_equal(pixels[:8, 7:13], five[1, ..., 0])


def test_a_prior_is_not_continued_over_another_codec(copy, launch):
    file = copy / RUNS["prior"] / "config.json"
    config = json.loads(file.read_text())
    config["metadata"]["codec_sha256"] = "0" * 64
    file.write_text(json.dumps(config))
    again = [*PRIOR, f"--codec={RUNS['codec']}"]
    done = launch("experiments.prior", *again, cwd=copy, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: codec sha256 is ")


@pytest.mark.all  # 6 seconds, of which the above needs none
def test_a_prior_is_evaluated_by_its_own_codec_where_that_has_been_replaced(
    copy, launch, evaluated
):
    before = evaluated("prior", copy)
    shutil.rmtree(copy / RUNS["codec"])
    launch("experiments.codec", *CODEC, "--seed=1", cwd=copy)
    again = [*PRIOR, f"--codec={RUNS['codec']}"]
    done = launch("experiments.prior", *again, cwd=copy, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: codec sha256 is ")
    assert RUNS["prior"] in line
    assert evaluated("prior", copy) == before  # its own codec is in its state


def test_files_go_to_codes_and_back(copy, launch):
    run, folder = f"--workdir={RUNS['codec']}", copy / "pictures" / "of mine"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name, sides in (("a.png", (5, 9)), ("b.png", (8, 6))):
        Image.fromarray(rng.integers(256, size=sides, dtype=np.uint8)).save(folder / name)
    launch("experiments.encode", run, "pictures", "codes.npz", cwd=copy)
    launch("experiments.decode", run, "codes.npz", "back", cwd=copy)
    with np.load(copy / "codes.npz") as found:
        assert found["codes"].shape == (2, 4, 5, 1)
        assert found["files"].tolist() == ["of mine/a.png", "of mine/b.png"]
    with Image.open(copy / "back/of mine/a.png") as picture:
        assert (picture.size, picture.mode) == ((9, 5), "L")
