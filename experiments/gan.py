"""Trains a GAN on images and reports how well its samples match held-out ones.

    python -m experiments.gan                       # the default preset, on 5,000 real digits
    python -m experiments.gan --preset=textbook     # the source article's GAN to the letter
    python -m experiments.gan --preset=r3gan --dataset=fashion_mnist --conditional
    python -m experiments.gan --preset=dcgan --penalty=none --augment=ada --images=FOLDER

The figures are taken in the features of a classifier of the same data, which is trained first where
there is none. Run the same command again to continue a run that was stopped.
"""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import gan
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from aigc_jax.metrics.neighbours import nearest
from aigc_jax.parallel import example_keys
from experiments import images as shared
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.features import feature_network
from experiments.fidelity import SEARCHED, Judge, quantise
from experiments.gan_options import PRESETS, GanOptions, to_config


def facts(options: GanOptions, images: Images) -> dict:
    """What the networks need to know of the images, and the hash of what judges them."""
    known = shared.facts(options, images)
    to_config(options, known)  # found out before a classifier is trained
    return {**known, "classifier_sha256": feature_network(options, images).sha256}


def algorithm(options: GanOptions, facts: dict) -> Algorithm:
    """The GAN that the options describe."""
    return gan.make(to_config(options, facts))


def task(options: GanOptions, images: Images, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; judges by a classifier's features of held-out ones."""
    config, network = to_config(options, facts), feature_network(options, images)
    if facts["classifier_sha256"] != network.sha256:
        raise InputError(
            "the classifier is not the one that this run was judged by (its weights' "
            "SHA-256 differs); name that one's folder with --classifier"
        )
    judge, networks = Judge(images, network), gan.networks_of(config)
    key = jax.random.key(options.seed + 1)
    sample = jax.jit(algorithm.sample, static_argnums=2)

    def draw(state, n):
        return quantise(sample(state, key, n))

    def evaluate(state, thorough):
        figures = judge.figures(draw(state, judge.count))
        return figures | (judge.thorough(lambda n: draw(state, n)) if thorough else {})

    def pictures(state):
        shown = np.asarray(sample(state, key, 100))
        closest = nearest(images.train[:SEARCHED], quantise(shown[:50])).index
        pairs = np.stack([shown[:50], shared.unit_interval(images.train[closest])], 1)
        found = {
            "samples": shared.grid(shown, 10),
            "interpolations": interpolations(state),
            "nearest": shared.grid(pairs.reshape(-1, *facts["image_shape"]), 10),
        }
        if config.classes:
            rows = min(config.classes, 10)
            labels = jnp.repeat(jnp.arange(rows), 10)
            by_class = algorithm.sample(state, key, 10 * rows, labels)
            found["classes"] = shared.grid(np.asarray(by_class), 10)
        return found

    @jax.jit
    def interpolations(state):
        ends = gan.latents(example_keys(key, 16), config.latent_size).reshape(8, 2, 1, -1)
        share = jnp.linspace(0, 1, 10)[None, :, None]
        z = (ends[:, 0] * (1 - share) + ends[:, 1] * share).reshape(80, -1)
        labels = jnp.repeat(jnp.arange(8) % config.classes, 10) if config.classes else None
        made, _ = networks.generate(state.ema_g, z, labels, False, None)
        return made.reshape(8, 10, *facts["image_shape"])

    labels = images.train_labels if config.classes else None
    return Task(
        data=images.train if labels is None else (images.train, np.int32(labels)),
        gather=shared.gather if labels is None else gather_labelled,
        examples=len(images.train),
        evaluate=evaluate,
        references=lambda: judge.references(options.seed),
        pictures=pictures,
        score="fcd",
        goal=options.stop_at_fcd,
        batches_per_step=options.steps_d,
    )


def gather_labelled(data: tuple[jax.Array, jax.Array], indices: jax.Array) -> gan.Batch:
    """A batch of images with their labels."""
    images, labels = data
    return gan.Batch(shared.gather(images, indices), labels[indices])


EXPERIMENT = Experiment(
    name="gan",
    title="Generative adversarial network",
    presets=PRESETS,
    load=shared.load,
    facts=facts,
    algorithm=algorithm,
    task=task,
    sample=shared.sample,
    extendable=lambda options: not options.decay,
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
