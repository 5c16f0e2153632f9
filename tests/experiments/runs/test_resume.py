"""Killed at any moment, a run ends in the same bits as one that was never interrupted."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from functools import cache

import pytest
from digits import write_digits

pytestmark = pytest.mark.xdist_group("kill")  # which share their inputs

DIGITS = ["--dataset=mnist", "--batch_size=8", "--steps=40", "--steps_per_dispatch=2"]
EVERY = ["--log_every=5", "--eval_every=10", "--checkpoint_every=4"]
LM = ["--steps=40", "--steps_per_dispatch=2", "--batch_size=4", "--context=8"]
LM += ["--layers=1", "--heads=2", "--width=8"]
FAMILIES = {
    "gan": [*DIGITS, "--preset=mlp"],
    "vae": DIGITS,
    "lm": LM,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, launch):
    """What each family is given to read."""
    place = tmp_path_factory.mktemp("inputs")
    write_digits(place / "digits", train=200)
    (place / "small.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 60)
    digits = f"--data_dir={place / 'digits'}"
    launch("experiments.classifier", *DIGITS, digits, "--workdir=classifier", cwd=place)
    gan = [digits, f"--classifier={place / 'classifier'}"]
    return {"gan": gan, "vae": [digits], "lm": [f"--text={place / 'small.txt'}"]}


def arguments(name, workdir, inputs):
    return [*FAMILIES[name], *EVERY, *inputs[name], f"--workdir={workdir}"]


def state_digest(workdir, folder="checkpoints"):
    """The step of the newest checkpoint, and the SHA-256 of its whole state."""
    steps = [int(p.name) for p in (workdir / folder).iterdir() if p.name.isdecimal()]
    metadata = workdir / folder / str(max(steps)) / "meta" / "metadata"
    return max(steps), json.loads(metadata.read_text())["sha256"]


def metrics(workdir):
    """All lines of metrics.jsonl but for their wall time."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in lines]


def samples(workdir):
    return {p.name: p.read_bytes() for p in (workdir / "samples").iterdir() if p.name[0] != "."}


def chosen(*kept):
    """Each family; those that are not kept are left to `make test-all`."""
    for name in FAMILIES:
        yield pytest.param(name, marks=[] if name in kept else [pytest.mark.all])


@pytest.fixture(scope="module")
def wholes(launch, tmp_path_factory, inputs):
    """`wholes(name)`: a run of that family that nothing interrupted."""

    @cache
    def trained(name):
        folder = tmp_path_factory.mktemp("whole") / name
        launch(f"experiments.{name}", *arguments(name, folder, inputs), cwd=folder.parent)
        return name, folder

    return trained


@pytest.fixture
def whole(request, wholes):
    return wholes(request.param)


def same(run, reference, best):
    assert state_digest(run) == state_digest(reference)
    assert metrics(run) == metrics(reference)
    assert samples(run) == samples(reference)
    if best:
        assert state_digest(run, "best") == state_digest(reference, "best")


# What a VAE's run does, a GAN's does as well, and keeps its best.
@pytest.mark.parametrize("whole", [*chosen("gan", "lm")], indirect=True)
def test_kill_9_at_any_write(whole, forks, tmp_path, inputs):
    name, reference = whole
    options = arguments(name, tmp_path / "run", inputs)
    moments, kills, code = random.Random(name), 0, -signal.SIGKILL
    while code and kills < 4:
        # The first ends before a checkpoint exists, each later one may last longer.
        at = [moments.randrange(1, 10 + 40 * kills), str(tmp_path / "run")]
        code = forks.run(f"experiments.{name}", *options, cwd=tmp_path, struck=at).returncode
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
    assert kills >= 3
    if code:
        assert forks.run(f"experiments.{name}", *options, cwd=tmp_path).returncode == 0
    same(tmp_path / "run", reference, best=name == "gan")


