"""Trains the three classic models on real data, and makes one page of them.

    python -m experiments.quickstart

Takes a few minutes on two CPU cores and needs no network. Run it again to go on where it
stopped; what is finished is left as it is.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import flags

from aigc_jax import printed, report
from aigc_jax.run_folder import RunFolder
from experiments.cli import launch
from experiments.cli.options import from_flags
from experiments.cli.paths import define_path
from experiments.families.classifier.experiment import EXPERIMENT as CLASSIFIER
from experiments.families.gan.experiment import EXPERIMENT as GAN
from experiments.families.lm.experiment import EXPERIMENT as LM
from experiments.families.vae.experiment import EXPERIMENT as VAE
from experiments.runs import training
from experiments.runs.config import read_config

GAN_STEPS = 1500  # fewer than its preset's: digits that one can read, in a minute or two

RUNS = (CLASSIFIER, GAN, VAE, LM)

LEAD = (
    "Three classic generative models, trained on real data on this machine: a GAN and a VAE on "
    "4,500 handwritten digits, a Transformer on the Python documentation. Every held-out figure is "
    "on data that the model has not seen. The classifier at the end judges the GAN's digits."
)


def define_flags(values: flags.FlagValues) -> None:
    """What it can be told."""
    define_path("workdir", "runs/quickstart", "Folder for the runs and the page.", values)
    flags.DEFINE_integer(
        "steps", None, "Steps of each run. Default: each experiment's own.", flag_values=values
    )


def train_all(workdir: str, steps: int | None) -> list[RunFolder]:
    """Trains what is not trained yet, one after the other."""
    folders = []
    for experiment in RUNS:
        values: dict[str, Any] = {"workdir": f"{workdir}/{experiment.name}"}
        if experiment is GAN:
            values |= {"steps": steps or GAN_STEPS, "classifier": f"{workdir}/classifier"}
        elif experiment is not CLASSIFIER:  # which others are judged by
            values["steps"] = steps
        given = {name: value for name, value in values.items() if value is not None}
        options = from_flags(experiment.presets, values)
        flags = " ".join(f"--{name}={value}" for name, value in given.items())
        command = f"python -m experiments.{experiment.name} {flags}"
        folders.append(training.train(experiment, options, command))
    return folders


def command(arguments: launch.Arguments) -> None:
    """What the command line says."""
    workdir = arguments.workdir
    folders = train_all(workdir, arguments.steps)
    page = Path(workdir) / "index.html"
    newest = max(folder.page.stat().st_mtime_ns for folder in folders)
    if not page.exists() or page.stat().st_mtime_ns < newest:
        sections = [
            report.run_section(folder, read_config(folder) or {})
            for folder in folders[1:] + folders[:1]
        ]
        RunFolder(workdir).write(page, report.page("aigc_jax quickstart", LEAD, sections))
    print(f"\n{printed.line(f'open {page.resolve()}')}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments)


if __name__ == "__main__":
    main()
