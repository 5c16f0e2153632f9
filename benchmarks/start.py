"""From a command to its first step, with and without compiled programs of an earlier start.

    python -m benchmarks.start
    python -m benchmarks.start --experiment=vae

The command is `python -m experiments.lm --steps=1` in an empty folder; the time is that until it
has printed the loss of its first step, which includes Python's own start and all imports.

  cold         an empty cache
  ours (scan)  programs are taken from the user's cache folder

Both are checked to give the same loss.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from absl import flags

from aigc_jax.errors import InputError
from benchmarks.harness import side_by_side
from benchmarks.harness.turns import Check, Row, counted
from experiments.cli import launch

ROWS = ("cold", side_by_side.OURS)
ROOT = Path(__file__).parent.parent


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_enum("experiment", "lm", ("lm", "vae"), "Which one starts.", flag_values=values)


def first_loss(experiment: str, cache: Path) -> float:
    """Starts a training, and ends it as soon as it has printed its first step's loss.

    Raises:
      InputError: it printed none.
    """
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", f"experiments.{experiment}", "--steps=1", "--workdir=run"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
        paths = {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        process = subprocess.Popen(
            command,
            cwd=place,
            env={**kept, **paths, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                if found := re.search(r"train: \S+ (\S+)", line):
                    process.kill()
                    return float(found[1])
    raise InputError(f"{shlex.join(command)} ended before its first step")


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """The loss that every start must give, and a factory of each row."""
    place = tempfile.TemporaryDirectory()  # deleted with the rows that use it
    cache = Path(place.name)

    def cold() -> np.ndarray:
        shutil.rmtree(cache / "cold", ignore_errors=True)
        return np.array(first_loss(arguments.experiment, cache / "cold"))

    def warm() -> np.ndarray:
        return np.array(first_loss(arguments.experiment, Path(place.name) / "warm"))

    nothing = np.zeros((1, 1))
    check = Check(nothing, nothing, warm()[None, None])
    return check, dict(zip(ROWS, (lambda: counted(cold), lambda: counted(warm)), strict=True))


if __name__ == "__main__":
    side_by_side.main(
        __doc__, "From a command to its first step", prepare, ROWS, define=define_flags
    )
