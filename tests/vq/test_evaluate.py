"""Metrics over a whole set, against NumPy in float64."""

from functools import partial

import jax
import numpy as np
import pytest

from aigc_jax import vq

BOOK = vq.vector_quantiser(16, 3)
CONFIG = vq.Config((8, 8, 1), partial(vq.convolutional, width=4), BOOK)
MODEL = {"networks": vq.networks_of(CONFIG), "quantiser": BOOK}


@pytest.fixture(scope="module")
def trained():
    """A state whose codebook lies among the features, and 60 images."""
    images = np.random.default_rng(0).random((60, 8, 8, 1), np.float32)
    algorithm = vq.make(CONFIG)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    return jax.jit(algorithm.step)(state, images)[0], images


@pytest.mark.parametrize("chunk", [60, 25, 1000])
def test_the_metrics_are_those_of_the_definition_for_any_chunk(trained, chunk):
    state, images = trained
    found = vq.heldout_metrics(state, images, **MODEL, chunk=chunk)
    encode, reconstruct = (jax.jit(partial(f, **MODEL)) for f in (vq.encode_images, vq.reconstruct))
    means = np.asarray(reconstruct(state, images), np.float64)
    codes = np.asarray(encode(state, images)).ravel()
    mse = np.mean((images.astype(np.float64) - means) ** 2)
    values, counts = np.unique(codes, return_counts=True)
    p = counts / counts.sum()
    expected = {
        "mse": mse,
        "mse_over_variance": mse / np.var(images.astype(np.float64)),
        "code_usage": len(values) / 16,
        "code_perplexity": np.prod(p**-p),
    }
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_usage_of_the_set_exceeds_that_of_its_batches(trained):
    state, images = trained
    whole = vq.heldout_metrics(state, images, **MODEL)
    single = [vq.heldout_metrics(state, images[i : i + 1], **MODEL) for i in range(20)]
    for name in ("code_usage", "code_perplexity"):
        assert np.mean([metrics[name] for metrics in single]) < 0.9 * whole[name]


def test_worked_perplexities_and_usages():
    # ½, ¼, ¼: 2^1.5.
    assert vq.code_perplexity(np.array([4, 0, 2, 2])) == pytest.approx(2**1.5, rel=1e-12)
    assert vq.code_perplexity(np.array([0, 9, 0])) == 1
    assert vq.code_perplexity(np.full(1000, 7)) == pytest.approx(1000, rel=1e-12)
    assert vq.code_usage(np.array([4, 0, 2, 2])) == 0.75


def test_the_mean_of_all_pixels_leaves_all_of_the_variance(trained):
    state, images = trained
    constant = MODEL["networks"]._replace(decode=lambda params, vectors: 0.0 * vectors.sum())
    likelihood = CONFIG.likelihood._replace(mean=lambda outputs: outputs + images.mean())
    found = vq.heldout_metrics(
        state, images, networks=constant, quantiser=BOOK, likelihood=likelihood
    )
    assert found["mse_over_variance"] == pytest.approx(1, rel=1e-5)
