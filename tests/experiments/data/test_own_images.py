"""The user's own images, from a file to a page: RGB, of another size, moved, changed, missing."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from aigc_jax.data.images import Images
from experiments.cli.options import from_flags
from experiments.data import images
from experiments.families.gan import experiment as gan
from experiments.families.lm import experiment as lm
from experiments.families.vae import experiment as vae
from experiments.runs.config import check_data, default_workdir, describe_data

SMALL = ["--steps=4", "--batch_size=8", "--eval_every=4", "--checkpoint_every=4", "--log_every=2"]


def squares(count=60):
    """Red or blue squares of 20×20 pixels with a bright block somewhere."""
    rng = np.random.default_rng(0)
    found = np.zeros((count, 20, 20, 3), np.uint8)
    for image in found:
        colour, y, x = rng.integers((2, 15, 15))
        image[..., 2 * colour] = 90
        image[y : y + 5, x : x + 5] = 250
    return found


@pytest.fixture(scope="module")
def place(launch, tmp_path_factory):
    """A folder with squares.npz and a VAE's run on it."""
    place = tmp_path_factory.mktemp("place")
    np.savez(place / "squares.npz", images=squares())
    launch("experiments.vae", "--images=squares.npz", *SMALL, cwd=place)
    return place


@pytest.fixture
def copy(place, tmp_path):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    return tmp_path


RUN = "runs/vae-squares-default"


def test_a_vae_trains_on_rgb_images_of_another_size(place):
    config = json.loads((place / RUN / "config.json").read_text())
    assert config["metadata"] == {"image_shape": [20, 20, 3], "classes": None}
    data = {k: config["data"][k] for k in ("name", "train", "heldout")}
    assert data == {"name": "squares", "train": 54, "heldout": 6}
    assert config["options"]["images"] == "squares.npz"
    assert (place / RUN / "index.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [("samples", 10, 10), ("reconstructions", 10, 2), ("manifold", 15, 15)],
)
def test_its_pictures_are_in_colour(place, name, columns, rows):
    with Image.open(place / RUN / "samples" / f"{name}_0000004.png") as picture:
        assert picture.mode == "RGB"
        assert picture.size == (2 * (21 * columns - 1), 2 * (21 * rows - 1))
        pixels = np.asarray(picture).astype(int)
    assert (pixels[..., 0] != pixels[..., 2]).any()


def test_the_reconstructed_images_are_the_held_out_ones(place):
    """Binarised: every pixel of the bright blocks is nearly surely on, every green one off."""
    with Image.open(place / RUN / "samples" / "reconstructions_0000004.png") as picture:
        sheet = np.asarray(picture.reduce(2)).astype(int)
    shown = sheet[:20, :20]
    assert set(np.unique(shown)) <= {0, 255}
    heldout = images.load(vae.VaeOptions(images=str(place / "squares.npz"))).heldout[0]
    bright = (heldout == 250).all(-1)
    assert (shown[bright] == 255).mean() > 0.9
    assert (shown[~bright][:, 1] == 0).all()


def test_samples_come_from_the_folder_alone(copy, launch):
    (copy / "squares.npz").unlink()
    arguments = [f"--workdir={RUN}", "--num=3", "--out=s.npz"]
    launch("experiments.sample", *arguments, cwd=copy)
    with np.load(copy / "s.npz") as samples:
        assert samples["images"].shape == (3, 20, 20, 3)


def test_evaluation_is_told_where_moved_images_are(copy, launch):
    (copy / "squares.npz").rename(copy / "moved.npz")
    evaluate = ["experiments.evaluate", f"--workdir={RUN}", "--out=f.json"]
    gone = launch(*evaluate, cwd=copy, check=False)
    assert (gone.returncode, gone.stderr) == (2, "error: squares.npz: no such file or folder\n")
    launch(*evaluate, "--images=moved.npz", cwd=copy)
    metrics = json.loads((copy / "f.json").read_text())["heldout"]
    lines = [json.loads(line) for line in (copy / RUN / "metrics.jsonl").read_text().splitlines()]
    (written,) = (line for line in lines if line["split"] == "heldout")
    assert metrics == {k: pytest.approx(written[k], rel=1e-6) for k in metrics}
    assert "nll_nats_per_image" in metrics


