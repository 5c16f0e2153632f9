"""Trains a prior over the codes of a codec: a model that generates images, sounds or videos.

    python -m experiments.codec --workdir=runs/digits
    python -m experiments.prior --codec=runs/digits                   # from the left
    python -m experiments.prior --codec=runs/digits --preset=maskgit  # all at once, in 12 passes
    python -m experiments.prior --codec=runs/moving --given=10        # from a video's first frames
    python -m experiments.prior --codec=runs/speech --captions=labels # by texts, in place of labels

The codec is kept in the prior's state and never trains on. Run the same command again to continue a
run that was stopped.
"""

from collections.abc import Sequence
from typing import NoReturn

from experiments.families.prior.experiment import EXPERIMENT
from experiments.runs import launcher


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments)


if __name__ == "__main__":
    main()
