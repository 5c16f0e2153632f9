"""Trains a GAN on images and reports how far its samples are from held-out ones.

    python -m experiments.gan                               # the default preset, on 5,000 real digits
    python -m experiments.gan --preset=textbook             # the source article's network, loss and optimiser
    python -m experiments.gan --dataset=fashion_mnist --steps=100000

Run the same command again to continue a run that was stopped.
"""

import dataclasses

import jax

from aigc_jax import gan
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import DATASETS, Images
from aigc_jax.metrics.energy import energy_distance
from aigc_jax.metrics.pixels import shuffled_pixels
from experiments import images as shared
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.options import Options, option

GENERATOR_LOSSES = {
    "nonsaturating": gan.nonsaturating_generator_loss,
    "saturating": gan.saturating_generator_loss,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanOptions(Options):
    """The options of every experiment, and the GAN's own."""

    dataset: str = option("mnist5k", "What to train on.", choices=DATASETS)
    generator_loss: str = option(
        "nonsaturating", "What the generator minimises.", choices=tuple(GENERATOR_LOSSES)
    )


_DEFAULT = GanOptions(steps=20_000, learning_rate=2e-4, eval_every=2000, checkpoint_every=2000, log_every=200)
PRESETS = {
    "default": _DEFAULT,
    "textbook": dataclasses.replace(
        _DEFAULT, preset="textbook", learning_rate=1e-3, generator_loss="saturating"
    ),
}
CONFIGS = {"default": gan.Config(), "textbook": gan.TEXTBOOK}

JUDGED = 2000  # images on either side of the energy distance


def algorithm(options: GanOptions, facts: dict) -> Algorithm:
    """The GAN that the options describe."""
    config = dataclasses.replace(
        CONFIGS[options.preset],
        image_shape=tuple(facts["image_shape"]),
        learning_rate=options.learning_rate,
        generator_loss=GENERATOR_LOSSES[options.generator_loss],
    )
    return gan.make(config)


def task(options: GanOptions, images: Images, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; judges by the energy distance to held-out ones."""
    train, heldout = shared.unit_interval(images.train), shared.unit_interval(images.heldout[:JUDGED])
    key = jax.random.key(options.seed + 1)
    sample = jax.jit(algorithm.sample, static_argnums=2)

    def evaluate(state, thorough):
        return {"energy_distance": energy_distance(sample(state, key, JUDGED), heldout)}

    def references():
        shuffled = shuffled_pixels(train, options.seed, JUDGED)
        return {
            "floor": {"energy_distance": energy_distance(train[:JUDGED], heldout)},
            "baseline": {"energy_distance": energy_distance(shuffled, heldout)},
        }

    def pictures(state):
        return {"samples": shared.grid(sample(state, key, 100), 10)}

    return Task(images.train, shared.gather, len(images.train), evaluate, references, pictures)


def sample(options: GanOptions, facts: dict, algorithm: Algorithm, state, num: int, seed: int):
    """`num` images `[num, H, W, C]` in [0, 1]."""
    return algorithm.sample(state, jax.random.key(seed), num)


EXPERIMENT = Experiment(
    name="gan",
    title="Generative adversarial network",
    presets=PRESETS,
    load=shared.load,
    facts=shared.facts,
    algorithm=algorithm,
    task=task,
    sample=sample,
    figures={
        "loss_d": "the discriminator's loss, nats; 1.386 where it cannot tell real from generated",
        "loss_g": "the generator's loss, nats",
        "probability_real": "mean D(x) on real images",
        "probability_fake": "mean D(G(z)) on generated images",
        "energy_distance": "between 2,000 samples and the held-out images (all of them, or 2,000), in pixel space; "
        "0 where both follow one distribution. Floor: training images in place of samples. "
        "Baseline: images whose pixels are drawn independently, each from its own training histogram",
    },
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
