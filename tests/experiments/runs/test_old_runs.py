"""Runs that version 0.1 began: they resume, sample and evaluate as they did.

old_runs.tar.xz holds two folders as that version left them after 4 of 8 steps, the metrics that it
wrote on the way to step 8, and the text that one of them is trained on. `vq` was a preset of
experiments.vae then.
"""

import json
import tarfile
from pathlib import Path

import pytest

COMMANDS = {
    "vq": "experiments.vae --preset=vq --width=4 --codes=8 --latent_size=2",
    "lm": "experiments.lm --text=text.txt --width=8 --layers=1 --heads=2 --context=16",
}
CADENCE = ["--steps=8", "--batch_size=8", "--eval_every=4", "--checkpoint_every=4"]
CADENCE += ["--log_every=2", "--steps_per_dispatch=2"]


@pytest.fixture
def place(tmp_path):
    with tarfile.open(Path(__file__).parent / "old_runs.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def lines(path):
    found = (json.loads(line) for line in path.read_text().splitlines())
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in found]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_of_an_earlier_version_goes_on_as_it_did(name, place, launch):
    """Up to Muon's iterations, which are others since and here those of that version."""
    launch("earlier_muon", *COMMANDS[name].split(), *CADENCE, f"--workdir={name}", cwd=place)
    found, expected = lines(place / name / "metrics.jsonl"), lines(place / f"{name}.expected.jsonl")
    for line, wanted in zip(found[-len(expected) :], expected, strict=True):
        assert line.pop("split") == wanted.pop("split")
        assert line == pytest.approx(wanted, rel=1e-4)
    config = json.loads((place / name / "config.json").read_text("utf-8"))
    assert config["experiment"] == name
    assert config["metadata"]
    assert config["metrics"].keys() >= expected[-1].keys() - {"step"}


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_sampled_and_evaluated_where_it_stands(name, place, launch):
    before = {p: p.read_bytes() for p in (place / name).rglob("*") if p.is_file()}
    out = "s.txt" if name == "lm" else "s.png"
    sampled = launch(
        "experiments.sample", f"--workdir={name}", "--num=2", f"--out={out}", cwd=place
    )
    assert "at step 4" in sampled.stdout
    launch("experiments.evaluate", f"--workdir={name}", "--out=m.json", cwd=place)
    metrics = json.loads((place / "m.json").read_text())["heldout"]
    stored = [line for line in lines(place / name / "metrics.jsonl") if line["split"] == "heldout"]
    assert {k: metrics[k] for k in stored[-1] if k in metrics} == pytest.approx(
        {k: v for k, v in stored[-1].items() if k in metrics}, rel=1e-4
    )
    assert before == {p: p.read_bytes() for p in (place / name).rglob("*") if p.is_file()}
