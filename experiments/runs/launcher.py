"""The program of every training launcher: flags in, a trained run out."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags

from experiments.cli import launch
from experiments.cli.options import define_flags, from_flags
from experiments.runs import training
from experiments.runs.experiment import Experiment


def main(
    experiment: Experiment,
    description: str | None,
    arguments: Sequence[str] | None = None,
    *,
    define: Callable[[flags.FlagValues], None] = lambda values: None,
    instead: Callable[[launch.Arguments], bool] = lambda arguments: False,
    chosen: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda values: values,
) -> NoReturn:
    """Trains as the command line asks, and exits.

    Args:
      experiment: what to train.
      description: what --help shows above the flags.
      arguments: of the command line. Default: the process's own.
      define: defines flags beyond those of the experiment's options.
      instead: does what these ask for; where it returns True, nothing is trained.
      chosen: the values of flags, changed where those beyond the options decide others.
    """
    typed = sys.argv[1:] if arguments is None else list(arguments)

    def define_all(values: flags.FlagValues) -> None:
        define_flags(experiment.presets, values)
        define(values)

    def command(given: launch.Arguments) -> None:
        if instead(given):
            return
        options = from_flags(experiment.presets, chosen(given.values()))
        module = f"python -m experiments.{experiment.name}"
        training.train(experiment, options, shlex.join([*module.split(), *typed]))

    launch.run(description, define_all, command, typed)
