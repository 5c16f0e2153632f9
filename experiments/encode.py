"""Turns files into codes, by a trained codec.

    python -m experiments.codec --medium=audio --workdir=runs/sounds
    python -m experiments.encode --workdir=runs/sounds FOLDER codes.npz
    python -m experiments.decode --workdir=runs/sounds codes.npz DECODED

INPUT is a file or a folder of files of the codec's medium: images, sounds or videos, of any size
and length. OUTPUT is an .npz file of integers, to be read with NumPy and used elsewhere: `codes`
[files, grid…, stages], −1 beyond the end of shorter signals, `sides` of the signals, and the names
of the `files`. It is replaced if it exists.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from absl import flags

from aigc_jax import printed
from aigc_jax.codec import coder_of
from aigc_jax.errors import InputError
from experiments.cli import launch
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import define_path, local
from experiments.families.codec import filing
from experiments.families.codec.experiment import EXPERIMENT
from experiments.families.codec.filing import coder_sha256
from experiments.runs.restore import restore

NAMES = ("INPUT", "OUTPUT")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the codec's run. Required.", values)


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    source, out = arguments.positional
    if not arguments.workdir:
        raise InputError("--workdir is required; see --help")
    target = check_out(out, "OUTPUT")
    if target.suffix != ".npz":
        raise InputError(f"OUTPUT: codes go to an .npz file, not to {out}")
    run = restore(EXPERIMENT, arguments.workdir)
    files = filing.inputs(Path(local(source, "INPUT")), run.metadata["medium"])
    found = filing.encode(run, files, coder_sha256(coder_of(run.state)))
    write_out(target, found.encode(), "OUTPUT")
    bits = int((found.codes >= 0).sum()) * np.log2(run.algorithm.quantiser.codes)
    print(printed.line(f"{len(files)} files in {target}, {bits / 8:,.0f} bytes of information"))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments, names=NAMES)


if __name__ == "__main__":
    main()
