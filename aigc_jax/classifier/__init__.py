"""Classifiers of images and of videos, whose features evaluate generated ones.

`make(Config())` builds one.
"""

from aigc_jax.classifier.augment import augment, mirror, shift
from aigc_jax.classifier.baselines import most_frequent_class_accuracy, nearest_mean_accuracy
from aigc_jax.classifier.config import (
    DEFAULT,
    PERCEPTUAL,
    PRESETS,
    VIDEO,
    Classifier,
    Config,
    make,
    networks_of,
    optimizer,
)
from aigc_jax.classifier.evaluate import Description, describe
from aigc_jax.classifier.losses import cross_entropy
from aigc_jax.classifier.model import Info, Networks
from aigc_jax.classifier.networks.image import convolutional
from aigc_jax.classifier.networks.video import class_of, parts_of, temporal
from aigc_jax.classifier.step import Batch, State, dropout, init, logits, step

__all__ = [
    "DEFAULT",
    "PERCEPTUAL",
    "PRESETS",
    "VIDEO",
    "Batch",
    "Classifier",
    "Config",
    "Description",
    "Info",
    "Networks",
    "State",
    "augment",
    "class_of",
    "convolutional",
    "cross_entropy",
    "describe",
    "dropout",
    "init",
    "logits",
    "make",
    "mirror",
    "most_frequent_class_accuracy",
    "nearest_mean_accuracy",
    "networks_of",
    "optimizer",
    "parts_of",
    "shift",
    "step",
    "temporal",
]
