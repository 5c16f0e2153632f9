"""What a run leaves behind, and what can be done with it."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from aigc_jax import report
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from experiments import quickstart
from experiments.cli.options import from_flags
from experiments.families.vae import experiment as vae
from experiments.runs import training

COMMANDS = {
    "gan": [
        "--preset=mlp",
        "--steps=40",
        "--eval_every=20",
        "--checkpoint_every=20",
        "--log_every=10",
    ],
    "vae": ["--steps=40", "--eval_every=20", "--checkpoint_every=20", "--log_every=10"],
    "lm": [
        "--steps=4",
        "--eval_every=2",
        "--checkpoint_every=2",
        "--log_every=2",
        "--width=16",
        "--layers=1",
        "--context=32",
    ],
}
PICTURES = {
    "gan": {"samples.png", "interpolations.png", "nearest.png"},
    "vae": {
        "samples.png",
        "reconstructions.png",
        "interpolations.png",
        "manifold.png",
        "latents.txt",
    },
    "lm": {"samples.txt"},
}


def evaluated_with(digit_classifier, name):
    return [f"--classifier={digit_classifier}"] if name == "gan" else []


def once(name, *marks):
    """The parameter of a run that is made once, in one worker."""
    return pytest.param(name, marks=[pytest.mark.xdist_group(f"run-{name}"), *marks])


@pytest.fixture(scope="module", params=[once(name) for name in COMMANDS])
def run(request, launch, digit_classifier, tmp_path_factory):
    """A short run of each family, by its default preset."""
    cwd = tmp_path_factory.mktemp(request.param)
    extra = ["--tensorboard", "--profile"] if request.param == "gan" else []
    extra += evaluated_with(digit_classifier, request.param)
    options = ["--steps_per_dispatch=2", *COMMANDS[request.param], *extra, "--workdir=run"]
    launch(f"experiments.{request.param}", *options, cwd=cwd)
    return request.param, cwd / "run"


def test_the_folder_holds_what_it_should(run):
    name, folder = run
    present = {p.name for p in folder.iterdir() if p.name[0] != "."}
    expected = {"config.json", "metrics.jsonl", "samples", "checkpoints", "index.html"}
    assert present == expected | ({"tensorboard", "profile", "best"} if name == "gan" else set())
    kinds = {p.stem.rsplit("_", 1)[0] + p.suffix for p in (folder / "samples").iterdir()}
    assert kinds == PICTURES[name]


def test_every_metric_has_a_text_and_every_text_a_metric(run, toy):
    assert toy.untold(run[1]) == (set(), set())


def test_metrics_are_one_object_a_line(run):
    _, folder = run
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} >= {"train", "heldout"}
    assert all(isinstance(line["step"], int) and line["wall_s"] >= 0 for line in lines)
    walls = [line["wall_s"] for line in lines]
    assert walls == sorted(walls)


def test_the_configuration_names_everything_that_decides_the_result(run):
    name, folder = run
    config = json.loads((folder / "config.json").read_text())
    assert config["experiment"] == name
    assert {"seed", "learning_rate", "batch_size", "preset", "steps"} <= config["options"].keys()
    assert len(config["data"]["sha256"]) == 64
    assert {"jax", "python"} <= config["versions"].keys()


def test_tensorboard_and_profile_are_written_where_asked_for(run):
    name, folder = run
    if name != "gan":
        pytest.skip("asked for with the GAN alone")
    assert any(p.name.startswith("events.out") for p in (folder / "tensorboard").iterdir())
    assert any(p.suffix == ".pb" for p in (folder / "profile").rglob("*"))


# The GAN has the most references.
@pytest.mark.parametrize(
    "run", [once("gan"), once("vae", pytest.mark.all), once("lm", pytest.mark.all)], indirect=True
)
def test_a_reference_that_a_kill_cut_off_is_written_by_the_next(
    run, launch, digit_classifier, tmp_path
):
    name, folder = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "checkpoints")
    first = (folder / "metrics.jsonl").read_text().splitlines()[0]
    (copy / "metrics.jsonl").write_text(first + "\n")
    launch(
        f"experiments.{name}",
        "--steps_per_dispatch=2",
        *COMMANDS[name],
        *evaluated_with(digit_classifier, name),
        "--workdir=run",
        cwd=tmp_path,
    )

    def splits(path):
        lines = (path / "metrics.jsonl").read_text().splitlines()
        return sorted(json.loads(line)["split"] for line in lines)

    assert splits(copy) == splits(folder)


def test_tensorboard_without_its_package_is_refused_before_anything_is_written(
    monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    values = {"tensorboard": True, "workdir": str(tmp_path / "run")}
    options = from_flags(vae.EXPERIMENT.presets, values)
    with pytest.raises(InputError, match="pip install"):
        training.train(vae.EXPERIMENT, options, "")
    assert not list(tmp_path.iterdir())


def test_samples_from_the_folder_alone(run, launch, tmp_path):
    name, folder = run
    if name == "lm":
        launch("experiments.sample", f"--workdir={folder}", "--num=2", "--out=s.txt", cwd=tmp_path)
        assert "――――――――" in (tmp_path / "s.txt").read_text()
        return
    launch("experiments.sample", f"--workdir={folder}", "--num=5", "--out=s.png", cwd=tmp_path)
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size == ((3 * 29 - 1) * 2, (2 * 29 - 1) * 2)
    launch("experiments.sample", f"--workdir={folder}", "--num=5", "--out=s.npz", cwd=tmp_path)
    images = np.load(tmp_path / "s.npz", allow_pickle=False)["images"]
    assert images.shape == (5, 28, 28, 1)
    assert images.dtype == np.float32


def test_evaluation_repeats_the_metrics_of_the_run(run, launch, tmp_path):
    name, folder = run
    done = launch("experiments.evaluate", f"--workdir={folder}", "--out=f.json", cwd=tmp_path)
    metrics = json.loads((tmp_path / "f.json").read_text())
    lists = metrics.pop("lists")
    assert lists.keys() == ({"kl_nats_by_latent"} if name == "vae" else set())
    for title, values in lists.items():
        assert sum(values) == pytest.approx(metrics["heldout"]["kl_nats"], rel=1e-5)
        assert f"\n{title}, the largest first: {max(values):.4g} " in done.stdout
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["split"] == "heldout"][-1]
    for name, value in metrics["heldout"].items():
        assert value == pytest.approx(last[name], rel=1e-6)
    for split in metrics.keys() - {"heldout", "step"}:
        (reference,) = (line for line in lines if line["split"] == split)
        for name, value in metrics[split].items():
            assert value == pytest.approx(reference[name], rel=1e-6)


@pytest.mark.all  # minutes; the page itself is shown above
def test_quickstart_makes_one_page_of_its_runs_and_finds_them_again(launch, tmp_path):
    launch("experiments.quickstart", "--steps=4", cwd=tmp_path)
    page = (tmp_path / "runs/quickstart/index.html").read_text()
    for heading in ("adversarial", "autoencoder", "Transformer"):
        assert f"{heading}" in page
    headings = re.findall("<h2>(.*?)</h2>", page)
    titles = {part.name: part.title for part in quickstart.RUNS}
    assert headings == [titles[name] for name in quickstart.ON_PAGE]
    # GAN, VAE, classifier; spectrograms of sounds and of their codec
    assert page.count("data:image/png;base64,") == 3 + 4 + 1 + 2
    assert page.count("data:image/gif;base64,") == 2  # the videos, and those of their codec
    assert page.count("data:audio/wav;base64,") == 3  # sounds; originals and decoded ones
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")
    for steps in (["--steps=4"], []):  # without, a run keeps the number it has
        again = launch("experiments.quickstart", *steps, cwd=tmp_path)
        assert again.stderr.count("finished") == len(quickstart.RUNS)
        assert (tmp_path / "runs/quickstart/index.html").read_text() == page


def test_help_names_each_option_with_its_default(launch, tmp_path):
    for name in COMMANDS:
        done = launch(f"experiments.{name}", "--help", cwd=tmp_path)
        shown = " ".join(done.stdout.split())
        for option in ("preset", "dataset", "data_dir", "workdir", "steps", "batch_size", "seed"):
            assert f"--{option}:" in shown
        for option in ("eval_every", "checkpoint_every", "log_every", "steps_per_dispatch"):
            assert f"--{option}: Steps" in shown
        for option in ("profile", "compilation_cache"):
            assert f"--[no]{option}" in shown
        assert ("Default: r3gan." if name == "gan" else "Default: default.") in shown


def test_quickstart_has_a_page_after_each_run_and_on_it_all_runs_there_are(
    tmp_path, monkeypatch, capfd
):
    pages = []

    def train(experiment, options, command):
        folder = RunFolder(options.workdir)
        if not folder.page.exists() or folder.path.name == trained:
            folder.create()
            config = {"title": experiment.title, "experiment": experiment.name}
            folder.write_config({**config, "options": {}, "metadata": {}, "data": {}})
            report.write_page(folder, folder.read_config())
        pages.append(re.findall("<h2>(.*?)</h2>", index.read_text()) if index.exists() else [])
        return folder

    index = tmp_path / "index.html"
    monkeypatch.setattr(training, "train", train)
    titles = {part.name: part.title for part in quickstart.RUNS}
    whole = [titles[name] for name in quickstart.ON_PAGE]
    for name, expected in ((None, list(range(8))), ("lm", [8] * 8)):
        trained = name
        with pytest.raises(SystemExit) as ended:
            quickstart.main([f"--workdir={tmp_path}"])
        assert ended.value.code in (0, None)
        assert list(map(len, pages)) == expected
        assert re.findall("<h2>(.*?)</h2>", index.read_text()) == whole
        assert capfd.readouterr().err.count(f"open {index}") == 8
        pages.clear()
