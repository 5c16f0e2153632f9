"""The command line of every experiment: flags in, one-line errors and exit codes out.

Exit codes: 0 finished; 1 a bug; 2 unusable input, environment or output; 3 diverged; 130 and 143
interrupted by Ctrl-C and SIGTERM, and saved; 141 whoever read standard output has gone. A standard
error that cannot be written to changes nothing.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from aigc_jax import printed
from aigc_jax.errors import Diverged, InputError
from experiments import compiled, environment, streams, training
from experiments.experiment import Experiment
from experiments.interrupt import Interrupted
from experiments.options import define_flags, from_flags
from experiments.streams import OutputLost

BAD_INPUT, DIVERGED, CTRL_C = 2, 3, 130

_CACHE = flags.DEFINE_bool(
    "compilation_cache",
    True,
    "Keep compiled programs in $XDG_CACHE_HOME/aigc_jax, or ~/.cache/aigc_jax, so that the same "
    "command starts in less than half the time when it is given again.",
)


def report_errors(command: Callable[[], None], device: bool = True) -> NoReturn:
    """Runs a command and exits; an error that is a person's to mend is one line and a code.

    Args:
      command: what to do, under the settings of `environment`.
      device: start what it runs on first; False for a command that chooses it.
    """
    code = 0
    try:
        environment.settle()
        if device:
            environment.start_device()
        command()
    except InputError as error:
        print(printed.line(f"error: {error}"), file=sys.stderr)
        code = BAD_INPUT
    except Diverged as error:
        print(printed.line(f"diverged: {error}"), file=sys.stderr)
        code = DIVERGED
    except Interrupted as error:
        print(printed.line(error), file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = CTRL_C
    except OutputLost as lost:
        code = streams.give_up(lost)
    sys.exit(streams.finish(code))


def parse(arguments: Sequence[str], names: Sequence[str] = ()) -> list[str]:
    """Parses absl flags; what does not exist or does not parse ends in one line and code 2.

    Args:
      arguments: the program's name and its arguments.
      names: of those arguments that are no flags, each of which must be given.

    Returns:
      What is left: the program's name, and an argument for each of `names`.
    """
    streams.guard()
    # For --help, which shows the flags of the program's own module, known as its name.
    flags.FLAGS.register_key_flag_for_module(arguments[0], flags.FLAGS[_CACHE.name])
    try:
        left = flags.FLAGS(list(arguments))
    except SystemExit:
        sys.exit(streams.finish(0))  # absl ends --help with code 1, which here means a bug
    except OutputLost as lost:
        sys.exit(streams.give_up(lost))
    except flags.Error as error:
        print(printed.line(f"error: {error}; see --help"), file=sys.stderr)
        sys.exit(BAD_INPUT)
    if len(left) > 1 + len(names):
        extra = left[1 + len(names)]
        message = f"error: unexpected argument {extra!r}; options begin with --"
        print(printed.line(message), file=sys.stderr)
        sys.exit(BAD_INPUT)
    if len(left) < 1 + len(names):
        print(f"error: {names[len(left) - 1]} is missing; see --help", file=sys.stderr)
        sys.exit(BAD_INPUT)
    if _CACHE.value:
        compiled.keep_programs()
    logging.set_verbosity(logging.WARNING)  # JAX narrates its search for accelerators
    return left


def main(experiment: Experiment, instead: Callable[[], bool] = lambda: False) -> None:
    """The program of a training launcher.

    Args:
      experiment: what to train.
      instead: what flags of the launcher's own ask for; where it returns True, nothing is trained.
    """
    define_flags(experiment.presets)

    def train(_: list[str]) -> None:
        def command() -> None:
            if instead():
                return
            values = {name: flags.FLAGS[name].value for name in flags.FLAGS}
            options = from_flags(experiment.presets, values)
            module = f"python -m experiments.{experiment.name}"
            training.train(experiment, options, shlex.join([*module.split(), *sys.argv[1:]]))

        report_errors(command)

    app.run(train, flags_parser=parse)
