"""The same features through the packages that papers use (the `bench` extra)."""

import numpy as np
import pytest

from aigc_jax.metrics.frechet import frechet_distance, moments
from aigc_jax.metrics.kid import kid, mmd2
from aigc_jax.metrics.prdc import prdc

FEATURES = ["gaussian", "skewed", "singular"]


def draw(kind):
    """Two sets of 64 features: `[500, 64]` and `[500, 64]`, float64."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(500, 64)), 0.8 * rng.normal(size=(500, 64)) + 0.3
    if kind == "skewed":  # as after a ReLU
        x, y = np.maximum(x @ rng.normal(size=(64, 64)), 0), np.maximum(y, 0)
    if kind == "singular":
        flat = rng.normal(size=(20, 64))
        x, y = x[:, :20] @ flat, y[:, :20] @ flat
    return x, y


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("kind", FEATURES)
def test_frechet_distance_is_torch_fidelitys(torch, kind):
    peer = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = draw(kind)
    theirs = [peer.fid_features_to_statistics(torch.from_numpy(z)) for z in (x, y)]
    for ours, statistics in zip((moments(x), moments(y)), theirs, strict=True):
        np.testing.assert_allclose(ours.mean, statistics["mu"], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(ours.covariance, statistics["sigma"], rtol=1e-12, atol=1e-12)
    expected = peer.fid_statistics_to_metric(*theirs, verbose=False)[peer.KEY_METRIC_FID]
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", FEATURES)
def test_kid_is_torch_fidelitys_on_one_subset_of_all_points(torch, kind):
    peer = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = draw(kind)
    expected = peer.kid_features_to_metric(
        *(torch.from_numpy(z) for z in (x, y)), kid_subsets=1, kid_subset_size=500, verbose=False
    )[peer.KEY_METRIC_KID_MEAN]
    assert kid(x, y).value == pytest.approx(expected, rel=1e-6)
    assert mmd2(x, y) == pytest.approx(expected, rel=1e-6)


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


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("kind", [*FEATURES, "ties"])
def test_prdc_is_prdcs(kind, k):
    peer = pytest.importorskip("prdc")
    if kind == "ties":  # whole numbers, of which many distances are equal
        rng = np.random.default_rng(0)
        x, y = (rng.integers(0, 5, size=(300, 8)).astype(np.float64) for _ in range(2))
    else:
        x, y = draw(kind)
    expected = peer.compute_prdc(x, y, nearest_k=k)
    for name, value in prdc(x, y, k)._asdict().items():
        assert value == pytest.approx(expected[name], rel=1e-6), name
