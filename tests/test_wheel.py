"""The wheel, installed into an environment of its own, works there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of what git tracks, so that no file of this checkout can help it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for part in ("aigc_jax", "experiments", "benchmarks", "tests"):
        for path in (ROOT / part).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = source / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_it_holds_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"aigc_jax", "experiments"}
    assert "aigc_jax/py.typed" in names
    assert "aigc_jax/gan/step.py" in names


def test_it_runs_from_an_empty_folder(wheel, environment, tmp_path):
    """Its own environment borrows only the dependencies of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    purelib = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    here, there = (
        subprocess.run(
            [p, "-c", purelib], capture_output=True, text=True, check=True
        ).stdout.strip()
        for p in (sys.executable, python)
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(there)
    Path(there, "dependencies.pth").write_text(here)
    environment = {k: v for k, v in environment.items() if k != "PYTHONPATH"}
    work = tmp_path / "work"
    work.mkdir()
    run = [python, "-m", "experiments.vae", "--steps=4", "--log_every=2", "--workdir=run"]
    done = subprocess.run(run, cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (work / "run" / "index.html").exists()
    where = "import aigc_jax; print(aigc_jax.__file__)"
    found = subprocess.run([python, "-c", where], cwd=work, env=environment, capture_output=True)
    assert os.fsdecode(found.stdout).startswith(str(tmp_path))
