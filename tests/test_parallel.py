"""Means over devices: weights, not devices, count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel


def losses(theta, x, w):
    return theta * x, w, jnp.sum(w)


def test_mean_and_grad_by_worked_arithmetic():
    x, w = jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 0.0, 3.0])
    mean, share, grad = parallel.mean_and_grad(losses)(jnp.float32(2.0), x, w)
    assert (float(mean), float(share), float(grad)) == (2 * 13 / 4, 1.0, 13 / 4)


def test_unevenly_weighted_shards_weigh_as_their_examples_do():
    """A mean of the devices' means would give (1 + 12/3) / 2 here."""
    x, w = jnp.array([[1.0, 2.0], [4.0, 4.0]]), jnp.array([[1.0, 0.0], [2.0, 1.0]])
    whole = parallel.mean_and_grad(losses)(jnp.float32(2.0), x.ravel(), w.ravel())
    sharded = jax.pmap(
        lambda x, w: parallel.mean_and_grad(losses, "d")(jnp.float32(2.0), x, w), "d"
    )(x, w)
    for a, b in zip(sharded, whole, strict=True):
        np.testing.assert_allclose(a, np.broadcast_to(b, 2), rtol=1e-6)


def test_a_pullback_leads_from_what_was_computed_to_the_parameters():
    """Σ w (a x)² / Σ w over both devices, where each has computed its a x beforehand."""
    x, w = jnp.array([[1.0, 2.0], [4.0, 3.0]]), jnp.array([[1.0, 0.0], [2.0, 1.0]])

    def mean_and_grad(x, w):
        scaled, pullback = jax.vjp(lambda a: a * x, jnp.float32(2.0))
        square = parallel.mean_and_grad(lambda y: (y**2, w, ()), "d", pullback=pullback)
        return square(scaled)[::2]

    mean, grad = jax.pmap(mean_and_grad, "d")(x, w)
    np.testing.assert_allclose(mean, np.full(2, 4 * (1 + 32 + 9) / 4))
    np.testing.assert_allclose(grad, np.full(2, 4 * (1 + 32 + 9) / 4))


@pytest.mark.parametrize("microbatches", [1, 2, 3, 6])
def test_microbatches_that_are_unevenly_weighted_weigh_as_their_examples_do(microbatches):
    """A mean of the parts' means would give another number for each of these cuts."""
    x, w = jnp.array([1.0, 2.0, 4.0, 4.0, 9.0, 3.0]), jnp.array([1.0, 0.0, 0.0, 0.0, 2.0, 1.0])
    whole = parallel.mean_and_grad(losses)(jnp.float32(2.0), x, w)
    parts = parallel.mean_and_grad(losses, None, microbatches)(jnp.float32(2.0), x, w)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    assert float(parts[0]) == 2 * (1 + 18 + 3) / 4


def test_rows_that_cannot_be_cut_evenly_are_refused():
    with pytest.raises(ValueError, match="3 rows cannot be cut into 2"):
        parallel.mean_and_grad(losses, None, 2)(jnp.float32(2.0), jnp.ones(3), jnp.ones(3))


def test_an_empty_batch_has_mean_zero_and_not_nan():
    mean, _, grad = parallel.mean_and_grad(losses)(jnp.float32(2.0), jnp.ones(3), jnp.zeros(3))
    assert (float(mean), float(grad)) == (0.0, 0.0)
