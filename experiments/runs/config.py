"""The content of config.json, and whether a command may continue its run."""

import importlib.metadata
import os
import platform
from typing import Any

import jax

from aigc_jax import optim
from aigc_jax.algorithm import State
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from aigc_jax.settings import to_json
from experiments.cli.options import Options, refuse_changes, stored_options
from experiments.runs.experiment import Experiment, Task

VERSIONED = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tokenizers")
_CODES = ("vq", "fsq")  # presets of experiments.vae before experiments.vq had them
_CAPTIONS = {
    "samples": "Samples",
    "classes": "Samples by class: one row for each",
    "interpolations": "Straight lines in latent space, from the left image to the right one",
    "nearest": "Samples and, to the right of each, the nearest training image",
    "reconstructions": "Held-out images and, to the right of each, their reconstructions",
    "hardest": "Held-out images, the least likely label first",
    "manifold": "The 2-D latent space, decoded at equal steps of the prior's distribution function",
    "traversals": "One image's latents moved from −3 to 3, each row the next most informative one",
    "latents": "How much each latent tells about held-out images",
    "codes": "The most used codes: in each image one of them is in all positions",
    "codebook": "How often codes are used",
}
"""Of every experiment's artefacts, before config.json had captions of its own."""


def read_config(folder: RunFolder) -> dict[str, Any] | None:
    """A run's config.json in today's format; None where the run has not begun.

    Raises:
      InputError: the file is not the JSON object of a run.
    """
    config = folder.read_config()
    if config is None:
        return None
    if config["experiment"] == "vae" and config["options"].get("preset") in _CODES:
        config["experiment"] = "vq"
    return {"captions": _CAPTIONS, **config}


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
    """runs/EXPERIMENT-DATA-PRESET; a user's own file or folder is named by its stem.

    A run that began under the experiment's former name stays where it is.
    """
    called = f"{options.data_name}-{options.preset}"
    former = f"runs/{experiment.formerly}-{called}"
    if experiment.formerly and RunFolder(former).read_config():
        return former
    return f"runs/{experiment.name}-{called}"


def check_continuation(
    experiment: Experiment, options: Options, stored: dict[str, Any] | None
) -> None:
    """Refuses a folder that holds another experiment, or this one with other options.

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
            f"rate was scheduled for steps={steps}; give that value or another --workdir"
        )


def describe_data(data: Any) -> dict[str, Any]:
    """The data set in config.json: enough to recognise it."""
    described = {
        "name": data.name,
        "unit": data.unit,
        "train": getattr(data, "examples", len(data.train)),  # more than is stored, if generated
        "heldout": len(data.heldout),
        "sha256": data.fingerprint(),
    }
    classes = getattr(data, "classes", None)
    return {**described, "classes": list(classes)} if classes else described


def check_data(
    described: dict[str, Any], stored: dict[str, Any] | None, workdir: str | None
) -> None:
    """Refuses data other than those the run was begun with.

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
    """Refuses to continue a run with other metadata, such as another classifier to evaluate it.

    Raises:
      InputError: names what differs.
    """
    for name, value in (stored or {}).get("metadata", {}).items():
        if name in metadata and metadata[name] != value:
            now, then = (str(known)[:80] for known in (metadata[name], value))
            differ = f"is {now}, but {then}" if now != then else "is not what it was"
            raise InputError(
                f"{name.replace('_', ' ')} {differ} for the run in {workdir}; "
                "give what it was started with, or another --workdir"
            )


def _declared(options: Options) -> dict[str, Any]:
    """The model's whole config, and what its preset says of itself."""
    if options.declared is None:
        return {}
    preset = options.declared
    said = {name: getattr(preset, name) for name in ("about", "command", "time", "reaches")}
    return {"config": to_json(options.config), "preset": said}


def describe(
    experiment: Experiment,
    options: Options,
    command: str,
    described: dict[str, Any],
    metadata: dict[str, Any],
    state: State,
    task: Task,
) -> dict[str, Any]:
    """The content of config.json: enough to sample from the run and to repeat it."""
    parts = [state, *(part for part in state if isinstance(part, optim.State))]
    fields = {k: v for part in parts for k, v in part._asdict().items()}
    networks = {k: v for k, v in fields.items() if k.startswith("params")}
    device = jax.devices()[0]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "command": command,
        "options": stored_options(options),
        **_declared(options),
        "metadata": metadata,
        "parameters": {
            k.removeprefix("params").lstrip("_") or "model": sum(x.size for x in jax.tree.leaves(v))
            for k, v in networks.items()
            if jax.tree.leaves(v)
        },
        "data": described,
        "metrics": experiment.descriptions(options, metadata),
        "captions": dict(experiment.captions),
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
