"""A run, restored from its folder."""

from typing import Any, NamedTuple

import jax

from aigc_jax import storage
from aigc_jax.algorithm import State
from aigc_jax.checkpoint import Checkpoints
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from experiments.cli.options import from_stored
from experiments.runs.config import check_experiment, read_config
from experiments.runs.experiment import Experiment

CHECKPOINTS = ("newest", "best")


class Restored(NamedTuple):
    """What a run's folder holds, ready to use."""

    experiment: Experiment
    options: Any
    metadata: dict[str, Any]
    algorithm: Any  # as the experiment makes it
    step: int
    state: State
    folder: RunFolder
    config: dict[str, Any]


def config_of(workdir: str) -> dict[str, Any]:
    """The config.json of a run.

    Raises:
      InputError: the folder holds no run.
    """
    config = read_config(RunFolder(workdir))
    if config is None:
        raise InputError(
            f"workdir {workdir} holds no run; train one first, with python -m experiments.gan, say"
        )
    return config


def restore(
    experiment: Experiment, workdir: str, checkpoint: str = "newest", **changes: Any
) -> Restored:
    """Restores a checkpoint of an experiment's run; the folder is only read.

    Args:
      experiment: the one that the run must be of.
      workdir: the run's folder.
      checkpoint: one of `CHECKPOINTS`; `best` is the state with the lowest held-out score.
      changes: options whose value differs from the run's own, such as `data_dir`; None changes
        nothing.

    Raises:
      InputError: the folder holds no such run, or the run no such checkpoint.
    """
    if checkpoint not in CHECKPOINTS:
        raise InputError(f"unknown checkpoint {checkpoint!r}; choose one of {CHECKPOINTS}")
    config = config_of(workdir)
    check_experiment(experiment, config, workdir)
    if checkpoint == "best" and config.get("score") is None:
        raise InputError(
            f"the run in workdir {workdir} keeps no best checkpoint; use --checkpoint=newest"
        )
    given = {k: v for k, v in changes.items() if v is not None}
    options = from_stored(experiment.presets, {**config["options"], **given})
    algorithm = experiment.algorithm(options, config["metadata"])
    like = jax.jit(algorithm.init)(jax.random.key(options.seed))
    folder, found = RunFolder(workdir), None
    place = folder.best if checkpoint == "best" else folder.checkpoints
    if storage.is_there(place):
        with Checkpoints(place) as checkpoints:
            found = checkpoints.restore_newest(like, repair=False)
    if found is None:
        kind = "best checkpoint" if checkpoint == "best" else "checkpoint"
        raise InputError(
            f"workdir {workdir} has no {kind} yet; run its command again to continue it"
        )
    return Restored(experiment, options, config["metadata"], algorithm, *found, folder, config)
