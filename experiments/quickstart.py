"""Trains three generative models and a classifier on real data, and writes one page about them.

    python -m experiments.quickstart

Takes two to three minutes on two CPU cores and needs no network. The first loss is shown within
seconds, and the page can be opened as soon as the first model is trained. Run it again to continue
where it stopped; what is finished is left as it is.
"""

import sys
from collections.abc import Iterator, Sequence
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
from experiments.runs.experiment import Experiment

# Fewer steps than the presets have, each with four evaluations. The quickest comes first.
RUNS: tuple[tuple[Experiment, dict[str, Any]], ...] = (
    (VAE, {"steps": 4000}),
    (LM, {"steps": 1000, "eval_every": 250}),
    (CLASSIFIER, {}),  # in whose features the GAN is evaluated
    (GAN, {"steps": 1200, "eval_every": 300}),
)
ON_PAGE = (GAN, VAE, LM, CLASSIFIER)  # in this order

LEAD = (
    "Three classic generative models, trained on real data on this machine: a GAN and a VAE on "
    "4,500 handwritten digits, a Transformer on the Python documentation. Every held-out metric is "
    "on data that the model has not seen. The classifier at the end evaluates the GAN's digits."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", "runs/quickstart", "Folder for the runs and the page.", values)
    steps = ", ".join(f"{chosen['steps']} ({e.name})" for e, chosen in RUNS if chosen)
    flags.DEFINE_integer(
        "steps",
        None,
        f"Steps of each run but the classifier's. Default: {steps}; for a run already begun, its "
        "own number.",
        flag_values=values,
    )


def train_all(workdir: str, steps: int | None) -> Iterator[RunFolder]:
    """Trains what is not trained yet, one after the other, and yields the folder of each."""
    for experiment, chosen in RUNS:
        folder = folder_of(workdir, experiment)
        begun = (read_config(folder) or {}).get("options", {})
        values: dict[str, Any] = {name: begun.get(name, value) for name, value in chosen.items()}
        if chosen and steps is not None:
            values["steps"] = steps
        if experiment is GAN:
            values["classifier"] = str(folder_of(workdir, CLASSIFIER).path)
        values["workdir"] = str(folder.path)
        options = from_flags(experiment.presets, values)
        flags = " ".join(f"--{name}={value}" for name, value in values.items())
        command = f"python -m experiments.{experiment.name} {flags}"
        yield training.train(experiment, options, command)


def folder_of(workdir: str, experiment: Experiment) -> RunFolder:
    """The folder of the experiment's run."""
    return RunFolder(f"{workdir}/{experiment.name}")


def write_page(workdir: str) -> Path:
    """Writes the page about the runs that have pages of their own, if it is older than one of them.

    Returns:
      Its path.
    """
    page = Path(workdir) / "index.html"
    folders = [folder_of(workdir, experiment) for experiment in ON_PAGE]
    folders = [folder for folder in folders if folder.page.exists()]
    newest = max(folder.page.stat().st_mtime_ns for folder in folders)
    if not page.exists() or page.stat().st_mtime_ns < newest:
        sections = [report.run_section(folder, read_config(folder) or {}) for folder in folders]
        RunFolder(workdir).write(page, report.page("aigc_jax quickstart", LEAD, sections))
    return page


def command(arguments: launch.Arguments) -> None:
    """Trains, and writes the page after each run."""
    for done, _ in enumerate(train_all(arguments.workdir, arguments.steps), start=1):
        page = write_page(arguments.workdir)
        line = printed.line(f"open {page.resolve()}")
        print(f"{line} ({done} of {len(RUNS)} models)\n", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments)


if __name__ == "__main__":
    main()