def test_a_run_goes_on_with_the_same_images_wherever_they_are(copy, launch):
    (copy / "png").mkdir()
    for i, image in enumerate(squares()):
        Image.fromarray(image).save(copy / "png" / f"{i:02}.png")
    arguments = ["--images=png", f"--workdir={RUN}", *SMALL, "--steps=6"]
    done = launch("experiments.vae", *arguments, cwd=copy)
    assert "continuing" in done.stderr
    assert "at step 4" in done.stderr


@pytest.mark.parametrize("module", ["vae", "evaluate"])
def test_changed_images_are_refused(copy, launch, module):
    changed = squares()
    changed[3, 4, 5, 1] ^= 1
    np.savez(copy / "squares.npz", images=changed)
    images = ["--images=squares.npz", *SMALL] if module == "vae" else [f"--workdir={RUN}"]
    done = launch(f"experiments.{module}", *images, cwd=copy, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the data squares are not those that the run in runs/vae-")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["vae", "gan"])
def test_unusable_images_are_one_line_and_nothing_is_written(launch, tmp_path, module):
    np.savez(tmp_path / "few.npz", images=squares(7))
    done = launch(f"experiments.{module}", "--images=few.npz", *SMALL, cwd=tmp_path, check=False)
    said = "error: few.npz: holds 7 images; at least 20 are needed\n"
    assert (done.returncode, done.stderr) == (2, said)
    assert [path.name for path in tmp_path.iterdir()] == ["few.npz"]


@pytest.mark.parametrize("experiment", [gan.EXPERIMENT, vae.EXPERIMENT])
@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("a/cats.npz", "cats"),
        ("a/cats", "cats"),
        ("a/cats/", "cats"),
        ("a/..", "here"),
        (".", "here"),
    ],
)
def test_a_run_is_called_by_the_stem_of_its_images(tmp_path, monkeypatch, experiment, path, stem):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    options = from_flags(experiment.presets, {"images": path, "preset": "textbook"})
    assert default_workdir(experiment, options) == f"runs/{experiment.name}-{stem}-textbook"


def test_without_own_images_a_run_is_called_by_its_data_set():
    options = from_flags(vae.EXPERIMENT.presets, {"dataset": "stacked_mnist"})
    assert default_workdir(vae.EXPERIMENT, options) == "runs/vae-stacked_mnist-default"
    options = from_flags(lm.EXPERIMENT.presets, {"text": "a/story.txt"})
    assert default_workdir(lm.EXPERIMENT, options) == "runs/lm-story-default"


def labelled(train, heldout, dtype=np.uint16):
    pixels = np.zeros((3, 4, 5, 1), np.uint8)
    return Images("toy", pixels, np.array(train, dtype), pixels, np.array(heldout, dtype))


def test_what_classes_are_called_is_kept_with_the_data_and_decides_nothing():
    toy = labelled([0, 1, 1], [1, 0, 0])
    assert "classes" not in describe_data(toy)
    named = describe_data(toy._replace(classes=("cat", "caf\udce9")))
    assert named["classes"] == ["cat", "caf\udce9"]
    check_data(describe_data(toy._replace(classes=("Cats", "dogs"))), {"data": named}, "runs/a")


def test_the_facts_count_the_classes_of_both_parts():
    options = vae.VaeOptions()
    assert images.metadata(options, labelled([0, 1, 2], [6, 0, 0]))["classes"] == 7
    assert images.metadata(options, labelled([0, 999, 2], [6, 0, 0]))["classes"] == 1000
    assert images.metadata(options, labelled([0, 255, 2], [6, 0, 0], np.uint8))["classes"] == 256
    unlabelled = labelled([0] * 3, [0] * 3)._replace(train_labels=None, heldout_labels=None)
    assert images.metadata(options, unlabelled) == {"image_shape": [4, 5, 1], "classes": None}
