"""The GAN on images, as an experiment."""

import jax
import numpy as np

from aigc_jax import gan
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from aigc_jax.metrics import collapse
from experiments.data import images as shared
from experiments.families.gan.artefacts import CAPTIONS, pictures
from experiments.families.gan.descriptions import of_gan
from experiments.families.gan.options import PRESETS, GanOptions, to_config
from experiments.fidelity.evaluator import PIXELS, Evaluator, check_classes, count_of, quantise
from experiments.fidelity.features import FeatureNetwork, feature_network
from experiments.runs.experiment import Experiment, Task


def metadata(options: GanOptions, images: Images) -> dict:
    """What the networks need to know about the images, and the hash of the feature network."""
    known = shared.metadata(options, images)
    # Unusable options are found before a classifier is trained.
    to_config(options, known)
    count_of(images)
    steps_d = options.config.steps_d
    if options.batch_size * steps_d > len(images.train):
        raise InputError(
            f"a step takes --batch_size={options.batch_size} times --steps_d={steps_d} "
            f"images, and {images.name} has {len(images.train)} to train on"
        )
    if options.conditional:
        check_classes(images, known["classes"])
    return {**known, "classifier_sha256": network_of(options, images).sha256}


def network_of(options: GanOptions, images: Images) -> FeatureNetwork:
    """The features: those of a classifier of the images, or pixels where they have no labels."""
    labelled = shared.metadata(options, images)["classes"] is not None
    if labelled or options.classifier is not None:
        return feature_network(options, images)
    if options.stop_at_fcd is not None:
        raise InputError("--stop_at_fcd needs labelled images, or a --classifier of such images")
    return PIXELS


def algorithm(options: GanOptions, metadata: dict) -> Algorithm:
    """The GAN that the options describe."""
    return gan.make(to_config(options, metadata))


def task(options: GanOptions, images: Images, metadata: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; evaluates in a classifier's features of held-out ones."""
    config, network = to_config(options, metadata), network_of(options, images)
    if metadata["classifier_sha256"] != network.sha256:
        raise InputError(
            "the classifier is not the one that this run was evaluated with (its weights' "
            "SHA-256 differs); name that one's folder with --classifier"
        )
    evaluator = Evaluator(images, network, conditional=options.conditional)
    key = jax.random.key(options.seed + 1)
    sample = jax.jit(algorithm.sample, static_argnums=2)

    labels = np.asarray(images.train_labels, np.int32) if config.classes else None

    def asked(n):
        if labels is None:
            return None
        # Classes are as frequent as in the training set, and so as in the held-out set.
        return np.random.default_rng(options.seed).choice(labels, n)

    def draw(state, n):
        return quantise(sample(state, key, n, asked(n)))

    def evaluate(state):
        return evaluator.metrics(draw(state, evaluator.count), asked(evaluator.count))

    # For a conditional generator, the metric that depends on its labels.
    score = "class_fcd" if config.classes else "fcd" if network.classes else None
    return Task(
        data=images.train if labels is None else (images.train, labels),
        gather=shared.gather if labels is None else gather_labelled,
        examples=len(images.train),
        evaluate=evaluate,
        baselines=lambda: evaluator.baselines(options.seed),
        artefacts=lambda state: pictures(state, key, config, algorithm, images),
        final_metrics=lambda state: evaluator.final_metrics(lambda n: draw(state, n)),
        score=score,
        goal=options.stop_at_fcd,
        batches_per_step=config.steps_d,
    )


def gather_labelled(data: tuple[jax.Array, jax.Array], indices: jax.Array) -> gan.Batch:
    """A batch of images with their labels."""
    return gan.Batch(*shared.gather_labelled(data, indices))


EXPERIMENT = Experiment(
    name="gan",
    title="Generative adversarial network",
    presets=PRESETS,
    load=shared.load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_gan,
    captions=CAPTIONS,
    warnings=collapse.warnings,
    sample=shared.sample,
    extendable=lambda options: not options.decay,
)
