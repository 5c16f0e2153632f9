"""What each metric of a classifier means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

_CLASSIFIER = {
    "loss_nats": "cross-entropy of the labels on augmented training images, with dropout, nats",
    "accuracy": "share of images whose likeliest class is their label; held-out: under averaged "
    "weights. Beside it: the most frequent training class for all, and the class whose mean image "
    "is the nearest",
    "label_nll_nats": "−log p(label | image), nats per held-out image",
}


_MOVING = {
    "accuracy": "share of videos of whose digits and slopes all are right; held-out: under "
    "averaged weights. Beside it: the most frequent combination for all",
    "digits_accuracy": "share of videos whose digits all are right, in whatever order",
    "motion_accuracy": "share of videos whose digits' slopes all are in the right quarter of 90°",
}


def of_classifier(options: Any, metadata: Mapping[str, Any]) -> dict[str, str]:
    """By name."""
    return {**_CLASSIFIER, **(_MOVING if "digits" in metadata else {})}
