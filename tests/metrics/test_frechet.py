import math

import numpy as np
import pytest

from aigc_jax.metrics.frechet import (
    Moments,
    enough,
    expected_distance,
    frechet_distance,
    mean_distance_by_class,
    moments,
)


def gaussian(mean, covariance):
    return Moments(np.array(mean, np.float64), np.array(covariance, np.float64), 0)


def random_covariance(rng, size, rank):
    factor = rng.normal(size=(size, rank))
    return factor @ factor.T / rank


def test_moments_of_a_worked_example():
    m = moments(np.array([[0, 1], [2, 1], [4, 7]], np.float32))
    np.testing.assert_allclose(m.mean, [2, 3], rtol=1e-15)
    np.testing.assert_allclose(m.covariance, [[4, 6], [6, 12]], rtol=1e-15)
    assert m.count == 3


def test_moments_are_numpys_in_float64_even_far_from_the_origin(rng):
    features = (rng.normal(size=(300, 5)) + 1e4).astype(np.float32)
    m = moments(features)
    exact = features.astype(np.float64)
    assert m.mean.dtype == m.covariance.dtype == np.float64
    np.testing.assert_allclose(m.mean, exact.mean(0), rtol=1e-15)
    np.testing.assert_allclose(m.covariance, np.cov(exact, rowvar=False), atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (5,), (5, 2, 2)])
def test_moments_need_a_matrix_of_two_points(shape):
    with pytest.raises(ValueError, match="N >= 2"):
        moments(np.zeros(shape))


def test_one_dimension_is_the_difference_of_means_and_of_standard_deviations():
    # 3² + (4 − 1.5)².
    distance = frechet_distance(gaussian([1], [[16]]), gaussian([4], [[2.25]]))
    assert distance == pytest.approx(15.25, rel=1e-14)


def test_two_dimensions_that_do_not_commute():
    # tr (Σ_a Σ_b)^½ = √(tr P + 2 √det P) for P = Σ_a Σ_b, here of trace 10 and determinant 12.
    a, b = gaussian([0, 0], [[2, 1], [1, 2]]), gaussian([1, 2], [[1, 0], [0, 4]])
    expected = 5 + 4 + 5 - 2 * math.sqrt(10 + 2 * math.sqrt(12))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-13)


def test_covariances_of_rank_one():
    # tr (uuᵀ vvᵀ)^½ = |u·v| = 1, beside ‖u‖² = 5 and ‖v‖² = 10.
    u, v = np.array([1.0, 2.0, 0.0]), np.array([3.0, -1.0, 0.0])
    a, b = gaussian([0, 0, 0], np.outer(u, u)), gaussian([0, 0, 0], np.outer(v, v))
    assert frechet_distance(a, b) == pytest.approx(13, rel=1e-12)


@pytest.mark.parametrize(("rank_a", "rank_b"), [(20, 20), (20, 4), (3, 4), (0, 20)])
def test_the_roots_of_the_eigenvalues_of_the_product(rng, rank_a, rank_b):
    # The papers' form, by a general eigendecomposition; a small singular one loses half the digits.
    a, b = (
        random_covariance(rng, 6, rank) if rank else np.zeros((6, 6)) for rank in (rank_a, rank_b)
    )
    mean = rng.normal(size=6)
    root = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    expected = mean @ mean + np.trace(a) + np.trace(b) - 2 * root
    distance = frechet_distance(gaussian(mean, a), gaussian(np.zeros(6), b))
    assert distance == pytest.approx(expected, rel=1e-6 if min(rank_a, rank_b) < 6 else 1e-12)


@pytest.mark.parametrize(("points", "features"), [(500, 64), (40, 64), (60, 784), (2, 3)])
def test_a_set_against_itself_is_0_whether_or_not_its_covariance_is_singular(rng, points, features):
    m = moments(np.maximum(rng.normal(size=(points, features)) + 0.5, 0))
    assert 0 <= frechet_distance(m, m) < 1e-11 * np.trace(m.covariance)


def test_the_axes_and_the_order_of_the_sets_do_not_matter(rng):
    x, y = rng.normal(size=(50, 8)), rng.normal(size=(70, 8)) @ rng.normal(size=(8, 8))
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    distance = frechet_distance(moments(x), moments(y))
    assert distance == pytest.approx(frechet_distance(moments(y), moments(x)), rel=1e-12)
    turned = frechet_distance(moments(x @ rotation + 3), moments(y @ rotation + 3))
    assert distance == pytest.approx(turned, rel=1e-10)


def gaussians(rng, n):
    """Twelve features of variances 1, ¼, … 1/144."""
    return rng.normal(size=(n, 12)) / np.arange(1, 13)


def exponentials(rng, n):
    """Of kurtosis 9 in place of 3, which counts twice as much as the Gaussian formula has it."""
    return rng.exponential(size=(n, 6)) @ np.diag([4.0, 3, 2, 1, 1, 1])


def sparse(rng, n):
    """ReLUs of three Gaussians: as a classifier's features, in part of singular covariance."""
    hidden = rng.normal(size=(n, 3))
    return np.maximum(hidden @ np.linspace(-1, 1, 30).reshape(3, 10) - 0.3, 0)


