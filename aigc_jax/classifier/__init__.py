"""Image classifiers, whose features evaluate generated images. `make(Config())` builds one."""

from aigc_jax.classifier.augment import augment, mirror, shift
from aigc_jax.classifier.baselines import most_frequent_class_accuracy, nearest_mean_accuracy
from aigc_jax.classifier.config import (
    DEFAULT,
    PERCEPTUAL,
    PRESETS,
    Classifier,
    Config,
    make,
    networks_of,
    optimizer,
)
from aigc_jax.classifier.evaluate import Description, describe
from aigc_jax.classifier.losses import cross_entropy
from aigc_jax.classifier.model import Info, Networks
from aigc_jax.classifier.networks import convolutional
from aigc_jax.classifier.step import Batch, State, dropout, init, logits, step

__all__ = [
    "DEFAULT",
    "PERCEPTUAL",
    "PRESETS",
    "Batch",
    "Classifier",
    "Config",
    "Description",
    "Info",
    "Networks",
    "State",
    "augment",
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
    "shift",
    "step",
]
