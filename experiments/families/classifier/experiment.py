"""The classifier of images, of sounds as images, and of videos, as an experiment."""

from typing import Any

import numpy as np

from aigc_jax import classifier
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.artefacts import Artefact
from aigc_jax.data.images import Images
from aigc_jax.data.moving_digits import RATE, MovingDigits
from aigc_jax.errors import InputError
from experiments.data import images as shared
from experiments.data import sounds, videos
from experiments.data.videos import LabelledDigits
from experiments.families.classifier.descriptions import of_classifier
from experiments.families.classifier.options import (
    PRESETS,
    ClassifierOptions,
    check_use,
    to_config,
)
from experiments.runs.experiment import Experiment, Task

_COUNTED = 4096  # training videos, whose most frequent class is sought


def load(options: ClassifierOptions) -> Images | LabelledDigits:
    """The images that the options name, or those of the log-mels of sounds; or videos.

    Raises:
      InputError: they cannot be loaded, or have no such attribute; see `check_use`.
    """
    check_use(options)
    if options.of_videos:
        places = options.dataset, options.data_dir, options.videos
        moving = videos.load(*places, options.frames, options.digits)
        if isinstance(moving, MovingDigits):
            return LabelledDigits(moving)
        return videos.as_images(moving, options.attribute)
    if not options.of_sounds:
        return shared.load(options)
    found = sounds.load(options.dataset, options.data_dir, options.sounds)
    return sounds.as_images(found, options.attribute)


def metadata(options: ClassifierOptions, images: Images | LabelledDigits) -> dict[str, Any]:
    """The images' shape and the number of classes; InputError where there are not two."""
    if isinstance(images, LabelledDigits):
        found = {"image_shape": list(images.shape), "classes": int(np.prod(images.sizes))}
        return {**found, "sizes": list(images.sizes), "digits": images.moving.count}
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
    options: ClassifierOptions,
    images: Images | LabelledDigits,
    metadata: dict[str, Any],
    _: Algorithm,
) -> Task:
    """Trains on labelled images; evaluates on the labels of held-out ones."""
    networks = classifier.networks_of(to_config(options, metadata))
    train, train_labels = images.train, np.asarray(images.train_labels, np.int32)
    heldout, labels = images.heldout, np.asarray(images.heldout_labels, np.int32)
    digits = images if isinstance(images, LabelledDigits) else None

    def evaluate(state: State) -> dict[str, float]:
        said = classifier.describe(state.eval_params, heldout, networks=networks)
        nll = said.nll(labels).mean(dtype=np.float64)
        found = {"accuracy": float(np.mean(said.labels == labels))}
        if digits is not None:
            found |= videos.part_accuracies(said.labels, labels, digits.moving.count)
        return {**found, "label_nll_nats": float(nll)}

    def baselines() -> dict[str, dict[str, float]]:
        known = train_labels if digits is None else digits.train_classes(_COUNTED)
        found = {"most frequent class": classifier.most_frequent_class_accuracy(known, labels)}
        if digits is None:
            nearest = classifier.nearest_mean_accuracy(train, train_labels, heldout, labels)
            found["nearest class mean"] = nearest
        return {name: {"accuracy": accuracy} for name, accuracy in found.items()}

    def artefacts(state: State) -> dict[str, Artefact]:
        nll = classifier.describe(state.eval_params, heldout, networks=networks).nll(labels)
        order = np.argsort(-nll, kind="stable")
        if options.of_videos:
            return {"hardest": videos.side_by_side(heldout[order[:16]], RATE, 4)}
        return {"hardest": shared.grid(shared.unit_interval(heldout[order[:50]]), 10)}

    def gather(data: Any, indices: Any) -> classifier.Batch:
        return classifier.Batch(*shared.gather_labelled(data, indices))

    return Task(
        data=(train, train_labels),
        gather=gather if digits is None else digits.gather,
        examples=len(train) if digits is None else digits.examples,
        evaluate=evaluate,
        baselines=baselines,
        artefacts=artefacts,
    )


EXPERIMENT = Experiment(
    name="classifier",
    title="Classifier",
    presets=PRESETS,
    load=load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_classifier,
    captions={"hardest": "Held-out images or videos, those with the least likely labels first"},
    extendable=lambda options: False,  # the learning rate's cosine ends where --steps says
)
