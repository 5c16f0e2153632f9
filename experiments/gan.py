"""Trains a GAN on images and reports how well its samples match held-out ones.

    python -m experiments.gan                       # the default preset, on 5,000 real digits
    python -m experiments.gan --preset=textbook     # the source article's GAN to the letter
    python -m experiments.gan --dataset=fashion_mnist --steps=100000

Run the same command again to continue a run that was stopped.
"""

import dataclasses

import jax

from aigc_jax import gan
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from aigc_jax.metrics.pixels import shuffled_pixels
from aigc_jax.metrics.prdc import prdc
from experiments import images as shared
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.options import option

GENERATOR_LOSSES = {
    "nonsaturating": gan.nonsaturating_generator_loss,
    "saturating": gan.saturating_generator_loss,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanOptions(shared.ImageOptions):
    """The options of every experiment on images, and the GAN's own."""

    generator_loss: str = option(
        "nonsaturating", "What the generator minimises.", choices=tuple(GENERATOR_LOSSES)
    )


_DEFAULT = GanOptions(
    steps=16_000, learning_rate=2e-4, eval_every=2000, checkpoint_every=2000, log_every=200
)
PRESETS = {
    "default": _DEFAULT,
    "textbook": dataclasses.replace(
        _DEFAULT, preset="textbook", learning_rate=1e-3, generator_loss="saturating"
    ),
}
CONFIGS = {"default": gan.Config(), "textbook": gan.TEXTBOOK}

JUDGED = 2000  # images on either side at most
NEIGHBOURS = 5


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
    """Trains on the images; judges by precision, recall, density and coverage of held-out ones."""
    train = shared.unit_interval(images.train)
    heldout = shared.unit_interval(images.heldout[:JUDGED])
    judged = len(heldout)
    if judged <= NEIGHBOURS:
        raise InputError(
            f"{images.name} has {judged} held-out images; the figures need {NEIGHBOURS + 1}"
        )
    key = jax.random.key(options.seed + 1)
    sample = jax.jit(algorithm.sample, static_argnums=2)

    def compare(generated):
        return prdc(heldout, generated, NEIGHBOURS)._asdict()

    def evaluate(state, thorough):
        return compare(sample(state, key, judged))

    def references():
        shuffled = shuffled_pixels(train, options.seed, judged)
        return {"training images": compare(train[:judged]), "shuffled pixels": compare(shuffled)}

    def pictures(state):
        return {"samples": shared.grid(sample(state, key, 100), 10)}

    return Task(images.train, shared.gather, len(images.train), evaluate, references, pictures)


EXPERIMENT = Experiment(
    name="gan",
    title="Generative adversarial network",
    presets=PRESETS,
    load=shared.load,
    facts=shared.facts,
    algorithm=algorithm,
    task=task,
    sample=shared.sample,
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
