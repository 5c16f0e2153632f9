"""Trains models of images, text, sounds and videos, and writes one page about them.

    python -m experiments.quickstart

Takes about four minutes on two CPU cores and needs no network. The first loss is shown within
seconds, and the page can be opened as soon as the first model is trained. Run it again to continue
where it stopped; what is finished is left as it is.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from absl import flags

from aigc_jax import printed, report
from aigc_jax.run_folder import RunFolder
from experiments.cli import launch
from experiments.cli.options import from_flags
from experiments.cli.paths import define_path
from experiments.families.classifier.experiment import EXPERIMENT as CLASSIFIER
from experiments.families.codec.experiment import EXPERIMENT as CODEC
from experiments.families.gan.experiment import EXPERIMENT as GAN
from experiments.families.lm.experiment import EXPERIMENT as LM
from experiments.families.prior.experiment import EXPERIMENT as PRIOR
from experiments.families.vae.experiment import EXPERIMENT as VAE
from experiments.runs import training
from experiments.runs.config import read_config
from experiments.runs.experiment import Experiment


class Part(NamedTuple):
    """One of the runs: the folder's name, the experiment, options, and the title on the page."""

    name: str
    experiment: Experiment
    options: Mapping[str, Any]
    title: str
    needs: Mapping[str, str] = MappingProxyType({})  # by option, whose folder it is


def _brief(steps: int, **others: Any) -> dict[str, Any]:
    """Of a codec or a prior: evaluated once, by no classifiers, whose training takes longer."""
    often = {"eval_every": steps, "checkpoint_every": steps, "log_every": 50}
    return {"steps": steps, **often, "judges": False, **others}


# Fewer steps than the presets have. The quickest comes first.
RUNS = (
    Part("vae", VAE, {"steps": 4000}, VAE.title),
    Part("lm", LM, {"steps": 500, "eval_every": 250}, LM.title),
    Part("classifier", CLASSIFIER, {}, CLASSIFIER.title),  # in whose features the GAN is evaluated
    Part(
        "gan",
        GAN,
        {"steps": 800, "eval_every": 400},
        GAN.title,
        {"classifier": "classifier"},
    ),
    Part(
        "video-codec",
        CODEC,
        _brief(120, preset="video", digits=1, frames=8, batch_size=8, learning_rate=2e-3),
        "Codec of videos",
    ),
    Part(
        "video",
        PRIOR,
        _brief(120, layout="delay", layers=2, dropout=0.0, batch_size=8),
        "Videos: a prior over codes",
        {"codec": "video-codec"},
    ),
    Part(
        "sound-codec",
        CODEC,
        _brief(
            500,
            preset="audio",
            window=512,
            width=64,
            griffin_lim=4,
            stage_dropout=0.0,
            batch_size=8,
            learning_rate=3e-3,
        ),
        "Codec of sounds",
    ),
    Part(
        "sound",
        PRIOR,
        _brief(120, layout="delay", layers=2, batch_size=32),
        "Sounds: a prior over codes",
        {"codec": "sound-codec"},
    ),
)
ON_PAGE = ("gan", "vae", "lm", "sound", "video", "sound-codec", "video-codec", "classifier")

LEAD = (
    "Generative models of four media, trained on this machine: a GAN and a VAE on 4,500 "
    "handwritten digits, a Transformer on the Python documentation, and priors over the codes of "
    "synthesised tones and of moving digits. All are trained for less than a minute, which is too "
    "short for sounds and videos: they are out of tune and blurred. The presets train for longer. "
    "Every held-out metric is on data that the model has not seen. The "
    "classifier at the end evaluates the GAN's digits."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", "runs/quickstart", "Folder for the runs and the page.", values)
    steps = ", ".join(f"{p.options['steps']} ({p.name})" for p in RUNS if p.options)
    flags.DEFINE_integer(
        "steps",
        None,
        f"Steps of each run but the classifier's. Default: {steps}; for a run already begun, its "
        "own number.",
        flag_values=values,
    )


def train_all(workdir: str, steps: int | None) -> Iterator[RunFolder]:
    """Trains what is not trained yet, one after the other, and yields the folder of each."""
    for part in RUNS:
        experiment, folder = part.experiment, folder_of(workdir, part.name)
        begun = (read_config(folder) or {}).get("options", {})
        values: dict[str, Any] = {n: begun.get(n, value) for n, value in part.options.items()}
        if part.options and steps is not None:
            values["steps"] = steps
        values |= {option: str(folder_of(workdir, n).path) for option, n in part.needs.items()}
        values["workdir"] = str(folder.path)
        options = from_flags(experiment.presets, values)
        flags = " ".join(f"--{name}={value}" for name, value in values.items())
        command = f"python -m experiments.{experiment.name} {flags}"
        yield training.train(experiment, options, command)


def folder_of(workdir: str, name: str) -> RunFolder:
    """The folder of the run of that name."""
    return RunFolder(f"{workdir}/{name}")


def write_page(workdir: str) -> Path:
    """Writes the page about the runs that have pages of their own, if it is older than one of them.

    Returns:
      Its path.
    """
    page = Path(workdir) / "index.html"
    folders = {name: folder_of(workdir, name) for name in ON_PAGE}
    folders = {name: folder for name, folder in folders.items() if folder.page.exists()}
    titles = {part.name: part.title for part in RUNS}
    newest = max(folder.page.stat().st_mtime_ns for folder in folders.values())
    if not page.exists() or page.stat().st_mtime_ns < newest:
        sections = [
            report.run_section(folder, {**(read_config(folder) or {}), "title": titles[name]})
            for name, folder in folders.items()
        ]
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
