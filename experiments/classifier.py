"""Trains a classifier of images, sounds or videos, whose features evaluate generated ones.

    python -m experiments.classifier --dataset=fashion_mnist
    python -m experiments.classifier --images=FILE.npz    # with labels; or a folder of subfolders
    python -m experiments.classifier --dataset=tones --attribute=timbre
    python -m experiments.classifier --sounds=FOLDER      # of a subfolder for each class
    python -m experiments.classifier --dataset=moving_mnist5k
    python -m experiments.classifier --videos=FOLDER      # of a subfolder for each class

Sounds are classified by pictures of their log-mels.

Run the same command again to continue a run that was stopped.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from experiments.data import videos
from experiments.families.classifier.experiment import EXPERIMENT
from experiments.runs import launcher


def chosen(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, with the preset of videos where the data are such."""
    of_videos = given.get("videos") or given.get("dataset") in videos.DATASETS
    return {**given, "preset": "video"} if of_videos and not given.get("preset") else given


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments, chosen=chosen)


if __name__ == "__main__":
    main()
