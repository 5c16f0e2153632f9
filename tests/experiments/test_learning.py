"""Learning, not only running: in seconds, each model beats a trivial one on held-out data."""

import jax
import numpy as np
import pytest

from aigc_jax import loop
from aigc_jax.data.batches import shuffled
from experiments.cli.options import from_flags
from experiments.families.gan import experiment as gan
from experiments.families.lm import experiment as lm
from experiments.families.vae import experiment as vae

BUDGET = {
    gan: {"steps": 3000},
    vae: {"steps": 600, "learning_rate": 3e-3},
    lm: {"steps": 300, "width": 64, "layers": 2, "learning_rate": 3e-3},
}


def trained(launcher, preset, **values):
    """The held-out metrics and the trivial models' after the budget, without folder or page."""
    experiment = launcher.EXPERIMENT
    options = from_flags(experiment.presets, {**BUDGET[launcher], "preset": preset, **values})
    data = experiment.load(options)
    metadata = experiment.metadata(options, data)
    algorithm = experiment.algorithm(options, metadata)
    task = experiment.task(options, data, metadata, algorithm)
    order = shuffled(options.seed, task.examples, options.batch_size)
    dispatch = loop.make_dispatch(algorithm.step, task.gather)
    state = jax.jit(algorithm.init)(jax.random.key(options.seed))
    device_data = jax.device_put(task.data)
    for start in range(0, options.steps, 50):
        indices = np.stack([order(step) for step in range(start, start + 50)])
        state, _ = dispatch(state, device_data, indices)
    return task.evaluate(state) | task.final_metrics(state), task.baselines()


PRESETS = ["default", pytest.param("textbook", marks=pytest.mark.all)]


# The presets on toys: tests/gan/test_learning.py. Here it is digits, and the classifier.
@pytest.mark.all
def test_the_gan_covers_digits_that_shapeless_pixels_do_not(tmp_path):
    metrics, baselines = trained(gan, "mlp", classifier=str(tmp_path / "classifier"))
    known, shapeless = baselines["training images"], baselines["shuffled pixels"]
    perfect = baselines["perfect sampler (expected)"]
    assert shapeless["coverage"] < 0.05
    assert known["coverage"] > 0.9
    assert metrics["coverage"] > 0.12
    assert known["fcd"] < 20
    assert 0.3 * known["fcd"] < perfect["fcd"] < 3 * known["fcd"]
    assert shapeless["fcd"] > 300
    assert metrics["fcd"] < 0.6 * shapeless["fcd"]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_vae_explains_digits_better_than_independent_pixels(preset):
    metrics, baselines = trained(vae, preset)
    baseline = baselines["independent pixels"]
    assert metrics["nll_nats_per_image"] < baseline["nll_nats_per_image"] - 20
    assert metrics["negative_elbo_nats"] < baseline["negative_elbo_nats"] - 20
    assert metrics["nll_nats_per_image"] < metrics["negative_elbo_nats"]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_transformer_predicts_text_better_than_counts_of_pairs(preset):
    metrics, baselines = trained(lm, preset)
    assert metrics["nll_nats"] < baselines["bigram counts"]["nll_nats"]
    assert baselines["bigram counts"]["nll_nats"] < baselines["unigram counts"]["nll_nats"]
