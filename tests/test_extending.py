"""A family is added by its own folders, a program and the catalogue, as the documentation shows.

The files are those of docs/snippets/toy_family, laid over a copy of this repository.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
FAMILY = ROOT / "docs/snippets/toy_family"
CATALOGUE = {
    "from experiments.families.lm.exp": "from experiments.families.mixture.experiment import "
    "EXPERIMENT as MIXTURE\n",
    "        CLASSIFIER,\n": "        MIXTURE,\n",
}
# Three programs and four commands, of which the second goes on with the first's run.
PROGRAM = """
import sys
from experiments import evaluate, mixture, sample
small = ["--batch_size=50", "--components=10", "--workdir=run", "--eval_every=100"]
for program, arguments in (
    (mixture, [*small, "--steps=100"]),
    (mixture, [*small, "--steps=200"]),
    (sample, ["--workdir=run", "--num=5", "--out=drawn.npz"]),
    (evaluate, ["--workdir=run", "--out=metrics.json"]),
):
    try:
        program.main(arguments)
    except SystemExit as end:
        assert end.code == 0, end.code
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of both packages with the family in it."""
    house = tmp_path_factory.mktemp("house")
    for package in ("aigc_jax", "experiments"):
        shutil.copytree(ROOT / package, house / package, ignore=shutil.ignore_patterns("__pyc*"))
    shutil.copytree(FAMILY, house, dirs_exist_ok=True)
    catalogue = house / "experiments/catalogue.py"
    text = catalogue.read_text()
    for before, line in CATALOGUE.items():
        assert text.count(before) == 1
        text = text.replace(before, line + before)
    catalogue.write_text(text)
    return house


def test_a_family_overwrites_no_file():
    files = [path.relative_to(FAMILY) for path in FAMILY.rglob("*.py")]
    assert files
    assert not [path for path in files if (ROOT / path).exists()]


def test_a_new_family_is_trained_continued_sampled_and_evaluated(house, environment):
    places = {"PYTHONPATH": str(house)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=house,
        env=environment | places,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "continuing run at step 100" in done.stderr
    assert np.load(house / "drawn.npz")["images"].shape == (5, 28, 28, 1)
    metrics = json.loads((house / "metrics.json").read_text())
    assert metrics["step"] == 200
    nll, alone = (metrics[of]["nll_nats"] for of in ("heldout", "independent pixels"))
    assert 100 < nll < alone - 20  # which no product of independent pixels reaches
    assert "Mixture of products of Bernoullis" in (house / "run/index.html").read_text()
