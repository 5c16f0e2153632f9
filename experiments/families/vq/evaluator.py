"""Metrics and artefacts of an autoencoder with discrete latents."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vq
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.artefacts import Artefact, Text
from aigc_jax.data.images import Images
from aigc_jax.metrics.pixels import pixel_means
from experiments.data import images as shared

_SHOWN = 100  # codes

CAPTIONS = {
    "samples": "Samples",
    "reconstructions": "Held-out images and, to the right of each, its reconstruction",
    "codes": "The most used codes: in each image one of them is in all positions",
    "codebook": "How often each code is used",
}


class Evaluator:
    """Metrics and artefacts of a model on held-out images, which are prepared once."""

    def __init__(self, images: Images, config: vq.Config, algorithm: Algorithm, seed: int):
        self.grey, self._train = shared.unit_interval(images.heldout), images.train
        self._algorithm, self._key = algorithm, jax.random.key(seed)
        self._coder: dict[str, Any] = {
            "networks": vq.networks_of(config),
            "quantiser": vq.quantiser_of(config),
        }
        self._model = {**self._coder, "likelihood": config.likelihood}

    def metrics(self, state: State) -> dict[str, float]:
        """How well held-out images are reconstructed, and how many codes that takes."""
        return vq.heldout_metrics(state, self.grey, **self._model)

    def baselines(self) -> dict[str, dict[str, float]]:
        """The mean of the training images as every reconstruction."""
        mean = pixel_means(shared.unit_interval(self._train))
        mse = float(np.mean(np.square(self.grey - mean), dtype=np.float64))
        variance = float(np.var(self.grey, dtype=np.float64))
        return {"mean image": {"mse": mse, "mse_over_variance": mse / variance}}

    def artefacts(self, state: State) -> dict[str, Artefact]:
        """Reconstructions, samples, and the codes that are used most, each filling the grid."""
        reconstruct = jax.jit(lambda x: vq.reconstruct(state, x, **self._model))
        shown = self.grey[:50]
        pairs = np.stack([shown, reconstruct(shown)], 1)
        sample = jax.jit(self._algorithm.sample, static_argnums=2)
        encode = jax.jit(lambda x: vq.encode_images(state, x, **self._coder))
        codes = np.asarray(encode(self.grey[:1000]))
        counts = np.bincount(codes.ravel(), minlength=self._coder["quantiser"].codes)
        order = np.argsort(-counts, kind="stable")[:_SHOWN]
        filled = jnp.broadcast_to(order[:, None, None], (len(order), *codes.shape[1:]))
        decode = jax.jit(lambda codes: vq.decode_codes(state, codes, **self._model))
        return {
            "reconstructions": shared.grid(pairs.reshape(-1, *pairs.shape[2:]), 10),
            "samples": shared.grid(np.asarray(sample(state, self._key, 100)), 10),
            "codes": shared.grid(np.asarray(decode(filled)), 10),
            "codebook": Text(_shares(counts, order)),
        }


def _shares(counts: np.ndarray, order: np.ndarray) -> str:
    """The codes used most, a line each with their share of all positions."""
    used = int(np.sum(counts > 0))
    lines = [f"{used} of {len(counts)} codes occur in these images", "code   share"]
    lines += [f"{code:4d}  {counts[code] / counts.sum():6.2%}" for code in order if counts[code]]
    return "\n".join(lines) + "\n"
