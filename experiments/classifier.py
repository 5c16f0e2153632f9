"""Trains an image classifier and reports its accuracy; its features evaluate generated images.

    python -m experiments.classifier --dataset=fashion_mnist
    python -m experiments.classifier --images=FILE.npz    # with labels; or a folder of subfolders

Run the same command again to continue a run that was stopped.
"""

from collections.abc import Sequence
from typing import NoReturn

from experiments.families.classifier.experiment import EXPERIMENT
from experiments.runs import launcher


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments)


if __name__ == "__main__":
    main()
