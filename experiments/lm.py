"""Trains a Transformer to continue text and reports its loss on the whole held-out part.

    python -m experiments.lm                        # the default preset, on Python's documentation
    python -m experiments.lm --preset=textbook      # the blocks of the source article
    python -m experiments.lm --text=FILE --tokenizer=bpe --vocabulary=8000
    python -m experiments.lm --text=FILE --documents        # separated by blank lines
    python -m experiments.lm --preset=masked --text=FILE    # masked diffusion: in any order
    python -m experiments.lm --preset=char --text=FILE      # larger: llama_small, gpt2

Run the same command again to continue a run that was stopped.
"""

from collections.abc import Sequence
from typing import NoReturn

from experiments.families.lm.experiment import EXPERIMENT
from experiments.runs import launcher


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments)


if __name__ == "__main__":
    main()
