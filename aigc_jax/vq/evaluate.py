"""Metrics of an autoencoder with discrete latents over a whole set of images, in chunks.

Dimensions: M images, H W C image, K codes.
"""

from functools import partial
from typing import Any

import jax
import numpy as np

from aigc_jax.likelihoods import GAUSSIAN, Likelihood
from aigc_jax.vq.coding import decode_codes, encode_images
from aigc_jax.vq.model import DiscreteNetworks, Quantiser, State


@partial(jax.jit, static_argnames=("networks", "quantiser", "likelihood"))
def _code(state, images, networks, quantiser, likelihood):
    model: dict[str, Any] = {"networks": networks, "quantiser": quantiser}
    codes = encode_images(state, images, **model)
    return codes, decode_codes(state, codes, **model, likelihood=likelihood)


def code_perplexity(counts: np.ndarray) -> float:
    """exp(−Σ p log p), p = counts / Σ counts, in float64: `[K]` → 1 … K."""
    p = np.asarray(counts, np.float64) / np.sum(counts, dtype=np.float64)
    p = p[p > 0]
    return float(np.exp(-np.sum(p * np.log(p))))


def code_usage(counts: np.ndarray) -> float:
    """The share of codes used at least once: `[K]` → 0 … 1."""
    return float(np.mean(np.asarray(counts) > 0))


def heldout_metrics(
    state: State,
    images: np.ndarray,
    *,
    networks: DiscreteNetworks,
    quantiser: Quantiser,
    likelihood: Likelihood = GAUSSIAN,
    chunk: int = 500,
) -> dict[str, float]:
    """How well the images are reconstructed, and how much of the codebook they use.

        MSE / variance = Σ (x − E[x|z])² / Σ (x − x̄)²,   x̄ the mean of all values of all images

    Usage and perplexity are those of the counts over the whole set: a batch cannot show more codes
    than it has positions, so the mean of batches' perplexities is too low.

    Args:
      state: see `State`; its averaged parameters are evaluated.
      images: `[M, H, W, C]` in [0, 1].
      networks, quantiser, likelihood: as trained.
      chunk: images in a pass.

    Returns:
      `mse`, `mse_over_variance`, `code_usage` in [0, 1] and `code_perplexity` in [1, K]; sums in
      float64.
    """
    counts = np.zeros(quantiser.codes, np.int64)
    squares, total, total_squares = 0.0, 0.0, 0.0
    for start in range(0, len(images), chunk):
        part = np.asarray(images[start : start + chunk], np.float32)
        codes, means = _code(state, part, networks, quantiser, likelihood)
        counts += np.bincount(np.asarray(codes).ravel(), minlength=quantiser.codes)
        x = part.astype(np.float64)
        squares += float(np.sum(np.square(x - np.asarray(means, np.float64))))
        total += float(np.sum(x))
        total_squares += float(np.sum(np.square(x)))
    values = np.size(images)
    mse, variance = squares / values, total_squares / values - (total / values) ** 2
    return {
        "mse": mse,
        "mse_over_variance": mse / variance,
        "code_usage": code_usage(counts),
        "code_perplexity": code_perplexity(counts),
    }
