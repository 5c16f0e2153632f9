"""What a run writes of its artefacts and metrics, and what its page shows of them."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from aigc_jax import report
from aigc_jax.algorithm import Algorithm
from aigc_jax.artefacts import Picture, Sound, Text, Video
from aigc_jax.metrics import collapse
from aigc_jax.run_folder import RunFolder
from experiments.catalogue import EXPERIMENTS
from experiments.runs.artefacts import write_artefact
from experiments.runs.config import read_config


class Killed(BaseException):
    pass


def shades(path):
    """The grey of each frame of an animation, as the toy paints it: 255 · step / 200."""
    with Image.open(path) as image:
        assert image.format == "GIF"
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append(int(np.asarray(image.convert("L"))[0, 0]))
        return found


def shades_of(steps):
    return [round(255 * step / 200) for step in steps]


def test_a_run_ends_with_an_animation_of_its_samples(toy, tmp_path):
    run = tmp_path / "run"
    toy.Toy().train(run)
    assert shades(run / "samples/samples.gif") == shades_of(range(10, 121, 10))
    assert (run / "index.html").read_text().count("data:image/gif;base64,") == 1
    toy.Toy().train(run, steps=140)
    assert shades(run / "samples/samples.gif") == shades_of(range(10, 141, 10))


@pytest.mark.parametrize(("steps", "there"), [(20, False), (30, True)])
def test_two_pictures_are_no_animation(toy, tmp_path, steps, there):
    toy.Toy().train(tmp_path / "run", steps=steps)
    assert (tmp_path / "run/samples/samples.gif").exists() == there


def test_pictures_of_evaluations_that_are_none_of_the_run_are_not_in_it(toy, tmp_path):
    def kill(step):
        if step == 60:
            raise Killed

    run = tmp_path / "run"
    with pytest.raises(Killed):
        toy.Toy(toy.wiggling, kill).train(run)  # checkpoint 30, evaluated at 40 and 50
    assert (run / "samples/samples_0000050.png").exists()
    toy.Toy().train(run, eval_every=20, steps=80)
    assert shades(run / "samples/samples.gif") == shades_of([10, 20, 30, 40, 60, 80])


@pytest.mark.parametrize(
    ("artefact", "suffix"),
    [
        (Text("text"), ".txt"),
        (Picture(np.zeros((1, 1, 2, 2, 1))), ".png"),
        (Sound(np.zeros(9), 8000), ".wav"),
        (Video(np.zeros((2, 2, 2, 1)), 10), ".gif"),
    ],
)
def test_an_artefact_is_named_after_its_step_and_kind(toy, tmp_path, artefact, suffix):
    folder = toy.Toy().train(tmp_path / "run", steps=1)
    write_artefact(folder, "thing", 12, artefact)
    written = folder.samples / f"thing_0000012{suffix}"
    assert {p.name for p in folder.samples.iterdir()} == {"samples_0000001.png", written.name}
    assert written.read_bytes() == artefact.encode()


def captions_on(page):
    return re.findall(r"<figcaption>(.*?) \(step [\d,]+\)</figcaption>", page)


def test_the_captions_are_the_experiments(toy, tmp_path):
    folder = toy.Toy().train(tmp_path / "run", steps=10)
    assert captions_on(folder.page.read_text("utf-8")) == ["What the toy paints"]


def test_a_run_made_before_captions_were_stored_has_those_of_its_time(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_config({"experiment": "gan", "options": {}, "model": {}, "data": {}})
    for name in ("nearest", "interpolations", "samples"):
        write_artefact(folder, name, 4, Picture(np.zeros((1, 1, 2, 2, 1))))
    section = report.run_section(folder, read_config(folder))
    assert captions_on(section) == [
        "Samples",
        "Straight lines in latent space, from the left image to the right one",
        "Samples and, to the right of each, the nearest training image",
    ]


def test_a_finished_run_keeps_the_captions_of_its_artefacts(toy, tmp_path):
    run = toy.Toy()
    run.train(tmp_path / "run", steps=10)
    run.experiment = run.experiment._replace(captions={"samples": "Renamed"})
    assert run.train(tmp_path / "run", steps=10).read_config()["captions"] == {
        "samples": "What the toy paints"
    }
    assert run.train(tmp_path / "run", steps=20).read_config()["captions"] == {"samples": "Renamed"}


def test_pages_know_no_experiments_artefacts():
    names = {name for experiment in EXPERIMENTS.values() for name in experiment.captions}
    names -= {"classes"}  # so the data's are called, too
    assert {"samples", "nearest", "manifold", "codebook", "hardest"} <= names
    tree = ast.parse(Path(report.__file__).read_text("utf-8"))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not names & words
    assert not re.search("gan|vae|classifier|generator", " ".join(map(str, words)))


class Norms(NamedTuple):
    total: jax.Array
    norm: jax.Array  # [2]


def test_each_number_of_a_metric_with_several_is_written_under_its_index(toy, tmp_path, capfd):
    run = toy.Toy()

    def algorithm(options, metadata):
        init, step, sample = toy.algorithm(options, metadata)

        def norms(state, batch):
            state, info = step(state, batch)
            by_layer = state.step.astype(jnp.float32) * jnp.array([1.0, 10.0])
            return state, Norms(info.total, by_layer)

        return Algorithm(init, norms, sample)

    run.experiment = run.experiment._replace(algorithm=algorithm)
    folder = run.train(tmp_path / "run", steps=4, log_every=2, steps_per_dispatch=2)
    lines = [line for line in toy.metrics(folder.path) if line["split"] == "train"]
    assert [(line["norm[0]"], line["norm[1]"]) for line in lines] == [(1.5, 15), (3.5, 35)]
    assert all("norm" not in line for line in lines)
    assert "norm[1] 35" in capfd.readouterr().err


def test_a_warning_is_noted_when_it_first_appears_and_stands_on_the_page(toy, tmp_path, capfd):
    coverage = {10: 0.8, 20: 0.2, 30: 0.1, 40: 0.9, 50: 0.3, 60: 0.25}
    run = tmp_path / "run"

    def warned():
        lines = [line for line in capfd.readouterr().err.splitlines() if "warning:" in line]
        return [int(line.split("at step ")[1].split(",")[0]) for line in lines]

    def train(steps):
        low = toy.Toy(
            None,
            metrics=lambda step: {"coverage": coverage[step]},
            warnings=collapse.warnings,
        )
        stored = low.train(run, steps=steps).read_config()["warnings"]
        page = (run / "index.html").read_text()
        assert page.count('class="warning"') == len(stored)
        assert all(sentence in page for sentence in stored)
        return warned(), bool(stored)

    assert train(10) == ([], False)
    assert train(30) == ([20], True)  # still low at 30
    assert train(50) == ([50], True)  # risen at 40
    assert train(60) == ([], True)  # known from the process before
    assert train(60) == ([], True)


def test_a_healthy_run_has_no_warning(toy, tmp_path, capfd):
    well = toy.Toy(None, metrics=lambda step: {"coverage": 0.5}, warnings=collapse.warnings)
    well.train(tmp_path / "run")
    assert "warning" not in capfd.readouterr().err
    assert 'class="warning"' not in (tmp_path / "run/index.html").read_text()


def test_how_many_evaluations_are_planned_decides_what_is_a_warning(toy, tmp_path):
    planned = []

    def warnings(evaluations, of):
        planned.append((len(evaluations), of))
        return []

    toy.Toy(warnings=warnings).train(tmp_path / "run", steps=25)  # evaluated at 10, 20 and 25
    assert planned[-1] == (3, 3)
    assert {of for _, of in planned} == {3}


def test_a_value_that_was_not_finite_is_no_reason_to_warn(toy, tmp_path):
    values = {10: 0.8, 20: float("nan")}
    seen = []

    def warnings(evaluations, planned):
        seen[:] = evaluations
        return []

    low = toy.Toy(None, metrics=lambda step: {"coverage": values[step]}, warnings=warnings)
    low.train(tmp_path / "run", steps=20)
    low.train(tmp_path / "run", steps=20)  # from metrics.jsonl, where it is null
    assert [evaluation.get("coverage") for evaluation in seen] == [0.8, None]
