"""Autoencoders with discrete latents, as an experiment."""

from aigc_jax import vq
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from experiments.data import images as shared
from experiments.data.images import HELDOUT, TRAINING, binarised
from experiments.families.vq.descriptions import of_codes
from experiments.families.vq.evaluator import CAPTIONS, Evaluator
from experiments.families.vq.options import PRESETS, VqOptions, to_config
from experiments.runs.experiment import Experiment, Task


def algorithm(options: VqOptions, metadata: dict) -> Algorithm:
    """The autoencoder that the options describe."""
    return vq.make(to_config(options, metadata))


def task(options: VqOptions, images: Images, metadata: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; evaluates how well held-out ones are reconstructed."""
    train = images.train
    if options.binarisation == "static":
        train = binarised(train, TRAINING)
    evaluator = Evaluator(images, to_config(options, metadata), algorithm, HELDOUT)
    return Task(
        data=train,
        gather=shared.gather,
        examples=len(train),
        evaluate=evaluator.metrics,
        baselines=evaluator.baselines,
        artefacts=evaluator.artefacts,
    )


EXPERIMENT = Experiment(
    name="vq",
    title="Autoencoder with discrete latents",
    presets=PRESETS,
    load=shared.load,
    metadata=shared.metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_codes,
    captions=CAPTIONS,
    sample=shared.sample,
    formerly="vae",
    extendable=lambda options: not options.decay,
)
