"""What config.json says of a run, and whether a command may go on with it."""

import dataclasses
import importlib.metadata
import os
import platform
from typing import Any

import jax

from aigc_jax import optim
from aigc_jax.algorithm import State
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from experiments.cli.options import Options, refuse_changes
from experiments.runs.experiment import Experiment, Task

VERSIONED = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tokenizers")


_CODES = ("vq", "fsq")  # presets of experiments.vae before experiments.vq had them


def read_config(folder: RunFolder) -> dict[str, Any] | None:
    """A run's config.json in today's terms; None where the run has not begun.

    Raises:
      InputError: the file is not the JSON object of a run.
    """
    config = folder.read_config()
    if config and config["experiment"] == "vae" and config["options"].get("preset") in _CODES:
        config["experiment"] = "vq"
    return config


def check_experiment(experiment: Experiment, config: dict[str, Any], workdir: str) -> None:
    """Refuses a run of another experiment.

    Raises:
      InputError: names its experiment.
    """
    if config["experiment"] != experiment.name:
        raise InputError(
            f"workdir {workdir} holds a run of experiments.{config['experiment']}, and not of "
            f"experiments.{experiment.name}"
        )


def default_workdir(experiment: Experiment, options: Options) -> str:
    """runs/EXPERIMENT-DATA-PRESET; a file or folder of one's own is called by its stem.

    A run that began there under the experiment's former name is found there.
    """
    called = f"{options.data_name}-{options.preset}"
    former = f"runs/{experiment.formerly}-{called}"
    if experiment.formerly and RunFolder(former).read_config():
        return former
    return f"runs/{experiment.name}-{called}"


def check_continuation(
    experiment: Experiment, options: Options, stored: dict[str, Any] | None
) -> None:
    """Refuses a folder that holds another experiment, or this one under other options.

    Raises:
      InputError: names the experiment or the option.
    """
    if stored is None:
        return
    if stored["experiment"] != experiment.name:
        raise InputError(
            f"workdir {options.workdir} holds a run of experiments.{stored['experiment']}; "
            "choose another --workdir"
        )
    refuse_changes(options, stored["options"], str(options.workdir))
    steps = stored["options"].get("steps")
    if options.steps != steps and not experiment.extendable(options):
        raise InputError(
            f"--steps={options.steps} does not fit the run in {options.workdir}, whose learning "
            f"rate was laid out for steps={steps}; give that value or another --workdir"
        )


def describe_data(data: Any) -> dict[str, Any]:
    """What config.json says of a data set: enough to know it again."""
    described = {
        "name": data.name,
        "unit": data.unit,
        "train": len(data.train),
        "heldout": len(data.heldout),
        "sha256": data.fingerprint(),
    }
    classes = getattr(data, "classes", None)
    return {**described, "classes": list(classes)} if classes else described


def check_data(
    described: dict[str, Any], stored: dict[str, Any] | None, workdir: str | None
) -> None:
    """Refuses data that are not those the run was begun with.

    Raises:
      InputError: the fingerprints differ.
    """
    if stored is not None and stored["data"].get("sha256") != described["sha256"]:
        raise InputError(
            f"the data {described['name']} are not those that the run in {workdir} was trained on "
            "(their SHA-256 differs)"
        )


def check_metadata(
    metadata: dict[str, Any], stored: dict[str, Any] | None, workdir: str | None
) -> None:
    """Refuses to go on with a run under other metadata, such as another network that judges it.

    Raises:
      InputError: names the fact that differs.
    """
    for name, value in (stored or {}).get("metadata", {}).items():
        if name in metadata and metadata[name] != value:
            now, then = (str(fact)[:80] for fact in (metadata[name], value))
            differ = f"is {now}, but {then}" if now != then else "is not what it was"
            raise InputError(
                f"{name.replace('_', ' ')} {differ} for the run in {workdir}; "
                "give what it was begun with, or another --workdir"
            )


def describe(
    experiment: Experiment,
    options: Options,
    command: str,
    described: dict[str, Any],
    metadata: dict[str, Any],
    state: State,
    task: Task,
) -> dict[str, Any]:
    """What config.json says of a run: enough to sample from it and to repeat it."""
    parts = [state, *(part for part in state if isinstance(part, optim.State))]
    fields = {k: v for part in parts for k, v in part._asdict().items()}
    networks = {k: v for k, v in fields.items() if k.startswith("params")}
    device = jax.devices()[0]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "command": command,
        "options": dataclasses.asdict(options),
        "metadata": metadata,
        "parameters": {
            k.removeprefix("params").lstrip("_") or "model": sum(x.size for x in jax.tree.leaves(v))
            for k, v in networks.items()
        },
        "data": described,
        "metrics": experiment.descriptions(options, metadata),
        "score": task.score,
        "goal": task.goal,
        "hardware": cores
        if device.platform == "cpu"
        else f"{jax.device_count()} × {device.device_kind}",
        "versions": {
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in VERSIONED},
        },
    }
