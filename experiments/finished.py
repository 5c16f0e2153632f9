"""A finished run, opened from its folder alone."""

from dataclasses import fields
from typing import Any, NamedTuple

import jax

from aigc_jax import storage
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.checkpoint import Checkpoints
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from experiments import classifier, gan, lm, translate, vae
from experiments.experiment import Experiment
from experiments.options import from_flags

CHECKPOINTS = ("newest", "best")
EXPERIMENTS = {m.EXPERIMENT.name: m.EXPERIMENT for m in (classifier, gan, lm, translate, vae)}


class Finished(NamedTuple):
    """What a run's folder holds, ready to use."""

    experiment: Experiment
    options: Any
    facts: dict[str, Any]
    algorithm: Algorithm
    step: int
    state: State
    folder: RunFolder
    config: dict[str, Any]


def open_run(workdir: str, checkpoint: str = "newest", **changes: Any) -> Finished:
    """Restores a checkpoint of a run; the folder is only read.

    Args:
      workdir: the run's folder.
      checkpoint: one of `CHECKPOINTS`; `best` is the state with the lowest held-out score.
      changes: options to take other values than the run was trained with, such as `data_dir`; None
        leaves them.

    Raises:
      InputError: the folder holds no run, or the run no such checkpoint.
    """
    if checkpoint not in CHECKPOINTS:
        raise InputError(f"unknown checkpoint {checkpoint!r}; choose one of {CHECKPOINTS}")
    folder = RunFolder(workdir)
    config = folder.read_config()
    if config is None:
        raise InputError(
            f"workdir {workdir} holds no run; train one first, with python -m experiments.gan, say"
        )
    if checkpoint == "best" and config.get("score") is None:
        raise InputError(
            f"the run in workdir {workdir} keeps no best checkpoint; take --checkpoint=newest"
        )
    experiment = EXPERIMENTS.get(config["experiment"])
    if experiment is None:
        raise InputError(
            f"workdir {workdir} holds a run of {config['experiment']!r}, which is not known here"
        )
    names = {f.name for f in fields(next(iter(experiment.presets.values())))}
    values = {k: v for k, v in {**config["options"], **_given(changes)}.items() if k in names}
    options = from_flags(experiment.presets, values)
    algorithm = experiment.algorithm(options, config["model"])
    like = jax.jit(algorithm.init)(jax.random.key(options.seed))
    found = None
    place = folder.best if checkpoint == "best" else folder.checkpoints
    if storage.is_there(place):
        with Checkpoints(place) as checkpoints:
            found = checkpoints.restore_newest(like, repair=False)
    if found is None:
        kind = "best checkpoint" if checkpoint == "best" else "checkpoint"
        raise InputError(
            f"workdir {workdir} has no {kind} yet; run its command again to go on with it"
        )
    return Finished(experiment, options, config["model"], algorithm, *found, folder, config)


def _given(changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in changes.items() if v is not None}
