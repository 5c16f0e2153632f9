"""Killed at any moment, a run ends in the same bits as one that was never interrupted."""

import json
import random
import re
import signal
import subprocess
import sys

import pytest

FAMILIES = {
    "gan": ["--preset=mlp", "--steps=420", "--steps_per_dispatch=7", "--batch_size=32"],
    "vae": ["--steps=420", "--steps_per_dispatch=7", "--batch_size=32"],
    "lm": ["--steps=60", "--steps_per_dispatch=3", "--width=16", "--layers=1", "--batch_size=4"],
}
EVERY = {
    "gan": ["--log_every=50", "--eval_every=200", "--checkpoint_every=30"],
    "vae": ["--log_every=50", "--eval_every=200", "--checkpoint_every=30"],
    "lm": ["--log_every=10", "--eval_every=20", "--checkpoint_every=4"],
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, digit_classifier):
    """What each family is given to read."""
    path = tmp_path_factory.mktemp("text") / "small.txt"
    path.write_text("the quick brown fox jumps over the lazy dog\n" * 60)
    return {"gan": [f"--classifier={digit_classifier}"], "vae": [], "lm": [f"--text={path}"]}


def arguments(name, workdir, inputs):
    return [*FAMILIES[name], *EVERY[name], *inputs[name], f"--workdir={workdir}"]


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


def start(name, options, environment, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", f"experiments.{name}", *options],
        env=environment,
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"kill-{name}")) for name in FAMILIES],
)
def whole(request, launch, tmp_path_factory, inputs):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / request.param
    launch(
        f"experiments.{request.param}", *arguments(request.param, folder, inputs), cwd=folder.parent
    )
    return request.param, folder


def test_kill_9_at_random_moments(whole, environment, tmp_path, inputs):
    name, reference = whole
    options = arguments(name, tmp_path / "run", inputs)
    moments, kills = random.Random(name), 0
    for _ in range(40):
        with start(name, options, environment, tmp_path) as process:
            # A life is counted from what it prints, so that a fast machine is killed as often as a
            # slow one: the first ends before a checkpoint exists, each later one may last longer.
            told = "starting" if not kills else " train: "
            next((line for line in process.stderr if told in line), None)
            try:
                process.wait(moments.random() * 0.6 * max(kills - 2, 0))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert kills >= 3
    assert state_digest(tmp_path / "run") == state_digest(reference)
    assert metrics(tmp_path / "run") == metrics(reference)
    assert samples(tmp_path / "run") == samples(reference)
    if name == "gan":
        assert state_digest(tmp_path / "run", "best") == state_digest(reference, "best")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_first_and_exit_with_a_code_of_their_own(
    whole, signum, environment, launch, tmp_path, inputs
):
    name, reference = whole
    if name == "vae" and signum == signal.SIGINT:
        pytest.skip("as the others; saves time")
    workdir = tmp_path / "run"
    options = arguments(name, workdir, inputs)
    with start(name, options, environment, tmp_path) as process:
        for line in process.stderr:
            if " train: " in line:  # training has begun
                process.send_signal(signum)
                break
        output = process.stderr.read()
    assert process.returncode == 128 + signum, output
    saved = int(re.search(r"interrupted: saved at step (\d+)", output)[1])
    assert state_digest(workdir)[0] == saved
    done = launch(f"experiments.{name}", *options, cwd=tmp_path)
    assert f"at step {saved}" in done.stderr
    assert state_digest(workdir) == state_digest(reference)
    assert [f for f in metrics(workdir) if f["split"] != "train"] == [
        f for f in metrics(reference) if f["split"] != "train"
    ]


def test_a_finished_run_says_so_and_is_left_as_it_is(whole, launch, inputs):
    name, folder = whole
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    done = launch(f"experiments.{name}", *arguments(name, folder, inputs), cwd=folder.parent)
    assert "finished" in done.stderr
    changed = {p.name for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed <= {"config.json", ".lock"}


def test_more_steps_continue_a_run_whose_schedule_does_not_depend_on_them(launch, tmp_path):
    few = [*EVERY["vae"], "--batch_size=32", "--steps_per_dispatch=10"]
    launch("experiments.vae", *few, "--steps=60", "--workdir=run", cwd=tmp_path)
    launch("experiments.vae", *few, "--steps=120", "--workdir=run", cwd=tmp_path)
    launch("experiments.vae", *few, "--steps=120", "--workdir=whole", cwd=tmp_path)
    assert state_digest(tmp_path / "run") == state_digest(tmp_path / "whole")


def test_a_schedule_laid_out_for_other_steps_is_refused(whole, launch, inputs):
    name, folder = whole
    if name != "lm":
        pytest.skip("of these, only the language model's rate depends on --steps")
    options = [*arguments(name, folder, inputs), "--steps=90"]
    done = launch("experiments.lm", *options, cwd=folder.parent, check=False)
    assert done.returncode == 2
    assert "--steps=90" in done.stderr


def test_two_processes_do_not_share_a_folder(environment, launch, tmp_path, inputs):
    options = ["--steps=100000", "--batch_size=32", f"--workdir={tmp_path / 'run'}"]
    with start("vae", options, environment, tmp_path) as process:
        next(line for line in process.stderr if " train: " in line)
        second = launch("experiments.vae", *options, cwd=tmp_path, check=False)
        process.kill()
    assert second.returncode == 2
    assert "in use by another process" in second.stderr