# A process of its own, at any moment; of one family, since at each write it is each of them above.
@pytest.mark.parametrize("whole", [*chosen("lm")], indirect=True)
def test_kill_9_at_random_moments(whole, environment, tmp_path, inputs):
    name, reference = whole
    options = arguments(name, tmp_path / "run", inputs)
    moments, kills = random.Random(name), 0
    most = 2 if name == "lm" else 20
    for life in range(most + 1):
        command = [sys.executable, "-m", f"experiments.{name}", *options]
        with subprocess.Popen(
            command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as process:
            # A life is counted from what it prints, so that a fast machine is killed as often as a
            # slow one: the first ends before a checkpoint exists, each later one may last longer.
            told = "starting" if not kills else " train: "
            next((line for line in process.stderr if told in line), None)
            try:
                process.wait(moments.random() * 0.6 * max(kills - 2, 0) if life < most else None)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert kills >= 1
    same(tmp_path / "run", reference, best=name == "gan")


@pytest.mark.parametrize(
    ("whole", "signum"),
    [
        ("gan", signal.SIGTERM),
        pytest.param("vae", signal.SIGTERM, marks=pytest.mark.all),
        pytest.param("lm", signal.SIGTERM, marks=pytest.mark.all),
        ("lm", signal.SIGINT),
    ],
    indirect=["whole"],
)
def test_signals_save_first_and_exit_with_a_code_of_their_own(
    whole, signum, forks, launch, tmp_path, inputs
):
    name, reference = whole
    workdir = tmp_path / "run"
    module, options = f"experiments.{name}", arguments(name, workdir, inputs)
    done = forks.run(module, *options, cwd=tmp_path, struck=[60, str(workdir), signum])
    assert done.returncode == 128 + signum, done.stderr
    saved = int(re.search(r"interrupted: saved at step (\d+)", done.stderr)[1])
    assert state_digest(workdir)[0] == saved
    assert 0 < saved < 40
    done = launch(module, *options, cwd=tmp_path)
    assert f"at step {saved}" in done.stderr
    assert state_digest(workdir) == state_digest(reference)
    assert [f for f in metrics(workdir) if f["split"] != "train"] == [
        f for f in metrics(reference) if f["split"] != "train"
    ]


@pytest.mark.parametrize("whole", [*chosen("gan", "lm")], indirect=True)
def test_a_finished_run_says_so_and_is_left_as_it_is(whole, launch, inputs):
    name, folder = whole
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    done = launch(f"experiments.{name}", *arguments(name, folder, inputs), cwd=folder.parent)
    assert "finished" in done.stderr
    changed = {p.name for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed <= {"config.json", ".lock"}


def test_more_steps_continue_a_run_whose_schedule_does_not_depend_on_them(launch, tmp_path, inputs):
    few = [*DIGITS, *EVERY, *inputs["vae"]]
    launch("experiments.vae", *few, "--steps=10", "--workdir=run", cwd=tmp_path)
    launch("experiments.vae", *few, "--steps=20", "--workdir=run", cwd=tmp_path)
    launch("experiments.vae", *few, "--steps=20", "--workdir=whole", cwd=tmp_path)
    assert state_digest(tmp_path / "run") == state_digest(tmp_path / "whole")


# Of these, only the language model's rate depends on --steps.
@pytest.mark.parametrize("whole", ["lm"], indirect=True)
def test_a_schedule_laid_out_for_other_steps_is_refused(whole, launch, inputs):
    name, folder = whole
    options = [*arguments(name, folder, inputs), "--steps=90"]
    done = launch("experiments.lm", *options, cwd=folder.parent, check=False)
    assert done.returncode == 2
    assert "--steps=90" in done.stderr


def test_two_processes_do_not_share_a_folder(forks, tmp_path, inputs):
    options = [*DIGITS, "--steps=100000", *inputs["vae"], f"--workdir={tmp_path / 'run'}"]
    first = forks.start("experiments.vae", *options, cwd=tmp_path)
    while " train: " not in (first.stderr.read_text() if first.stderr.exists() else ""):
        time.sleep(0.05)
    second = forks.run("experiments.vae", *options, cwd=tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    assert forks.wait(first).returncode == -signal.SIGKILL
    assert second.returncode == 2
    assert "in use by another process" in second.stderr
