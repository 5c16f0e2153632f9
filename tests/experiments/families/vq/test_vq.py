"""Presets with discrete latents, from the command line to the page and back."""

import json

import numpy as np
import pytest

METRICS = {"mse", "mse_over_variance", "code_usage", "code_perplexity"}


@pytest.mark.parametrize("preset", ["vq", pytest.param("fsq", marks=pytest.mark.all)])
def test_a_run_is_evaluated_shown_sampled_from_and_evaluated_again(preset, launch, toy, tmp_path):
    cadence = ["--eval_every=4", "--checkpoint_every=4", "--log_every=4"]
    sizes = ["--width=4", "--steps=4", "--steps_per_dispatch=4", "--batch_size=8"]
    launch("experiments.vae", f"--preset={preset}", *sizes, *cadence, "--workdir=run", cwd=tmp_path)
    folder = tmp_path / "run"
    kinds = {p.stem.rsplit("_", 1)[0] + p.suffix for p in (folder / "samples").iterdir()}
    assert kinds == {"reconstructions.png", "samples.png", "codes.png", "codebook.txt"}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (heldout,) = (line for line in lines if line["split"] == "heldout")
    assert heldout.keys() >= METRICS
    assert 0 < heldout["code_usage"] <= 1
    assert toy.untold(folder) == (set(), set())
    done = launch("experiments.evaluate", "--workdir=run", "--out=again.json", cwd=tmp_path)
    assert "mean image" in done.stdout
    again = json.loads((tmp_path / "again.json").read_text())
    assert {name: again["heldout"][name] for name in METRICS} == {n: heldout[n] for n in METRICS}
    launch("experiments.sample", "--workdir=run", "--num=3", "--out=three.npz", cwd=tmp_path)
    assert np.load(tmp_path / "three.npz")["images"].shape == (3, 28, 28, 1)
