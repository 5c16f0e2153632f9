"""Trains a classifier of images or of sounds, whose features evaluate generated ones.

    python -m experiments.classifier --dataset=fashion_mnist
    python -m experiments.classifier --images=FILE.npz    # with labels; or a folder of subfolders
    python -m experiments.classifier --dataset=tones --attribute=timbre
    python -m experiments.classifier --sounds=FOLDER      # of a subfolder for each class

Sounds are classified by pictures of their log-mels.

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
