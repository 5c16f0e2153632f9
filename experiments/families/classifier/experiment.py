"""The classifier of images, as an experiment."""

from typing import Any

import numpy as np

from aigc_jax import classifier
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.data import images as shared
from experiments.data import sounds
from experiments.families.classifier.descriptions import of_classifier
from experiments.families.classifier.options import PRESETS, ClassifierOptions, to_config
from experiments.runs.experiment import Experiment, Task


def load(options: ClassifierOptions) -> Images:
    """The images that the options name, or those of the log-mels of sounds.

    Raises:
      InputError: they cannot be loaded, or have no such attribute.
    """
    if not options.of_sounds:
        if options.attribute is not None:
            raise InputError(f"--attribute={options.attribute} is for sounds, and these are images")
        return shared.load(options)
    found = sounds.load(options.dataset, options.data_dir, options.sounds)
    return sounds.as_images(found, options.attribute)


def metadata(options: ClassifierOptions, images: Images) -> dict[str, Any]:
    """The images' shape and the number of classes; InputError where there are not two."""
    if images.train_labels is None:
        raise InputError(f"the images {images.name} have no labels for a classifier to learn")
    known = shared.metadata(options, images)
    if known["classes"] is None:
        raise InputError(f"a classifier needs two classes; the labels of {images.name} are all 0")
    return known


def algorithm(options: ClassifierOptions, metadata: dict[str, Any]) -> classifier.Classifier:
    """The classifier that the options describe."""
    return classifier.make(to_config(options, metadata))


def task(
    options: ClassifierOptions, images: Images, metadata: dict[str, Any], _: Algorithm
) -> Task:
    """Trains on labelled images; evaluates on the labels of held-out ones."""
    networks = classifier.networks_of(to_config(options, metadata))
    train, train_labels = images.train, np.asarray(images.train_labels, np.int32)
    heldout, labels = images.heldout, np.asarray(images.heldout_labels, np.int32)

    def evaluate(state):
        said = classifier.describe(state.eval_params, heldout, networks=networks)
        nll = said.nll(labels).mean(dtype=np.float64)
        return {"accuracy": float(np.mean(said.labels == labels)), "label_nll_nats": float(nll)}

    def baselines():
        frequent = classifier.most_frequent_class_accuracy(train_labels, labels)
        nearest = classifier.nearest_mean_accuracy(train, train_labels, heldout, labels)
        found = {"most frequent class": frequent, "nearest class mean": nearest}
        return {name: {"accuracy": accuracy} for name, accuracy in found.items()}

    def artefacts(state):
        nll = classifier.describe(state.eval_params, heldout, networks=networks).nll(labels)
        order = np.argsort(-nll, kind="stable")[:50]
        return {"hardest": shared.grid(shared.unit_interval(heldout[order]), 10)}

    def gather(data, indices):
        return classifier.Batch(*shared.gather_labelled(data, indices))

    return Task((train, train_labels), gather, len(train), evaluate, baselines, artefacts)


EXPERIMENT = Experiment(
    name="classifier",
    title="Classifier",
    presets=PRESETS,
    load=load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_classifier,
    captions={"hardest": "Held-out images, those with the least likely labels first"},
    extendable=lambda options: False,  # the learning rate's cosine ends where --steps says
)
