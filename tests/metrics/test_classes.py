import math

import numpy as np
import pytest

from aigc_jax.metrics.classes import (
    Modes,
    class_histogram_kl,
    expected_class_histogram_kl,
    expected_mode_kl,
    histogram,
    kl_divergence,
    mode_coverage,
)


def test_histogram_of_a_worked_example():
    frequencies = histogram(np.array([2, 0, 2, 2], np.uint8), 4)
    assert frequencies.dtype == np.float64
    np.testing.assert_array_equal(frequencies, [0.25, 0, 0.75, 0])


@pytest.mark.parametrize("labels", [[], [0, 3], [-1, 0]])
def test_labels_that_are_none_or_out_of_range_are_refused(labels):
    for refuses in (histogram, mode_coverage):
        with pytest.raises(ValueError, match=r"in \[0, 3\)"):
            refuses(np.array(labels, np.int64), 3)


def test_kl_of_a_worked_example():
    # ¼ log(¼ / ½) + ¾ log(¾ / ¼) + 0 log 0.
    p, q = np.array([0.25, 0.75, 0]), np.array([0.5, 0.25, 0.25])
    expected = 0.75 * math.log(3) - 0.25 * math.log(2)
    assert kl_divergence(p, q) == pytest.approx(expected, rel=1e-14)
    assert kl_divergence(q, p) == math.inf
    assert kl_divergence(p, p) == 0


def test_kl_is_infinite_only_where_the_reference_lacks_what_was_generated():
    assert kl_divergence(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == math.log(2)
    assert kl_divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == math.inf
    assert kl_divergence(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0


def test_class_histogram_kl_of_a_worked_example():
    # Counts 2, 2, 0 and half of one more each: q = 2.5/5.5, 2.5/5.5, 0.5/5.5.
    generated, real = np.array([0, 2]), np.array([0, 1, 0, 1])
    expected = 0.5 * math.log(0.5 / (2.5 / 5.5)) + 0.5 * math.log(0.5 / (0.5 / 5.5))
    assert class_histogram_kl(generated, real, 3) == pytest.approx(expected, rel=1e-14)


def test_a_class_that_the_reference_lacks_leaves_the_metric_finite():
    metric = class_histogram_kl(np.full(10_000, 9), np.zeros(10_000, int), 10)
    assert metric == pytest.approx(math.log(2 * 10_005), rel=1e-12)


@pytest.mark.parametrize(("dropped", "least"), [(1, 0.105), (5, 0.693), (9, 2.303)])
def test_dropped_classes_cost_what_they_were_worth(dropped, least):
    real = np.arange(10_000) % 10
    metric = class_histogram_kl(real[real >= dropped], real, 10)
    assert metric == pytest.approx(-math.log(1 - dropped / 10), rel=1e-3)
    assert metric == pytest.approx(least, abs=1e-3)


def test_two_samples_of_one_distribution_reach_the_stated_floor():
    # (C − 1)/2 · (1/N + 1/M), of 200 draws.
    n, m, frequencies = 2000, 1000, np.arange(1, 11) / 55
    metrics = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        metrics.append(
            class_histogram_kl(
                rng.choice(10, n, p=frequencies), rng.choice(10, m, p=frequencies), 10
            )
        )
    stated, error = 4.5 * (1 / n + 1 / m), np.std(metrics, ddof=1) / math.sqrt(200)
    assert error < 0.05 * stated
    assert abs(np.mean(metrics) - stated) < 4 * error


def test_modes_of_a_worked_example():
    # Two of four equally likely modes, equally often: log 4 − log 2.
    assert mode_coverage(np.array([3, 1, 1, 3]), 4) == Modes(2, pytest.approx(math.log(2)))
    assert mode_coverage(np.arange(1000), 1000) == Modes(1000, pytest.approx(0, abs=1e-12))
    assert mode_coverage(np.full(26_000, 7), 1000) == Modes(1, pytest.approx(math.log(1000)))


def test_a_perfect_sampler_of_stacked_mnist_reaches_the_stated_floor_and_not_0():
    # (modes − 1) / 2N = 0.0192; the next term of the expansion, modes²/12N², is a hundredth of it.
    metrics = []
    for seed in range(20):
        found, kl = mode_coverage(np.random.default_rng(seed).integers(1000, size=26_000), 1000)
        assert found == 1000
        metrics.append(kl)
    error = np.std(metrics, ddof=1) / math.sqrt(len(metrics))
    assert np.mean(metrics) == pytest.approx(999 / 52_000 * (1 + 1000 / 6 / 26_000), abs=4 * error)
    assert np.mean(metrics) == pytest.approx(0.0193, abs=0.0005)


@pytest.mark.parametrize(("n", "m"), [(500, 500), (2000, 300)])
def test_two_samples_of_one_distribution_score_the_expected_divergence(n, m):
    # Of unequal classes, one of which never occurs; 400 draws, within 4 standard errors.
    rng, p = np.random.default_rng(0), np.array([0.4, 0.3, 0.1, 0.1, 0.1, 0.0])
    found, told = [], []
    for _ in range(400):
        real, generated = rng.choice(6, n, p=p), rng.choice(6, m, p=p)
        found.append(class_histogram_kl(generated, real, 6))
        told.append(expected_class_histogram_kl(real, m))
    assert np.mean(told) == pytest.approx(2 * (1 / n + 1 / m), rel=1e-12)
    error = np.std(found, ddof=1) / math.sqrt(400)
    assert error < 0.06 * np.mean(found)
    assert abs(np.mean(found) - np.mean(told)) < 4 * error


def test_a_perfect_samplers_modes_score_the_expected_divergence():
    rng = np.random.default_rng(0)
    found = [mode_coverage(rng.integers(100, size=2600), 100).kl_nats for _ in range(100)]
    error = np.std(found, ddof=1) / 10
    assert abs(np.mean(found) - expected_mode_kl(2600, 100)) < 4 * error
    assert expected_mode_kl(26_000, 1000) == pytest.approx(0.0192, abs=5e-5)
