"""Finished runs side by side: which differ only in their seed, and their metrics over seeds.

mean = Σ x_i / n,   standard error = √(Σ (x_i − mean)² / (n − 1)) / √n,   over n seeds
"""

import glob
import math
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from aigc_jax.errors import InputError
from aigc_jax.report import baselines_of, metrics_of
from aigc_jax.run_folder import RunFolder
from experiments.cli.paths import local
from experiments.runs.config import read_config

# What a result does not depend on: where files are, and how often something is shown or saved. Runs
# that differ in any other option, even one that is not known here, are different experiments.
_PLACES = {"workdir", "data_dir", "text", "images", "sounds", "videos"}
_LOOKS = {"log_every", "eval_every", "checkpoint_every", "steps_per_dispatch"}
INDIFFERENT = {"preset", "dataset", "seed", "profile", "tensorboard"} | _PLACES | _LOOKS


class Run(NamedTuple):
    """A finished run, as read from its folder."""

    path: str
    experiment: str
    data: str
    preset: str
    decisive: dict[str, Any]  # all else that decides the result, except the seed
    seed: int
    step: int
    seconds: float
    hardware: str
    metrics: dict[str, float]  # of the last evaluation
    baselines: dict[str, dict[str, float]]  # of trivial models

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.experiment, self.data, self.preset


class Row(NamedTuple):
    """Runs that differ only in their seed."""

    runs: tuple[Run, ...]  # by seed
    options: dict[str, Any]  # those by which it differs from other rows of its kind


class Baseline(NamedTuple):
    """A trivial model that runs are compared with."""

    name: str
    row: Row | None  # the only one that it belongs to; None where it is the same for all of them
    metrics: list[dict[str, float]]  # for each seed


class Estimate(NamedTuple):
    """A mean over n seeds."""

    mean: float
    standard_error: float | None  # None for a single seed
    n: int


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """The mean and its standard error; None where a value is missing."""
    known = [float(v) for v in values if v is not None]
    if not known or len(known) < len(values):
        return None
    n = len(known)
    return Estimate(fmean(known), stdev(known) / math.sqrt(n) if n > 1 else None, n)


def find(names: Sequence[str]) -> list[str]:
    """The folders of the named runs, each once; `*` and `?` match any existing names.

    Raises:
      InputError: a name matches no run.
    """
    found: dict[str, None] = {}
    for name in (local(name, "--runs") for name in names):
        paths = [name]
        if glob.has_magic(name) and not os.path.lexists(name):  # else it is the name itself
            paths = sorted(glob.glob(name.replace("[", "[[]")))
        paths = [path for path in paths if read_config(RunFolder(path))]
        if not paths:
            raise InputError(f"--runs: {name} holds no run")
        found |= dict.fromkeys(str(Path(p)) for p in paths)
    return list(found)


def read(path: str) -> Run | str:
    """A finished run; for an unfinished one, a phrase on how far it is."""
    folder = RunFolder(path)
    config, evaluations = read_config(folder) or {}, folder.heldout()
    options, score, goal = config["options"], config.get("score"), config.get("goal")
    if not evaluations:
        return "has no evaluation yet"
    last = evaluations[-1]
    scores = [m[score] for m in evaluations if score and m.get(score) is not None]
    at_goal = goal is not None and any(value <= goal for value in scores)
    if last["step"] != options["steps"] and not at_goal:
        return f"is not finished (step {last['step']:,} of {options['steps']:,})"
    decisive = {k: v for k, v in options.items() if k not in INDIFFERENT}
    if goal is not None:
        decisive["eval_every"] = options["eval_every"]
    decisive |= {f"model {k}": v for k, v in config["metadata"].items()}
    decisive["data sha256"] = str(config["data"]["sha256"])[:8]
    records = folder.read_metrics()
    return Run(
        path=path,
        experiment=config["experiment"],
        data=config["data"]["name"],
        preset=options["preset"],
        decisive={k: v for k, v in decisive.items() if v is not None},
        seed=options["seed"],
        step=last["step"],
        seconds=max(m.get("wall_s") or 0.0 for m in records),
        hardware=config["hardware"],
        metrics=metrics_of(last),
        baselines=baselines_of(records),
    )


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Groups runs that differ only in their seed, in the order of the first of each.

    Raises:
      InputError: two runs do not differ at all, and would count as two seeds.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(repr((run.kind, sorted(run.decisive.items()))), []).append(run)
    for group in groups.values():
        by_seed: dict[int, str] = {}
        for run in group:
            if run.seed in by_seed:
                raise InputError(
                    f"{by_seed[run.seed]} and {run.path} are the same run, with seed {run.seed}; "
                    "name one of them"
                )
            by_seed[run.seed] = run.path
    rows = []
    for group in groups.values():
        alike = [g[0].decisive for g in groups.values() if g[0].kind == group[0].kind]
        names = {k: None for decisive in alike for k in decisive}
        differing = [k for k in names if len({repr(d.get(k)) for d in alike}) > 1]
        options = {k: group[0].decisive.get(k) for k in differing}
        rows.append(Row(tuple(sorted(group, key=lambda run: run.seed)), options))
    return rows


def baselines_beside(rows: Sequence[Row]) -> list[Baseline]:
    """The trivial models of one experiment on one data set.

    Where two rows have one with the same seed and different metrics, because an option decides how
    models are evaluated, each row has its own.
    """
    found = []
    for name in {name: None for row in rows for run in row.runs for name in run.baselines}:
        by_seed: dict[int, dict[str, float]] = {}
        runs = [run for row in rows for run in row.runs if name in run.baselines]
        if all(by_seed.setdefault(r.seed, r.baselines[name]) == r.baselines[name] for r in runs):
            found.append(Baseline(name, None, list(by_seed.values())))
            continue
        for row in rows:
            metrics = [run.baselines[name] for run in row.runs if name in run.baselines]
            found.append(Baseline(name, row, metrics))
    return found
