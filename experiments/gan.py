"""Trains a GAN on images and reports how well its samples match held-out ones.

    python -m experiments.gan                       # the preset r3gan, on 5,000 real digits
    python -m experiments.gan --preset=textbook     # the source article's GAN to the letter
    python -m experiments.gan --dataset=fashion_mnist --conditional
    python -m experiments.gan --preset=sngan --augment=ada --images=FOLDER

Metrics are computed in the features of a classifier of the same data, which is trained first if
there is none. Run the same command again to continue a run that was stopped.
"""

from collections.abc import Sequence
from typing import NoReturn

from experiments.families.gan.experiment import EXPERIMENT
from experiments.runs import launcher


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments)


if __name__ == "__main__":
    main()
