"""Trains a mixture of products of Bernoullis on images and reports its held-out likelihood.

python -m experiments.mixture --components=50
"""

from collections.abc import Sequence
from typing import NoReturn

from experiments.families.mixture.experiment import EXPERIMENT
from experiments.runs import launcher


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments)


if __name__ == "__main__":
    main()
