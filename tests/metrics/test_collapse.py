import math

import pytest

from aigc_jax.metrics.collapse import warnings


def run(coverage=(), kl=()):
    """Evaluations every 100 steps; None where a metric is missing."""
    evaluations = []
    for i in range(max(len(coverage), len(kl))):
        metrics = {"coverage": coverage, "class_kl_nats": kl}
        known = {n: v[i] for n, v in metrics.items() if i < len(v) and v[i] is not None}
        evaluations.append({"step": 100 * (i + 1), "fcd": 1.0, **known})
    return evaluations


@pytest.mark.parametrize(
    "evaluations",
    [
        [],
        [{}],
        [{"step": 100, "fcd": 3.0}],
        run(coverage=[0.5, 0.7, 0.8]),
        run(coverage=[0.5, 1.0, 0.7]),  # just kept
        run(coverage=[0.04, 0.03])[:1],  # early
        run(coverage=[0.09, 0.1]),  # just above the level
        run(kl=[0.3, 0.2, 0.1, 0.05]),
        run(kl=[0.01, 0.09]),  # ninefold, of next to nothing
        run(kl=[0.2, 0.5]),  # much, but not thrice as much
        run(coverage=[math.nan], kl=[math.nan]),
    ],
)
def test_health_is_silent(evaluations):
    assert warnings(evaluations) == []


def test_a_fall_names_both_ends():
    (sentence,) = warnings(run(coverage=[0.3, 0.8, 0.75, 0.55]))
    assert "0.550 at step 400" in sentence
    assert "0.800 at step 200" in sentence
    assert "fallen" in sentence


def test_a_recovery_ends_the_warning():
    assert warnings(run(coverage=[0.8, 0.1]))
    assert warnings(run(coverage=[0.8, 0.1, 0.7])) == []


def test_a_fall_is_said_even_early():
    assert len(warnings(run(coverage=[0.8, 0.3]), planned=100)) == 1


def test_little_coverage_is_said_after_the_first_third_of_the_evaluations():
    low = run(coverage=[0.01, 0.0, 0.05, 0.02])
    assert [bool(warnings(low[:n], planned=9)) for n in (1, 2, 3, 4)] == [False, False, False, True]
    (sentence,) = warnings(low)
    assert "only 0.020 at step 400" in sentence
    assert warnings(low[:1], planned=1)
    assert not warnings(low[:1])
    assert warnings(low[:2])


def test_many_missing_classes_are_said_at_once():
    (sentence,) = warnings(run(kl=[0.7]))
    assert "0.700 nats" in sentence
    assert "step 100" in sentence
    assert len(warnings(run(kl=[math.inf]))) == 1


def test_a_class_histogram_that_drifts_away_names_both_ends():
    (sentence,) = warnings(run(kl=[0.3, 0.05, 0.16]))
    assert "0.160 nats" in sentence
    assert "step 300" in sentence
    assert "0.050 at step 200" in sentence
    assert warnings(run(kl=[0.3, 0.05, 0.14])) == []


def test_both_are_said():
    assert len(warnings(run(coverage=[0.8, 0.2], kl=[0.1, 2.0]))) == 2


def test_the_last_evaluation_that_has_the_metric_counts():
    (sentence,) = warnings(run(coverage=[0.8, 0.2, None, math.nan]))
    assert "0.200 at step 200" in sentence


def test_without_steps_evaluations_are_counted():
    (sentence,) = warnings([{"coverage": 0.9}, {"coverage": 0.3}])
    assert "0.300 at evaluation 2, from 0.900 at evaluation 1" in sentence
