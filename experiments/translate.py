"""Trains a Transformer to translate, or translates with one.

    python -m experiments.translate                 # dates and names, English to Chinese
    python -m experiments.translate --target=de     # any locale
    python -m experiments.translate --preset=tiny_mt --pairs=FILE.tsv --source=en --target=de
    python -m experiments.translate --preset=tiny_mt --source_file=FILE --target_file=FILE
    python -m experiments.translate --workdir=runs/translate-cldr-en-zh-default --input=FILE
    echo "Monday, June 3, 2024" | python -m experiments.translate --workdir=... --input=-

With --input, each line of the file (- is the standard input) is translated by the run in --workdir;
one line comes out for each that goes in, blank ones too. Repeat a training command to continue it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from experiments.cli import launch
from experiments.cli.paths import define_path, local
from experiments.families.translate.experiment import EXPERIMENT
from experiments.families.translate.translation import SentenceTranslator
from experiments.runs import launcher
from experiments.runs.restore import restore


def translate_lines(workdir: str, name: str) -> None:
    """Writes the translation of each line of a file, or of - the standard input, to the output.

    Raises:
      InputError: the run or the file cannot be used, or a line is too long.
    """
    run = restore(EXPERIMENT, workdir)
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"--input: cannot read {name} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--input: {name} is not UTF-8 (byte {error.start})") from error
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]  # what follows the last line break is not a line
    translator = SentenceTranslator(run.options, run.metadata, run.algorithm)
    for line in translator.translate(run.state, lines):
        print(printed.lines(line))


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags beyond those of training."""
    define_path(
        "input", None, "File to translate line by line, or - for the standard input.", values
    )


def translates(arguments: launch.Arguments) -> bool:
    """Whether --input asks for a translation, which is then written."""
    if arguments.input is None:
        return False
    if arguments.workdir is None:
        raise InputError("--input needs the --workdir of a run that translates")
    translate_lines(local(arguments.workdir, "--workdir"), arguments.input)
    return True


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program: training, or with --input translating."""
    launcher.main(EXPERIMENT, __doc__, arguments, define=define_flags, instead=translates)


if __name__ == "__main__":
    main()
