"""Autoencoders with codes for latents, as an experiment."""

from aigc_jax import vq
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from experiments.data import images as shared
from experiments.data.images import HELDOUT, TRAINING, binarised
from experiments.families.vq.descriptions import of_codes
from experiments.families.vq.evaluator import DiscreteJudge
from experiments.families.vq.options import PRESETS, VqOptions, to_config
from experiments.runs.experiment import Experiment, Task


def algorithm(options: VqOptions, facts: dict) -> Algorithm:
    """The autoencoder that the options describe."""
    return vq.make(to_config(options, facts))


def task(options: VqOptions, images: Images, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; judges by how well held-out ones come back."""
    train = images.train
    if options.binarisation == "static":
        train = binarised(train, TRAINING)
    judge = DiscreteJudge(images, to_config(options, facts), algorithm, HELDOUT)
    return Task(
        data=train,
        gather=shared.gather,
        examples=len(train),
        evaluate=judge.figures,
        references=judge.references,
        pictures=judge.pictures,
    )


EXPERIMENT = Experiment(
    name="vq",
    title="Autoencoder with discrete latents",
    presets=PRESETS,
    load=shared.load,
    facts=shared.facts,
    algorithm=algorithm,
    task=task,
    descriptions=of_codes,
    sample=shared.sample,
    formerly="vae",
    extendable=lambda options: not options.decay,
)
