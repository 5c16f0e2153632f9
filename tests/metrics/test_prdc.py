import math

import numpy as np
import pytest

from aigc_jax.data.images import load_images
from aigc_jax.metrics import distances as module
from aigc_jax.metrics.pixels import shuffled_pixels
from aigc_jax.metrics.prdc import Prdc, expected_coverage, prdc


def by_definition(real, generated, k):
    """The four metrics in float64, one pair of points at a time."""

    def distance(a, b):
        return math.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True)))

    def radius(points, i):
        others = [distance(points[i], q) for j, q in enumerate(points) if j != i]
        return sorted(others)[k - 1]

    real_radii = [radius(real, i) for i in range(len(real))]
    generated_radii = [radius(generated, j) for j in range(len(generated))]
    within = [
        [distance(x, g) < r for g in generated] for x, r in zip(real, real_radii, strict=True)
    ]
    reached = [
        any(distance(x, g) < r for g, r in zip(generated, generated_radii, strict=True))
        for x in real
    ]
    return Prdc(
        precision=sum(any(column) for column in zip(*within, strict=True)) / len(generated),
        recall=sum(reached) / len(real),
        density=sum(map(sum, within)) / (k * len(generated)),
        coverage=sum(map(any, within)) / len(real),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0])
def test_the_definition_is_met(rng, k, shift):
    # Counts over counts: equal but for the rounding of one division.
    real = rng.normal(size=(40, 3)).astype(np.float32)
    generated = (0.7 * rng.normal(size=(25, 3)) + shift).astype(np.float32)
    np.testing.assert_allclose(
        prdc(real, generated, k), by_definition(real, generated, k), rtol=1e-6
    )


@pytest.mark.parametrize(("n", "m"), [(40, 25), (14, 30), (30, 14)])
def test_the_definition_is_met_over_blocks(rng, monkeypatch, n, m):
    monkeypatch.setattr(module, "_ROWS", 7)
    real, generated = rng.normal(size=(n, 3)), 0.7 * rng.normal(size=(m, 3))
    np.testing.assert_allclose(
        prdc(real, generated, 3), by_definition(real, generated, 3), rtol=1e-6
    )


def test_a_large_set_against_itself_is_perfect_in_every_block(rng):
    # A distance that a block rounds in its own way would put a point on the edge of a ball in it.
    points = rng.normal(size=(2300, 16))
    assert prdc(points, points) == Prdc(1.0, 1.0, 1.0, 1.0)


def test_what_all_points_have_in_common_costs_no_digits(rng):
    real, generated = rng.integers(-64, 64, size=(2, 60, 4)) / 64
    assert prdc(real + 2.0**14, generated + 2.0**14) == prdc(real, generated)


@pytest.mark.parametrize("ratio", [1e3, 1e6])
def test_clusters_far_from_each_other_cost_no_digits(rng, ratio):
    # Of twenty clusters every difference within one is lost in squares of norms in float32, whose
    # density was 0.65 at a ratio of 1,000.
    centres = ratio * rng.normal(size=(20, 8))
    real, generated = (
        centres[rng.integers(20, size=300)] + rng.normal(size=(300, 8)) for _ in range(2)
    )
    exact = np.square(np.concatenate([real, generated])[:, None] - generated[None]).sum(-1)
    own = np.square(real[:, None] - real[None]).sum(-1)
    radii_x, radii_g = (np.sort(d, axis=1)[:, 5] for d in (own, exact[300:]))
    within, recalled = exact[:300] < radii_x[:, None], exact[:300] < radii_g[None, :]
    expected = [within.any(0), recalled.any(1), within.sum() / 5, within.any(1)]
    np.testing.assert_allclose(
        prdc(real, generated), [np.sum(x) / 300 for x in expected], rtol=1e-12
    )


def test_collapsed_samples_are_compared_in_time(rng):
    # Every pair is at distance 0, and none of them in doubt.
    real = rng.normal(size=(4000, 64))
    copies = np.repeat(real[:1], 4000, axis=0)
    metrics = prdc(real, copies)
    assert metrics.recall == 0
    assert metrics.precision == 1
    assert 0 < metrics.coverage < 0.01


def test_points_that_are_not_finite_are_refused(rng):
    points = rng.normal(size=(9, 2))
    with pytest.raises(ValueError, match="not finite"):
        prdc(points, np.where(points > 0, np.inf, points))


