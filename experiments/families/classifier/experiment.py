"""The classifier of images, as an experiment."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from aigc_jax import classifier
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.cli.options import option
from experiments.data import images as shared
from experiments.families.classifier.descriptions import of_classifier
from experiments.runs.experiment import Experiment, Task

STEPS = {"mnist5k": 300, "mnist": 1000, "fashion_mnist": 4500, "your own images": 2000}
_STEPS = ", ".join(f"{steps} for {data}" for data, steps in STEPS.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions(shared.ImageOptions):
    """The options of every experiment on images, and the classifier's own."""

    steps: int = option(300, f"Updates to train for in all; {_STEPS}.", changeable=True)
    mirror: bool = option(False, "Exchange left and right at random; fashion_mnist: true.")

    def suited_to(self, given: Mapping[str, Any]) -> "ClassifierOptions":
        """The preset with what depends on the data."""
        data = "your own images" if "images" in given else given.get("dataset", self.dataset)
        steps, mirror = STEPS.get(data, 2000), data == "fashion_mnist"
        return dataclasses.replace(self, steps=steps, mirror=mirror)


PRESETS = {"default": ClassifierOptions(learning_rate=6e-3, checkpoint_every=500)}


def config_of(options: ClassifierOptions, metadata: dict[str, Any]) -> classifier.Config:
    """The classifier that the options describe."""
    return classifier.Config(
        image_shape=tuple(metadata["image_shape"]),
        classes=metadata["classes"],
        learning_rate=options.learning_rate,
        decay_steps=options.steps,
        mirrored=options.mirror,
    )


def metadata(options: ClassifierOptions, images: Images) -> dict[str, Any]:
    """The images' shape and the number of classes; InputError where there are none to tell."""
    if images.train_labels is None:
        raise InputError(f"the images {images.name} have no labels, which a classifier learns")
    known = shared.metadata(options, images)
    if known["classes"] is None:
        raise InputError(f"a classifier tells classes apart; the labels of {images.name} are all 0")
    return known


def algorithm(options: ClassifierOptions, metadata: dict[str, Any]) -> classifier.Classifier:
    """The classifier that the options describe."""
    return classifier.make(config_of(options, metadata))


def task(
    options: ClassifierOptions, images: Images, metadata: dict[str, Any], _: Algorithm
) -> Task:
    """Trains on labelled images; judges by the labels of held-out ones."""
    networks = classifier.networks_of(config_of(options, metadata))
    train, train_labels = images.train, np.asarray(images.train_labels, np.int32)
    heldout, labels = images.heldout, np.asarray(images.heldout_labels, np.int32)

    def evaluate(state):
        said = classifier.describe(state.ema, heldout, networks=networks)
        nll = said.nll(labels).mean(dtype=np.float64)
        return {"accuracy": float(np.mean(said.labels == labels)), "label_nll_nats": float(nll)}

    def baselines():
        frequent = classifier.most_frequent_class_accuracy(train_labels, labels)
        nearest = classifier.nearest_mean_accuracy(train, train_labels, heldout, labels)
        found = {"most frequent class": frequent, "nearest class mean": nearest}
        return {name: {"accuracy": accuracy} for name, accuracy in found.items()}

    def artefacts(state):
        nll = classifier.describe(state.ema, heldout, networks=networks).nll(labels)
        order = np.argsort(-nll, kind="stable")[:50]
        return {"hardest": shared.grid(shared.unit_interval(heldout[order]), 10)}

    def gather(data, indices):
        return classifier.Batch(*shared.gather_labelled(data, indices))

    return Task((train, train_labels), gather, len(train), evaluate, baselines, artefacts)


EXPERIMENT = Experiment(
    name="classifier",
    title="Classifier of images",
    presets=PRESETS,
    load=shared.load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_classifier,
    captions={"hardest": "Held-out images, those with the least likely labels first"},
    extendable=lambda options: False,  # the learning rate's cosine ends where --steps says
)
