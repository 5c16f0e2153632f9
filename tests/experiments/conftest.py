"""A toy experiment: a model that adds up what it reads, with a score that the test sets.

As a program it trains the toy in forks of itself, each killed at a chosen file operation.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forks import strike

from aigc_jax.algorithm import Algorithm
from aigc_jax.artefacts import Picture
from aigc_jax.settings import setting
from experiments.cli.options import Options, from_flags
from experiments.runs import training
from experiments.runs.experiment import Experiment, Task


@pytest.fixture(scope="session")
def digit_classifier(launch, tmp_path_factory):
    """The folder of a finished classifier of mnist5k, of hardly any training."""
    place = tmp_path_factory.mktemp("judge")
    launch("experiments.classifier", "--steps=4", "--workdir=classifier", cwd=place)
    return place / "classifier"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyOptions(Options):
    goal: float | None = setting(None, "When to stop.", changeable=True)


class State(NamedTuple):
    step: jax.Array
    params: jax.Array


class Info(NamedTuple):
    total: jax.Array


class Numbers:
    name, unit, train, heldout = "numbers", "numbers", np.arange(40.0), np.arange(4.0)

    def fingerprint(self):
        return "00"


def algorithm(options, metadata):
    def init(key):
        return State(jnp.int32(0), jax.random.normal(key, (1000,)))

    def step(state, batch):
        state = State(state.step + 1, jnp.cos(7 * state.params + batch.sum()))
        return state, Info(state.params.sum())

    return Algorithm(init, step, lambda state, key, n: jnp.zeros((n, 2, 2, 1)))


def wiggling(step):
    """Falls in the long run: of tens up to 120, the best so far are 10 to 50, 90, 100 and 110."""
    return 1000 / step + 8 * (step % 3 == 0) + 20 * (step % 70 == 0) + 9 * (step % 80 == 0)


class Toy:
    """What tests do with it.

    Args:
      score: the score at a step; None for an experiment without.
      at_evaluation: called with (step) before each evaluation.
      metrics: more of them, by step.
      final: more of them, of the last state.
      warnings: see `Experiment`.
    """

    def __init__(
        self,
        score: Mapping[int, float] | Callable | None = wiggling,
        at_evaluation: Callable[[int], None] = lambda step: None,
        metrics: Callable[[int], dict[str, float]] = lambda step: {},
        final: Mapping[str, float] = MappingProxyType({}),
        warnings: Callable[..., list[str]] = lambda evaluations, planned: [],
    ):
        of = score.__getitem__ if isinstance(score, Mapping) else score

        def task(options, data, metadata, algorithm):
            def evaluate(state):
                step = int(state.step)
                at_evaluation(step)
                weight = float(state.params.sum())
                return {"weight": weight, **({"score": of(step)} if of else {}), **metrics(step)}

            def artefacts(state):
                return {"samples": Picture(np.full((1, 1, 2, 2, 1), int(state.step) / 200))}

            baselines = {"one": {"weight": 1.0}}
            data = jnp.asarray(data.train)
            task = Task(data, lambda d, i: d[i], 40, evaluate, lambda: baselines, artefacts)
            return task._replace(
                final_metrics=lambda state: dict(final),
                score="score" if of else None,
                goal=options.goal,
            )

        presets = {
            "default": ToyOptions(
                steps=120, batch_size=4, eval_every=10, checkpoint_every=30, log_every=20
            )
        }
        self.experiment = Experiment(
            "toy",
            "Toy",
            presets,
            load=lambda options: Numbers(),
            metadata=lambda options, data: {},
            algorithm=algorithm,
            task=task,
            descriptions=lambda options, metadata: {},
            captions={"samples": "What the toy paints"},
            warnings=warnings,
            sample=lambda *_: None,
        )

    def train(self, workdir: Path, **values):
        options = from_flags(self.experiment.presets, {"workdir": str(workdir), **values})
        return training.train(self.experiment, options, "python -m toy")


def stored(folder: Path) -> dict[int, str]:
    """By step, the SHA-256 of each checkpoint in a folder; none where the folder is not."""
    steps = [p for p in folder.iterdir() if p.name.isdecimal()] if folder.exists() else []
    found = {int(p.name): json.loads((p / "meta/metadata").read_text())["sha256"] for p in steps}
    return dict(sorted(found.items()))


def metrics(workdir: Path) -> list[dict]:
    """The lines of metrics.jsonl, but for their wall time."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in lines]


def untold(workdir: Path) -> tuple[set[str], set[str]]:
    """Metrics in metrics.jsonl that config.json has no text of, and texts of no such metric."""
    texts = json.loads((workdir / "config.json").read_text("utf-8"))["metrics"]
    lines = metrics(workdir)
    names = {name for line in lines for name in line} - {"step", "split"}
    return names - texts.keys(), texts.keys() - names


def damage(checkpoint: Path) -> None:
    """Flips a bit of its arrays."""
    files = [f for f in (checkpoint / "state").rglob("*") if f.parent.name == "d"]
    largest = max(files, key=lambda f: f.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


@pytest.fixture(scope="session")
def toy():
    """`toy.Toy(score).train(workdir, steps=…)` and readers of what it leaves."""
    return sys.modules[__name__]


def serve():
    """Reads [workdir, operation or null], trains in a fork and writes how that ended."""
    for line in sys.stdin:
        workdir, operation = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            if operation:
                strike(operation, workdir)
            code = 1
            try:
                Toy().train(Path(workdir))
                code = 0
            finally:
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


@pytest.fixture(scope="session")
def train_and_kill(environment):
    """`train_and_kill(workdir, n)` → whether the training came to its end before its n-th write."""
    # The same flags, since these runs are held against one of this process, bit by bit.
    own = {"XLA_FLAGS": os.environ["XLA_FLAGS"]}
    own["PYTHONPATH"] = f"{environment['PYTHONPATH']}:{Path(__file__).parent.parent}"
    with contextlib.ExitStack() as stack:
        pipe = subprocess.PIPE
        server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=pipe,
            stdout=pipe,
            text=True,
            env={**environment, **own},
        )
        stack.enter_context(server)
        stack.callback(server.stdin.close)

        def run(workdir, operation=None):
            server.stdin.write(json.dumps([str(workdir), operation]) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            return code == 0

        yield run


if __name__ == "__main__":
    serve()