def test_a_worked_example_on_a_line():
    # Radii at k = 1: real 1, 1, 7; generated 9.5 each. 0.5 is within the balls of 0 and 1; 10 is in
    # that of 8, which 0.5 is not (7.5 > 7).
    metrics = prdc(np.array([[0.0], [1.0], [8.0]]), np.array([[0.5], [10.0]]), k=1)
    assert metrics == Prdc(precision=1.0, recall=1.0, density=1.5, coverage=1.0)


def test_a_point_on_the_edge_of_a_ball_is_not_in_it():
    # Real radii 1, 1, 7: 2 is on the edge of the ball of 1, and it and 4 are in that of 8.
    # Generated radii 2: 0 is on an edge, 1 is within.
    metrics = prdc(np.array([[0.0], [1.0], [8.0]]), np.array([[2.0], [4.0]]), k=1)
    assert metrics == Prdc(precision=1.0, recall=1 / 3, density=1.0, coverage=1 / 3)


@pytest.mark.parametrize(("n", "m", "k"), [(200, 200, 5), (200, 100, 3), (100, 200, 2)])
def test_two_samples_of_one_distribution_reach_the_expected_density_and_coverage(n, m, k):
    # Naeem et al. 2020: E density = 1, and E coverage is 1 less the chance that the nearest k of a
    # point's n + m − 1 companions are all real. Means of 30 draws, within 4 standard errors.
    draws = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        draws.append(prdc(rng.normal(size=(n, 4)), rng.normal(size=(m, 4)), k)[2:])
    mean, error = np.mean(draws, 0), np.std(draws, 0, ddof=1) / math.sqrt(len(draws))
    assert error.max() < 0.02
    np.testing.assert_array_less(np.abs(mean - [1.0, expected_coverage(n, m, k)]), 4 * error)


def test_the_expected_coverage_of_worked_examples():
    # A lone companion of either kind: the nearest is generated half of the time. Of two real and
    # three generated companions, all orders alike, the nearest two are real once in ten times.
    assert expected_coverage(2, 1, 1) == pytest.approx(1 / 2)
    assert expected_coverage(3, 3, 2) == pytest.approx(9 / 10)


def test_a_set_against_itself_is_perfect(rng):
    points = rng.normal(size=(50, 3))
    metrics = prdc(points, points)
    # Each ball holds its centre and, strictly inside, the k − 1 nearer neighbours: k in all.
    assert metrics == Prdc(1.0, 1.0, 1.0, 1.0)


def test_distant_sets_have_nothing_in_common(rng):
    assert prdc(rng.normal(size=(50, 3)), 100 + rng.normal(size=(50, 3))) == Prdc(0, 0, 0, 0)


def test_precision_and_recall_change_places_with_the_sets(rng):
    real, generated = rng.normal(size=(60, 2)), 0.5 * rng.normal(size=(40, 2))
    one, other = prdc(real, generated), prdc(generated, real)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.precision != one.recall


def test_collapse_keeps_precision_and_loses_coverage_and_recall(rng):
    real, spread = rng.normal(size=(200, 4)), rng.normal(size=(200, 4))
    collapsed = 0.05 * rng.normal(size=(200, 4))
    healthy, poor = prdc(real, spread), prdc(real, collapsed)
    assert poor.precision >= healthy.precision
    assert poor.coverage < 0.5 * healthy.coverage
    assert poor.recall < 0.1 * healthy.recall


def test_images_without_shape_score_below_images_on_all_four():
    images = load_images("mnist5k")
    real, more = images.heldout / 255, images.train[:500] / 255
    shapeless = prdc(real, shuffled_pixels(images.train, 0, 500) / 255)
    better = prdc(real, more)
    assert max(shapeless.precision, shapeless.density, shapeless.coverage) < 0.05
    assert min(better) > 0.9
    # Recall is lenient: a point far from all others has a ball that holds much.
    assert shapeless.recall < 0.8 * better.recall


def test_axes_after_the_first_are_features(rng):
    real, generated = rng.random((20, 4, 4, 1)), rng.random((15, 4, 4, 1))
    assert prdc(real, generated) == prdc(real.reshape(20, 16), generated.reshape(15, 16))


@pytest.mark.parametrize(("n", "m", "k"), [(5, 9, 5), (9, 5, 5), (0, 9, 1)])
def test_too_few_points_for_a_kth_neighbour_are_refused(n, m, k):
    with pytest.raises(ValueError, match=f"more than {k} points"):
        prdc(np.zeros((n, 2)), np.zeros((m, 2)), k)


def test_one_point_more_than_neighbours_is_enough(rng):
    assert all(np.isfinite(prdc(rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), 5)))
