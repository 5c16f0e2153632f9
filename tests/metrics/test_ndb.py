"""NDB: k-means, the test of proportions, and what a perfect sampler scores."""

import math

import numpy as np
import pytest

from aigc_jax.errors import InputError
from aigc_jax.metrics import ndb
from aigc_jax.metrics.ndb import Bins, different_bins, expected_share, fit_bins, two_proportions_z

CENTRES = np.array([[0.0, 0, 0], [9, 0, 0], [0, 7, 0], [5, 5, 5], [-6, 0, 3]])


def mixture(rng, n, weights=(0.2,) * 5):
    """Five far apart Gaussians in three dimensions."""
    return CENTRES[rng.choice(5, size=n, p=weights)] + rng.normal(size=(n, 3)) / 4


def test_clusters_far_apart_are_found_whatever_the_seed(rng):
    labels = np.repeat(np.arange(5), [30, 10, 25, 15, 20])
    points = CENTRES[labels] + rng.normal(size=(100, 3)) / 4
    for seed in range(4):
        bins = fit_bins(points, 5, seed)
        order = [np.square(CENTRES - c).sum(1).argmin() for c in bins.centres]
        assert sorted(order) == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(bins.counts, np.bincount(labels)[order])
        means = np.stack([points[labels == k].mean(0) for k in order])
        np.testing.assert_allclose(bins.centres, means, rtol=1e-12)


def test_no_point_would_change_its_cluster(rng):
    points = rng.normal(size=(300, 4))
    centres, counts = fit_bins(points, 12)
    labels = np.square(points[:, None] - centres).sum(-1).argmin(1)
    np.testing.assert_array_equal(counts, np.bincount(labels, minlength=12))
    means = np.stack([points[labels == k].mean(0) for k in range(12)])
    np.testing.assert_allclose(centres, means, rtol=1e-12, atol=1e-14)


