"""The same features through the packages that papers use: their stored numbers, and themselves.

The numbers are in tests/parity, with the versions and the script that made them; the packages are
of the `bench` extra, and asked in `make test-all`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from parity.inputs import FEATURES, NEIGHBOURS, features

from aigc_jax.metrics.frechet import frechet_distance, moments
from aigc_jax.metrics.kid import kid, mmd2
from aigc_jax.metrics.prdc import prdc

PARITY = Path(__file__).parent.parent / "parity"


@pytest.fixture(scope="module")
def stored():
    """What torch-fidelity 0.4 and prdc 0.2 have made of the features."""
    return {
        name: json.loads((PARITY / f"{name}.json").read_text()) for name in ("fidelity", "prdc")
    }


@pytest.mark.parametrize("kind", FEATURES)
def test_distances_are_what_torch_fidelity_has_made(stored, kind):
    theirs, (x, y) = stored["fidelity"][kind], features(kind)
    for z, mean, row in zip(
        (x, y), theirs["means"], theirs["first rows of covariances"], strict=True
    ):
        np.testing.assert_allclose(moments(z).mean, mean, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(moments(z).covariance[0], row, rtol=1e-12, atol=1e-12)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(theirs["fid"], rel=1e-6)
    assert kid(x, y).value == pytest.approx(theirs["kid"], rel=1e-6)
    assert mmd2(x, y) == pytest.approx(theirs["kid"], rel=1e-6)


@pytest.mark.parametrize("k", NEIGHBOURS)
@pytest.mark.parametrize("kind", [*FEATURES, "ties"])
def test_neighbours_are_what_prdc_has_counted(stored, kind, k):
    for name, value in prdc(*features(kind), k)._asdict().items():
        assert value == pytest.approx(stored["prdc"][kind][str(k)][name], rel=1e-6), name


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.all
@pytest.mark.parametrize("kind", FEATURES)
def test_frechet_distance_is_torch_fidelitys(torch, kind):
    peer = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = features(kind)
    theirs = [peer.fid_features_to_statistics(torch.from_numpy(z)) for z in (x, y)]
    for ours, statistics in zip((moments(x), moments(y)), theirs, strict=True):
        np.testing.assert_allclose(ours.mean, statistics["mu"], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(ours.covariance, statistics["sigma"], rtol=1e-12, atol=1e-12)
    expected = peer.fid_statistics_to_metric(*theirs, verbose=False)[peer.KEY_METRIC_FID]
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.all
@pytest.mark.parametrize("kind", FEATURES)
def test_kid_is_torch_fidelitys_on_one_subset_of_all_points(torch, kind):
    peer = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = features(kind)
    expected = peer.kid_features_to_metric(
        *(torch.from_numpy(z) for z in (x, y)), kid_subsets=1, kid_subset_size=500, verbose=False
    )[peer.KEY_METRIC_KID_MEAN]
    assert kid(x, y).value == pytest.approx(expected, rel=1e-6)
    assert mmd2(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.all
def test_the_mean_over_subsets_is_torch_fidelitys_within_the_errors(torch):
    peer = pytest.importorskip("torch_fidelity.metric_kid")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20_000, 16)), 0.2 + rng.normal(size=(20_000, 16))
    expected = peer.kid_features_to_metric(
        *(torch.from_numpy(z) for z in (x, y)), kid_subsets=1000, kid_subset_size=50, verbose=False
    )[peer.KEY_METRIC_KID_MEAN]
    value, error = kid(x, y, subset_size=50)
    # Two estimates from the same points: apart by three errors of a difference at most.
    assert error < 0.05 * value
    assert abs(value - expected) < 3 * np.sqrt(2) * error


@pytest.mark.all
@pytest.mark.parametrize("k", NEIGHBOURS)
@pytest.mark.parametrize("kind", [*FEATURES, "ties"])
def test_prdc_is_prdcs(kind, k):
    peer = pytest.importorskip("prdc")
    x, y = features(kind)
    expected = peer.compute_prdc(x, y, nearest_k=k)
    for name, value in prdc(x, y, k)._asdict().items():
        assert value == pytest.approx(expected[name], rel=1e-6), name
