"""Trains a VAE on images and reports its bound and its likelihood on held-out ones.

    python -m experiments.vae                       # the default preset, on 5,000 real digits
    python -m experiments.vae --preset=textbook     # the source article's VAE to the letter
    python -m experiments.vae --dataset=mnist --latent_size=20 --steps=50000
    python -m experiments.vae --images=FILE.npz     # or a folder of images

Run the same command again to continue a run that was stopped.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vae
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.images import Images
from aigc_jax.metrics.pixels import independent_pixels_nll, pixel_means
from aigc_jax.parallel import example_keys
from experiments import images as shared
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeOptions(shared.ImageOptions):
    """The options of every experiment on images, and the VAE's own."""

    latent_size: int = option(2, "Dimensions of the latent space.")


_DEFAULT = VaeOptions(steps=10_000, learning_rate=2e-3)
_TEXTBOOK = dataclasses.replace(_DEFAULT, preset="textbook", learning_rate=1e-3)
PRESETS = {"default": _DEFAULT, "textbook": _TEXTBOOK}
CONFIGS = {"default": vae.Config(), "textbook": vae.TEXTBOOK}

BINARISATION = 0  # seed of the held-out pixels, for all runs alike
SAMPLES = 100  # K of the importance-sampled likelihood


def _config(options: VaeOptions, facts: dict) -> vae.Config:
    return dataclasses.replace(
        CONFIGS[options.preset],
        image_shape=tuple(facts["image_shape"]),
        latent_size=options.latent_size,
        learning_rate=options.learning_rate,
    )


def algorithm(options: VaeOptions, facts: dict) -> Algorithm:
    """The VAE that the options describe."""
    return vae.make(_config(options, facts))


def task(options: VaeOptions, images: Images, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; judges by bound and likelihood of held-out ones, binarised once."""
    config = _config(options, facts)
    networks = vae.networks_of(config)
    grey = shared.unit_interval(images.heldout)
    key_x, key_z = jax.random.split(jax.random.key(BINARISATION))
    binary = vae.binarise(example_keys(key_x, len(grey)), jnp.asarray(grey))
    judged = binary if config.dynamic_binarisation else jnp.asarray(grey)

    def evaluate(state):
        return vae.heldout_elbo(state.ema, judged, key_z, networks=networks)

    def likelihood(state):
        nll = vae.heldout_nll(state.ema, binary, key_z, networks=networks, k=SAMPLES)
        return {"nll_nats_per_image": nll}

    def references():
        judge = partial(independent_pixels_nll, pixel_means(shared.unit_interval(images.train)))
        bound, nll = judge(np.asarray(judged)), judge(np.asarray(binary))
        return {"independent pixels": {"negative_elbo_nats": bound, "nll_nats_per_image": nll}}

    def pictures(state):
        decode = jax.jit(lambda z: jax.nn.sigmoid(networks.decode(state.ema, z)))
        shown = judged[:50]
        means, _ = networks.encode(state.ema, shown)
        pairs = np.stack([shown, decode(means)], 1)
        found = {
            "samples": shared.grid(algorithm.sample(state, key_z, 100), 10),
            "reconstructions": shared.grid(pairs.reshape(-1, *facts["image_shape"]), 10),
        }
        if options.latent_size == 2:
            found["manifold"] = shared.grid(decode(shared.normal_quantiles(15)), 15)
        return found

    return Task(
        images.train,
        shared.gather,
        len(images.train),
        evaluate,
        references,
        pictures,
        costly=likelihood,
    )


EXPERIMENT = Experiment(
    name="vae",
    title="Variational autoencoder",
    presets=PRESETS,
    load=shared.load,
    facts=shared.facts,
    algorithm=algorithm,
    task=task,
    sample=shared.sample,
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
