"""The command line of every program: flags in, one-line errors and exit codes out.

Exit codes: 0 finished; 1 a bug; 2 unusable input, environment or output; 3 diverged; 130 and 143
interrupted by Ctrl-C and SIGTERM, and saved; 141 the reader of standard output has gone. A standard
error that cannot be written to changes nothing.

A program defines its flags in a `flags.FlagValues` of its own when it starts, so that importing it
defines none and several can run in one process.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import flags, logging

from aigc_jax import printed
from aigc_jax.errors import Diverged, InputError
from experiments.cli import compile_cache, environment, streams
from experiments.cli.paths import is_path, local
from experiments.cli.signals import Interrupted
from experiments.cli.streams import OutputLost

BAD_INPUT, DIVERGED, CTRL_C = 2, 3, 130


class Arguments:
    """The flags of one command as attributes, and its positional arguments.

    Attributes:
      positional: an argument for each of the program's `names`.
    """

    def __init__(self, values: flags.FlagValues, positional: Sequence[str] = ()):
        self._values, self.positional = values, tuple(positional)

    def __getattr__(self, name: str) -> Any:
        """The value of a flag; for a path, what `paths.local` returns.

        Raises:
          InputError: see `paths.local`.
        """
        if name.startswith("__") or name not in self._values:
            raise AttributeError(name)
        flag = self._values[name]
        if is_path(flag) and flag.value is not None:
            return local(flag.value, f"--{name}")
        return flag.value

    def given(self, *names: str) -> list[str]:
        """Which of these flags the command line sets."""
        return [name for name in names if self._values[name].present]

    def values(self) -> dict[str, Any]:
        """Every flag as it was parsed; None where it was neither given nor has a default."""
        return {name: self._values[name].value for name in self._values}


def run(
    description: str | None,
    define: Callable[[flags.FlagValues], None],
    command: Callable[[Arguments], None],
    arguments: Sequence[str] | None = None,
    *,
    names: Sequence[str] = (),
    device: bool = True,
) -> NoReturn:
    """A whole program: reads the command line, does what it says, and exits.

    Args:
      description: what --help shows above the flags; the program's docstring.
      define: defines the flags in the `FlagValues` that it is given.
      command: what to do, under the settings of `environment`.
      arguments: those of the command line. Default: the process's own.
      names: of the positional arguments, all of which are required.
      device: start the device first; False for a command that chooses it.
    """
    given = parse(description, define, sys.argv[1:] if arguments is None else arguments, names)
    report_errors(lambda: command(given), device)


def report_errors(command: Callable[[], None], device: bool = True) -> NoReturn:
    """Runs a command and exits; an error that the user can correct is one line and a code.

    Args:
      command: what to do, under the settings of `environment`.
      device: start the device first; False for a command that chooses it.
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


def parse(
    description: str | None,
    define: Callable[[flags.FlagValues], None],
    arguments: Sequence[str],
    names: Sequence[str] = (),
) -> Arguments:
    """Parses flags; what does not exist or does not parse ends in one line and code 2.

    Args:
      description, define, arguments, names: see `run`.
    """
    streams.guard()
    values = flags.FlagValues()
    define(values)
    _define_everybodys(values)
    try:
        _, *left = values(["", *arguments])
        if values["help"].value or values["helpfull"].value:
            print(_help(description, values))
            sys.exit(streams.finish(0))
    except OutputLost as lost:
        sys.exit(streams.give_up(lost))
    except flags.Error as error:
        print(printed.line(f"error: {error}; see --help"), file=sys.stderr)
        sys.exit(BAD_INPUT)
    if len(left) > len(names):
        message = f"error: unexpected argument {left[len(names)]!r}; options begin with --"
        print(printed.line(message), file=sys.stderr)
        sys.exit(BAD_INPUT)
    if len(left) < len(names):
        print(f"error: {names[len(left)]} is missing; see --help", file=sys.stderr)
        sys.exit(BAD_INPUT)
    if values["compilation_cache"].value:
        compile_cache.keep_programs()
    logging.set_verbosity(logging.WARNING)  # JAX narrates its search for accelerators
    return Arguments(values, left)


def _define_everybodys(values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "compilation_cache",
        True,
        "Keep compiled programs in $XDG_CACHE_HOME/aigc_jax, or ~/.cache/aigc_jax, so that the "
        "same command starts in less than half the time when it is given again.",
        flag_values=values,
    )
    for name in ("help", "helpfull"):
        flags.DEFINE_bool(name, False, "Show this.", flag_values=values)


def _help(description: str | None, values: flags.FlagValues) -> str:
    program = "program"
    for name in sorted({*values} - {"help", "helpfull"}):
        values.register_key_flag_for_module(program, values[name])
    shown = values.module_help(program).split("\n", 2)[-1]  # below the module's name
    return f"{(description or '').strip()}\n\nflags:\n\n{shown}"
