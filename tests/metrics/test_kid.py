import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from aigc_jax.metrics import kid as module
from aigc_jax.metrics.kid import Kid, kid, mmd2


def by_definition(x, y):
    """The estimator one pair at a time."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z):
        pairs = itertools.permutations(z, 2)
        return sum(k(a, b) for a, b in pairs) / (len(z) * (len(z) - 1))

    between = sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    return within(x) + within(y) - 2 * between


@pytest.mark.parametrize(("n", "m", "d"), [(7, 5, 3), (2, 9, 1), (6, 6, 10)])
def test_the_definition_is_met(rng, n, m, d):
    x, y = rng.normal(size=(n, d)), 0.5 + 2 * rng.normal(size=(m, d))
    assert mmd2(x, y) == pytest.approx(by_definition(x.tolist(), y.tolist()), rel=1e-12)


def test_a_worked_example():
    # k(0, 1) = 1; k(2, 3) = 343; k(0, ·) = 1, k(1, 2) = 27, k(1, 3) = 64: 1 + 343 − 2 · 93/4.
    assert mmd2(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])) == pytest.approx(297.5)


def test_what_all_points_have_in_common_costs_no_digits(rng):
    # In rational numbers there is no rounding. Uncentred, float64 keeps four digits of this.
    whole = rng.integers(-8, 8, size=(2, 12, 3))
    x, y = whole[0], whole[1] + 1
    far = [[[Fraction(int(v) + 10**6) for v in point] for point in z] for z in (x, y)]
    expected = float(by_definition(*far))
    assert mmd2(x + 1e6, y + 1e6) == pytest.approx(expected, rel=1e-9)


def test_it_is_unbiased():
    # In one dimension MMD² = 3 Δ₁² + 3 Δ₂² + Δ₃² with Δ_j the difference of the j-th raw moments.
    # Its mean over every pair of samples of two points, drawn with replacement, is exactly that.
    a, b = [0.0, 1.0, 3.0], [-1.0, 2.0, 2.0]
    samples_a, samples_b = (
        [np.array(s)[:, None] for s in itertools.product(values, repeat=2)] for values in (a, b)
    )
    mean = np.mean([mmd2(x, y) for x in samples_a for y in samples_b])
    delta = [np.mean(np.power(a, j)) - np.mean(np.power(b, j)) for j in (1, 2, 3)]
    assert mean == pytest.approx(3 * delta[0] ** 2 + 3 * delta[1] ** 2 + delta[2] ** 2, rel=1e-12)


def test_samples_of_one_distribution_fall_on_either_side_of_0():
    rngs = [np.random.default_rng(seed) for seed in range(40)]
    values = np.array([mmd2(r.normal(size=(50, 4)), r.normal(size=(50, 4))) for r in rngs])
    assert 5 < (values < 0).sum() < 35
    assert abs(values.mean()) < 4 * values.std(ddof=1) / math.sqrt(40)


def test_sets_larger_than_a_block_give_the_whole_sum(rng, monkeypatch):
    x, y = rng.normal(size=(23, 3)), rng.normal(size=(30, 3)) + 1
    whole = mmd2(x, y)
    monkeypatch.setattr(module, "_ROWS", 10)
    assert mmd2(x, y) == pytest.approx(whole, rel=1e-12)


def test_float32_features_are_computed_in_float64(rng):
    x, y = (rng.normal(size=(50, 4)).astype(np.float32) for _ in range(2))
    assert mmd2(x, y) == mmd2(x.astype(np.float64), y.astype(np.float64))


def test_subsets_are_disjoint_and_as_many_as_fit(rng, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "mmd2", lambda x, y: seen.append((x, y)) or float(len(seen)))
    x, y = np.arange(35.0)[:, None], 100 + np.arange(50.0)[:, None]
    # The values are 1, 2, 3: of mean 2 and standard deviation 1.
    assert kid(x, y, subset_size=10) == Kid(2.0, pytest.approx(1 / math.sqrt(3), rel=1e-14))
    for side, points in enumerate((x, y)):
        drawn = np.concatenate([pair[side] for pair in seen])[:, 0]
        assert len(set(drawn)) == len(drawn) == 30
        assert set(drawn) <= set(points[:, 0])
        assert (np.diff(drawn) < 0).any()
    assert kid(x, y, subset_size=10, subsets=2).value == 4.5
    assert kid(x, y, subset_size=10, subsets=9).value == 7.0


def test_one_subset_of_all_points_is_mmd2_and_has_no_error(rng):
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)) + 0.5
    value, error = kid(x, y)
    assert value == pytest.approx(mmd2(x, y), rel=1e-12)
    assert math.isnan(error)


def test_the_seed_decides(rng):
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(45, 4))
    assert kid(x, y, 10, seed=1) == kid(x, y, 10, seed=1)
    assert kid(x, y, 10, seed=1) != kid(x, y, 10, seed=2)


def test_the_standard_error_is_the_spread_of_the_value_over_draws():
    # 60 draws of 20 subsets: their standard deviation is known to a tenth or so.
    metrics = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(400, 3)), 0.4 + rng.normal(size=(400, 3))
        metrics.append(kid(x, y, subset_size=20, seed=seed))
    values, errors = np.array(metrics).T
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.3)


@pytest.mark.parametrize(
    ("x", "y"), [((1, 3), (5, 3)), ((5, 3), (1, 3)), ((5, 3), (5, 2)), ((5,), (5,))]
)
def test_sets_that_do_not_compare_are_refused(x, y):
    with pytest.raises(ValueError, match="n, m >= 2"):
        mmd2(np.zeros(x), np.zeros(y))


@pytest.mark.parametrize(("size", "subsets"), [(1, None), (0, None), (5, 0)])
def test_empty_subsets_are_refused(size, subsets):
    with pytest.raises(ValueError, match="2 points or more"):
        kid(np.zeros((9, 2)), np.zeros((9, 2)), size, subsets)