def of_a_perfect_sampler(draw, n, m, draws=60):
    """The mean distance of two samples of one distribution, and its standard error."""
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        found.append(frechet_distance(moments(draw(rng, n)), moments(draw(rng, m))))
    return np.mean(found), np.std(found, ddof=1) / math.sqrt(draws)


@pytest.mark.parametrize("draw", [gaussians, exponentials, sparse], ids=lambda f: f.__name__)
def test_the_bias_of_finite_samples_is_the_expected_one(draw):
    # λ and Var(c) of 100,000 points, so that their own error, of some 2 %, is below the other.
    features = draw(np.random.default_rng(99), 100_000)
    mean, error = of_a_perfect_sampler(draw, 400, 800, draws=500)
    assert error < 0.06 * mean
    assert abs(expected_distance(features, 400, 800) - mean) < 3 * error


def test_the_expected_distance_of_gaussians_is_the_closed_form():
    # Σ diagonal with eigenvalues λ: tr Σ + ½ Σ_ij λ_i λ_j (1 + δ_ij) / (λ_i + λ_j).
    features = gaussians(np.random.default_rng(7), 400_000)
    values = 1 / np.arange(1, 13) ** 2
    pairs = np.outer(values, values) * (1 + np.eye(12)) / np.add.outer(values, values)
    stated = (1 / 300 + 1 / 700) * (values.sum() + pairs.sum() / 2)
    assert expected_distance(features, 300, 700) == pytest.approx(stated, rel=0.01)
    # A Gaussian's would be a fifth too little for these: Var(c_ii) is 8 λ², not 2 λ².
    heavy = exponentials(np.random.default_rng(7), 400_000)
    values = np.array([16.0, 9, 4, 1, 1, 1])
    pairs = np.outer(values, values) * (1 + 7 * np.eye(6)) / np.add.outer(values, values)
    stated = (1 / 300 + 1 / 700) * (values.sum() + pairs.sum() / 2)
    assert expected_distance(heavy, 300, 700) == pytest.approx(stated, rel=0.03)


@pytest.mark.parametrize("times", [2, 4])
def test_it_holds_from_twice_as_many_points_as_features_on(times):
    # Taken from as many points as are compared; without the halves it would be 25 and 12 % low.
    n = times * 16

    def draw(rng, n):
        return rng.normal(size=(n, 16))

    mean, error = of_a_perfect_sampler(draw, n, n, draws=300)
    told = [expected_distance(draw(np.random.default_rng(s), n), n, n) for s in range(100)]
    assert error < 0.01 * mean
    assert 1 - np.mean(told) / mean < {2: 0.14, 4: 0.04}[times]
    assert enough(n, 16)
    assert not enough(31, 16)


def test_it_turns_with_the_features_and_knows_no_more_of_constants(rng):
    features = exponentials(rng, 500)
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    wider = np.concatenate([features, np.ones((500, 2))], axis=1) @ rotation + 5
    expected = expected_distance(features, 500, 500)
    assert expected_distance(wider, 500, 500) == pytest.approx(expected, rel=1e-9)
    assert expected_distance(3 * features, 500, 500) == pytest.approx(9 * expected, rel=1e-12)
    with pytest.raises(ValueError, match="N >= 4"):
        expected_distance(features[:3], 9, 9)


@pytest.mark.parametrize("features", [4, 60])  # fewer than points in a class, and more
def test_permuted_labels_are_seen_class_by_class_alone(rng, features):
    labels = np.repeat(np.arange(5), 40)
    centres = 3 * rng.normal(size=(5, features))
    real, generated = (centres[labels] + rng.normal(size=(200, features)) for _ in range(2))
    heeded = mean_distance_by_class(real, labels, generated, labels)
    ignored = mean_distance_by_class(real, labels, generated, rng.permutation(labels))
    assert ignored > 3 * heeded
    one_by_one = [
        frechet_distance(moments(real[labels == c]), moments(generated[labels == c]))
        for c in range(5)
    ]
    assert heeded == pytest.approx(np.mean(one_by_one), rel=1e-9)
    assert mean_distance_by_class(real, labels, real, labels) == pytest.approx(0, abs=1e-10)


def test_classes_of_less_than_two_points_on_a_side_are_left_out(rng):
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(6, 2))
    labels_x, labels_y = np.array([0, 0, 0, 1, 1, 2, 3]), np.array([0, 0, 1, 3, 3, 3])
    found = mean_distance_by_class(x, labels_x, y, labels_y)
    assert found == pytest.approx(frechet_distance(moments(x[:3]), moments(y[:2])), rel=1e-12)
    assert math.isnan(mean_distance_by_class(x, labels_x, y, labels_y + 5))
    assert math.isnan(mean_distance_by_class(x, labels_x, np.full_like(y, np.nan), labels_y))


def test_what_is_not_finite_has_no_distance(rng):
    good = moments(rng.normal(size=(9, 2)))
    assert math.isnan(frechet_distance(good, gaussian([0, math.nan], np.eye(2))))
    assert math.isnan(frechet_distance(gaussian([0, 0], [[1, 0], [0, math.inf]]), good))


def test_features_of_different_sizes_are_refused(rng):
    with pytest.raises(ValueError, match="2 and 3 features"):
        frechet_distance(moments(rng.normal(size=(9, 2))), moments(rng.normal(size=(9, 3))))
