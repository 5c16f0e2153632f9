import math

import numpy as np
import pytest

from aigc_jax.metrics.frechet import Moments, frechet_distance, moments


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


def test_the_bias_of_finite_samples_is_the_stated_one():
    # (1/N_a + 1/N_b) tr Σ (D + 5)/4, of 40 draws of two samples of one Gaussian with Σ = 4 I.
    n, m, d = 1000, 2000, 8
    distances = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, y = 2 * rng.normal(size=(n, d)), 2 * rng.normal(size=(m, d))
        distances.append(frechet_distance(moments(x), moments(y)))
    stated = (1 / n + 1 / m) * 4 * d * (d + 5) / 4
    error = np.std(distances, ddof=1) / math.sqrt(len(distances))
    assert error < 0.05 * stated
    assert abs(np.mean(distances) - stated) < 4 * error


def test_what_is_not_finite_has_no_distance(rng):
    good = moments(rng.normal(size=(9, 2)))
    assert math.isnan(frechet_distance(good, gaussian([0, math.nan], np.eye(2))))
    assert math.isnan(frechet_distance(gaussian([0, 0], [[1, 0], [0, math.inf]]), good))


def test_features_of_different_sizes_are_refused(rng):
    with pytest.raises(ValueError, match="2 and 3 features"):
        frechet_distance(moments(rng.normal(size=(9, 2))), moments(rng.normal(size=(9, 3))))
