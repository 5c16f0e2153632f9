"""Turns codes back into files, by the codec that made them.

    python -m experiments.decode --workdir=runs/sounds codes.npz DECODED
    python -m experiments.decode --workdir=runs/sounds --stages=1 codes.npz COARSE

INPUT is a file of experiments.encode. OUTPUT is a folder, made if it is missing: PNG, WAV or GIF
files with the names of those that were coded. Files that are there already are not replaced.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from absl import flags

from aigc_jax import printed, storage
from aigc_jax.codec import coder_of
from aigc_jax.errors import InputError
from aigc_jax.run_folder import write_atomically
from experiments.cli import launch
from experiments.cli.paths import define_path, local
from experiments.families.codec import filing
from experiments.families.codec.experiment import EXPERIMENT
from experiments.families.codec.filing import coder_sha256
from experiments.runs.restore import restore

NAMES = ("INPUT", "OUTPUT")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the codec's run. Required.", values)
    flags.DEFINE_integer(
        "stages",
        None,
        "Decode by the first stages of residual quantisation alone. Default: all.",
        flag_values=values,
    )


def targets(folder: Path, files: Sequence[str], suffix: str) -> list[Path]:
    """Where each file goes.

    Raises:
      InputError: a name leads out of the folder, or a file is there already.
    """
    found = []
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\0" in name:
            raise InputError(f"INPUT: the name {name!r} leads out of the folder")
        target = folder.joinpath(*parts).with_suffix(suffix)
        if target in found:  # of a.png and a.jpg
            target = target.with_name(parts[-1] + suffix)
        if target.exists() or target in found:
            raise InputError(f"OUTPUT: {target} is there already; name another folder")
        found.append(target)
    return found


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    source, out = arguments.positional
    if not arguments.workdir:
        raise InputError("--workdir is required; see --help")
    folder = Path(local(out, "OUTPUT"))
    found = filing.read_codes(Path(local(source, "INPUT")))
    run = restore(EXPERIMENT, arguments.workdir)
    if found.codec_sha256 != coder_sha256(coder_of(run.state)):
        raise InputError(
            f"{source}: was made by another codec than that of {arguments.workdir}, or before it "
            "was trained further"
        )
    most = run.algorithm.quantiser.stages
    if arguments.stages is not None and not 1 <= arguments.stages <= most:
        raise InputError(f"--stages must be from 1 to {most}, got {arguments.stages}")
    places = targets(folder, found.files, filing.WRITTEN[run.metadata["medium"]])
    signals = filing.decode(run, found, arguments.stages)
    for place, signal in zip(places, signals, strict=True):
        with storage.told(place, "written"):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, filing.content(signal, run.metadata))
    print(printed.line(f"{len(places)} files in {folder}"))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments, names=NAMES)


if __name__ == "__main__":
    main()
