"""Trains a VAE on images and reports its bound and its likelihood on held-out ones.

    python -m experiments.vae                       # the default preset, on 5,000 real digits
    python -m experiments.vae --preset=textbook     # the source article's VAE to the letter
    python -m experiments.vae --preset=iwae --dataset=mnist --samples=50
    python -m experiments.vae --preset=gated --dataset=fashion_mnist --prior=vamp
    python -m experiments.vae --images=FILE.npz     # or a folder of images
    python -m experiments.vae --preset=iwae --samples=50 --start_from=runs/a --workdir=runs/b

Run the same command again to continue a run that was stopped.
"""

import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from experiments import vq
from experiments.families.vae.experiment import EXPERIMENT
from experiments.runs import launcher

_PRESET = re.compile(r"--?preset=?(vq|fsq)")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program; presets that have moved to experiments.vq are handed on to it."""
    typed = sys.argv[1:] if arguments is None else list(arguments)
    named = (
        a + b if a.endswith("preset") else a for a, b in zip(typed, [*typed[1:], ""], strict=True)
    )
    if any(_PRESET.fullmatch(argument) for argument in named):
        vq.main(typed)
    launcher.main(EXPERIMENT, __doc__, typed)


if __name__ == "__main__":
    main()
