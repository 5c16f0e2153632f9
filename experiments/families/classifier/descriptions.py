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


def of_classifier(options: Any, metadata: Mapping[str, Any]) -> dict[str, str]:
    """By name."""
    return _CLASSIFIER