def test_the_same_seed_gives_the_same_bins_and_another_others(rng):
    points = rng.normal(size=(200, 2))
    first, again, other = (fit_bins(points, 9, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.centres, again.centres)
    assert np.abs(first.centres - other.centres).max() > 0.01


def test_first_centres_are_drawn_by_squared_distance():
    # From 0, the others are at 1 and 3 of it: 1 in 10 and 9 in 10.
    points, rng = np.array([[0.0], [1.0], [3.0]]), np.random.default_rng(5)
    seconds = [
        c[1, 0] for c in (ndb._first_centres(points, 2, rng) for _ in range(3000)) if not c[0]
    ]
    assert set(seconds) == {1.0, 3.0}
    share = np.mean(np.array(seconds) == 1)
    assert abs(share - 0.1) < 4 * math.sqrt(0.09 / len(seconds))


def test_a_cluster_that_loses_its_points_keeps_its_centre(monkeypatch):
    # The first centre's are (0, 0) and (0, 9); then (0, 0) is nearer to (2, 0) than to their mean.
    points = np.array([[0.0, 0], [2, 0], [0, 9]])
    begun = np.array([[0.0, 0], [2, 0], [-50, 50]])
    monkeypatch.setattr(ndb, "_first_centres", lambda *_: begun.copy())
    bins = fit_bins(points, 3)
    np.testing.assert_array_equal(bins.centres, [[0, 9], [1, 0], [-50, 50]])
    assert bins.counts.tolist() == [1, 2, 0]


def test_z_is_that_of_a_worked_example():
    # 30 of 100 and 50 of 300: p = 80/400, so 0.3 − 1/6 over √(0.16 (1/100 + 1/300)).
    z = two_proportions_z(np.array([30, 70]), np.array([50, 250]))
    expected = (0.3 - 1 / 6) / math.sqrt(0.2 * 0.8 * (1 / 100 + 1 / 300))
    np.testing.assert_allclose(z, [expected, -expected], rtol=1e-12)


def test_z_of_bins_that_all_or_none_are_in_is_0():
    np.testing.assert_array_equal(two_proportions_z(np.array([5, 0]), np.array([9, 0])), [0, 0])


def test_a_worked_example_of_different_bins():
    # Proportions .4 .4 .2 of 100 and .4 .3 .3 of 200: z = 0, 1.73 and −1.86.
    bins = Bins(np.array([[0.0], [10.0], [20.0]]), np.array([40, 40, 20]))
    generated = np.repeat([1.0, 12.0, 19.0], [80, 60, 60])[:, None]
    assert different_bins(bins, generated)[:2] == (0, 0.0)
    # The critical values are 1.960, 1.812 and 1.645.
    assert different_bins(bins, generated, level=0.07)[:2] == (1, pytest.approx(1 / 3))
    assert different_bins(bins, generated, level=0.10)[:2] == (2, pytest.approx(2 / 3))


def test_collapse_fills_one_bin_and_empties_the_others(rng):
    bins = fit_bins(mixture(rng, 500), 5)
    found = different_bins(bins, np.tile(CENTRES[2], (100, 1)))
    assert found[:2] == (5, 1.0)


def test_a_lost_cluster_is_one_bin_and_dilutes_the_others(rng):
    bins = fit_bins(mixture(rng, 2000), 5)
    found = different_bins(bins, mixture(rng, 150, (0.2, 0.2, 0.0, 0.4, 0.2)))
    assert found.number == 2


def shares_of_a_perfect_sampler(count_anew, m=1500, n=500, features=2):
    """NDB / K of 30 samples of the training distribution, and what is expected of it."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        bins = fit_bins(rng.normal(size=(m, features)), 50)
        if count_anew:
            labels = np.square(rng.normal(size=(m, 1, features)) - bins.centres).sum(-1).argmin(1)
            bins = bins._replace(counts=np.bincount(labels, minlength=50))
        found.append(different_bins(bins, rng.normal(size=(n, features)))[1:])
    return np.array(found).T


def test_samples_of_the_same_distribution_differ_in_a_twentieth_of_the_bins():
    shares, expected = shares_of_a_perfect_sampler(count_anew=True)
    error = np.std(shares, ddof=1) / math.sqrt(30)
    assert error < 0.006
    assert abs(np.mean(shares) - np.mean(expected)) < 3 * error
    assert np.mean(expected) == pytest.approx(0.05, abs=0.005)


def test_bins_that_were_fitted_to_the_points_they_count_differ_about_as_often():
    shares, _ = shares_of_a_perfect_sampler(count_anew=False)
    assert 0.02 < np.mean(shares) < 0.08


def test_many_samples_of_the_same_distribution_differ_from_few_training_points():
    """As the docstring warns: 12 points to a bin in 64 dimensions."""
    rng = np.random.default_rng(0)
    bins = fit_bins(rng.normal(size=(600, 64)), 50)
    found = different_bins(bins, rng.normal(size=(2400, 64)))
    assert found.share > 0.2
    assert found.expected < 0.06


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_expected_share_is_the_level_where_bins_are_large(level):
    counts = np.array([400, 300, 900, 200, 700])
    found = expected_share(counts, 1700, level)
    assert found == expected_share(counts, 1700, level)
    assert found == pytest.approx(level, abs=4 * math.sqrt(level / 5000))


@pytest.mark.parametrize(("first", "m", "n"), [(2, 12, 3), (1, 9, 3)])
def test_the_expected_share_is_that_of_an_enumeration_where_bins_are_small(first, m, n):
    """Two bins: all pairs of binomials, 0.070 and 0.013 where a normal distribution has 0.05."""
    exact, q = 0.0, first / m
    for a in range(m + 1):
        for b in range(n + 1):
            p = math.comb(m, a) * math.comb(n, b) * q ** (a + b) * (1 - q) ** (m + n - a - b)
            z = two_proportions_z(np.array([a, m - a]), np.array([b, n - b]))
            exact += p * np.mean(np.abs(z) > 1.959964)
    found = expected_share(np.array([first, m - first]), n)
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact / 1000))


def test_what_cannot_be_binned_is_refused(rng):
    points = np.repeat(rng.normal(size=(6, 2)), 3, axis=0)
    with pytest.raises(InputError, match="6 different points do not fill 7 bins"):
        fit_bins(points, 7)
    assert len(fit_bins(points, 6).counts) == 6
    with pytest.raises(InputError, match="2 or more"):
        fit_bins(points, 1)
    for broken in (np.zeros(5), np.zeros((0, 2)), np.array([[0, math.nan]])):
        with pytest.raises(InputError, match="finite"):
            fit_bins(broken, 2)
    bins = fit_bins(points, 3)
    with pytest.raises(InputError, match="2 features and the points of 3"):
        different_bins(bins, np.zeros((4, 3)))
    with pytest.raises(InputError, match="level"):
        different_bins(bins, points, level=5)
