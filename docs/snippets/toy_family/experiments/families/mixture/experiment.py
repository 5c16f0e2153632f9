"""The mixture on images, as an experiment: its options, its task, and what its metrics mean."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import mixture
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.metrics.pixels import pixel_means
from experiments.cli.options import presets_of
from experiments.data import images as shared
from experiments.runs.experiment import Experiment, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureOptions(shared.ImageOptions):
    """The options of every experiment on images, and the settings of the config."""

    config: mixture.Config = mixture.DEFAULT.config


PRESETS = presets_of(MixtureOptions, mixture.PRESETS)
DESCRIPTIONS = {"nll_nats": "−log p(x) of binary images, nats per image, held-out: of fixed ones"}


def algorithm(options: MixtureOptions, metadata: dict) -> Algorithm:
    """The mixture that the options describe."""
    shape = tuple(metadata["image_shape"])
    return mixture.make(dataclasses.replace(options.config, image_shape=shape))


def task(options: MixtureOptions, images: Images, metadata: dict, algorithm: Algorithm) -> Task:
    """Trains on the images, and evaluates the likelihood of held-out ones."""
    heldout = jnp.asarray(shared.unit_interval(shared.binarised(images.heldout, shared.HELDOUT)))
    measure = jax.jit(lambda params: mixture.nll(params, heldout).mean())

    def baselines():
        means = jnp.clip(pixel_means(shared.unit_interval(images.train)), 1e-3, 1 - 1e-3)
        one = mixture.Params(jnp.zeros(1), jnp.log(means / (1 - means))[None])
        return {"independent pixels": {"nll_nats": float(measure(one))}}

    def artefacts(state):
        drawn = shared.sample(options, metadata, algorithm, state, 50, options.seed + 1)
        return {"samples": shared.grid(np.asarray(drawn), 10)}

    return Task(
        data=images.train,
        gather=shared.gather,
        examples=len(images.train),
        evaluate=lambda state: {"nll_nats": float(measure(state.eval_params))},
        baselines=baselines,
        artefacts=artefacts,
    )


EXPERIMENT = Experiment(
    name="mixture",
    title="Mixture of products of Bernoullis",
    presets=PRESETS,
    load=shared.load,
    metadata=shared.metadata,
    algorithm=algorithm,
    task=task,
    descriptions=lambda options, metadata: DESCRIPTIONS,
    captions={"samples": "Samples: each the mean of a component"},
    sample=shared.sample,
)
