"""Pictures of what a GAN has learned so far, always from the same latents."""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import gan
from aigc_jax.algorithm import Algorithm, Key
from aigc_jax.artefacts import Picture
from aigc_jax.data.images import Images
from aigc_jax.metrics.neighbours import nearest
from aigc_jax.parallel import example_keys
from experiments.data.images import grid, unit_interval
from experiments.fidelity.evaluator import SEARCHED, quantise

ROWS, COLUMNS = 10, 10
LINES = 8  # of interpolations

CAPTIONS = {
    "samples": "Samples",
    "classes": "Samples by class, one row for each",
    "interpolations": "Interpolations: each row a straight line between two latent vectors",
    "nearest": "Samples and, to the right of each, the nearest training image",
}


def pictures(
    state: gan.State, key: Key, config: gan.Config, algorithm: Algorithm, images: Images
) -> dict[str, Picture]:
    """Grids of the averaged generator's images, by name.

    Args:
      state: of the GAN.
      key: decides the latents.
      config, algorithm: of the GAN.
      images: its data set.

    Returns:
      `samples`; `interpolations`, straight lines between two latents; `nearest`, each sample with
      the nearest training image to its right; `classes`, a row for each, where there are any.
    """
    shown = np.asarray(algorithm.sample(state, key, ROWS * COLUMNS))
    half = shown[: len(shown) // 2]
    closest = nearest(images.train[:SEARCHED], quantise(half)).index
    pairs = np.stack([half, unit_interval(images.train[closest])], 1)
    found = {
        "samples": grid(shown, COLUMNS),
        "interpolations": grid(np.asarray(interpolations(state, key, config)), COLUMNS),
        "nearest": grid(pairs.reshape(-1, *shown.shape[1:]), COLUMNS),
    }
    if config.classes:
        labels = jnp.repeat(jnp.arange(min(config.classes, ROWS)), COLUMNS)
        by_class = algorithm.sample(state, key, len(labels), labels)
        found["classes"] = grid(np.asarray(by_class), COLUMNS)
    return found


def interpolations(state: gan.State, key: Key, config: gan.Config) -> jax.Array:
    """G((1 − t) z_a + t z_b), t = 0 … 1, for `LINES` pairs: `[LINES · COLUMNS, H, W, C]`."""
    z = gan.latents(example_keys(key, 2 * LINES), config.latent_size)
    begin, end = (half[:, None] for half in jnp.split(z, 2))
    t = jnp.linspace(0, 1, COLUMNS)[None, :, None]
    line = (begin * (1 - t) + end * t).reshape(LINES * COLUMNS, -1)
    labels = None
    if config.classes:
        labels = jnp.repeat(jnp.arange(LINES) % config.classes, COLUMNS)
    networks = gan.networks_of(config)
    return networks.generate(gan.averaged(state, networks), line, labels, False, None)[0]
