"""Scores of class probabilities against their definitions over pairs and worked arithmetic."""

import math

import numpy as np
import pytest

from aigc_jax.errors import InputError
from aigc_jax.metrics.scores import am_score, inception_score, modified_inception_score

THIRDS = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


def drawn(rng, n=7, classes=4):
    return rng.dirichlet(np.full(classes, 0.6), size=n)


def peaked(classes, epsilon, repeats=2):
    """Each class as often, ε given to each of the others."""
    p = np.full((classes, classes), epsilon) + (1 - classes * epsilon) * np.eye(classes)
    return np.tile(p, (repeats, 1))


def test_worked_examples():
    # p(y) = (3/8, 1/4, 3/8).
    to_marginal = 0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3)
    assert inception_score(THIRDS) == pytest.approx(math.exp(to_marginal), rel=1e-12)
    # Of four pairs two are of one example; KL of the others is ¼ log 2.
    assert modified_inception_score(THIRDS) == pytest.approx(2**0.125, rel=1e-12)
    # KL((½, ¼, ¼) ‖ (3/8, ¼, 3/8)) = ½ log 4/3 + ¼ log 2/3; each entropy is 1.5 bits.
    found = am_score(np.array([[0.5, 0.25, 0.25]]), THIRDS)
    assert found == pytest.approx(to_marginal + 1.5 * math.log(2), rel=1e-12)


def test_the_definitions_are_met_pair_by_pair(rng):
    p, train = drawn(rng), drawn(rng, 11)
    to_marginal = np.mean([kl(row, p.mean(0)) for row in p])
    assert inception_score(p) == pytest.approx(math.exp(to_marginal), rel=1e-12)
    pairs = np.mean([kl(a, b) for a in p for b in p])
    assert modified_inception_score(p) == pytest.approx(math.exp(pairs), rel=1e-12)
    entropy = -np.mean([kl(row, np.ones(4)) for row in p])
    expected = kl(train.mean(0), p.mean(0)) + entropy
    assert am_score(train, p) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [3, 10])
def test_a_sure_and_balanced_set_has_as_many_classes_as_there_are(classes):
    sure = np.tile(np.eye(classes), (3, 1))
    assert inception_score(sure) == pytest.approx(classes, rel=1e-12)
    assert am_score(sure, sure) == 0
    # As bad as the floor is low, but finite.
    floor = (1 - 1 / classes) * 126 * math.log(2)
    assert modified_inception_score(sure) == pytest.approx(math.exp(floor), rel=1e-9)


@pytest.mark.parametrize("epsilon", [0.05, 1e-4, 1e-30])
def test_a_modified_score_grows_as_the_classifier_is_sure(epsilon):
    a = 1 - 9 * epsilon
    log = 0.9 * (1 - 10 * epsilon) * math.log(a / epsilon)
    found = modified_inception_score(peaked(10, epsilon))
    assert found == pytest.approx(math.exp(log), rel=1e-9)


@pytest.mark.parametrize("row", [[0.0, 1, 0, 0], [0.9, 0.06, 0.04], [0.25] * 4])
def test_one_example_again_and_again_scores_1(row):
    # A hundred, whose mean is off by rounding.
    p = np.tile(row, (100, 1))
    assert inception_score(p) == pytest.approx(1, abs=1e-14)
    assert modified_inception_score(p) == pytest.approx(1, abs=1e-14)
    assert inception_score(p) >= 1
    assert modified_inception_score(p) >= 1


def test_am_asks_for_the_frequencies_of_training():
    frequencies = np.array([[0.75, 0.25]])
    sure = np.eye(2)
    fitting, even = sure[[0, 0, 0, 1]], sure[[0, 1]]
    assert am_score(frequencies, fitting) == pytest.approx(0, abs=1e-14)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert am_score(frequencies, even) == pytest.approx(expected, rel=1e-12)
    # Other than these: the direction of the divergence matters.
    other = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert am_score(np.full((1, 2), 0.5), fitting) == pytest.approx(other, rel=1e-12)
    assert am_score(np.full((1, 8), 1 / 8), np.full((3, 8), 1 / 8)) == pytest.approx(math.log(8))


def test_am_of_a_missing_class_is_finite():
    lost = am_score(np.full((1, 4), 0.25), np.eye(4)[[0, 1, 2, 0]])
    expected = 0.25 * (126 * math.log(2)) + 0.25 * (math.log(2) + 2 * math.log(4)) - math.log(4)
    assert lost == pytest.approx(expected, rel=1e-9)


def test_the_inception_score_of_few_examples_is_low_by_the_stated_bias(rng):
    # One-hot, ten classes, N = 200: log K − log IS is (K − 1) / 2N = 0.0225 on average.
    logs = [math.log(inception_score(np.eye(10)[rng.integers(10, size=200)])) for _ in range(200)]
    error = float(np.std(logs)) / math.sqrt(200)
    assert error < 0.001
    assert math.log(10) - np.mean(logs) == pytest.approx(9 / 400, abs=3 * error + 0.001)


def test_rounding_of_a_softmax_does_not_matter(rng):
    p = drawn(rng, 40)
    rounded = p.astype(np.float32) * np.float32(1 + 3e-6)
    assert inception_score(rounded) == pytest.approx(inception_score(p), rel=1e-6)
    assert modified_inception_score(rounded) == pytest.approx(modified_inception_score(p), rel=1e-5)
    assert am_score(rounded, rounded[:9]) == pytest.approx(am_score(p, p[:9]), rel=1e-6)


@pytest.mark.parametrize(
    "rows", [[[2.0, -1.0]], [[0.5, 0.6]], [[math.nan, 1]], [[-0.2, 1.2]], [[-0.7, -0.7]]]
)
def test_what_is_no_distribution_is_refused(rows):
    for score in (inception_score, modified_inception_score, lambda p: am_score(np.eye(2), p)):
        with pytest.raises(InputError, match="no logits"):
            score(np.array(rows))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"\[N, K\]"):
        inception_score(np.full(4, 0.25))
    with pytest.raises(InputError, match=r"\[N, K\]"):
        modified_inception_score(np.zeros((0, 4)))
    with pytest.raises(InputError, match="3 and 2 classes"):
        am_score(np.eye(3), np.eye(2))
