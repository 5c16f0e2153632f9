"""Trains an autoencoder with discrete latents and reports how well it reconstructs held-out images.

    python -m experiments.vq                        # VQ-VAE: a codebook of 512 vectors
    python -m experiments.vq --preset=fsq           # finite scalar quantisation: 1,000 codes
    python -m experiments.vq --dataset=fashion_mnist --codes=256

Run the same command again to continue a run that was stopped.
"""

from collections.abc import Sequence
from typing import NoReturn

from experiments.families.vq.experiment import EXPERIMENT
from experiments.runs import launcher


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments)


if __name__ == "__main__":
    main()
