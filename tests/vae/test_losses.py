"""The terms of the ELBO against NumPy in float64 and against quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vae


def test_bernoulli_nll_sums_over_pixels(rng):
    logits, x = rng.normal(size=(3, 4, 2, 1)) * 5, rng.random((3, 4, 2, 1))
    p = 1 / (1 + np.exp(-logits))
    expected = -(x * np.log(p) + (1 - x) * np.log1p(-p)).sum((1, 2, 3))
    np.testing.assert_allclose(jax.jit(vae.bernoulli_nll)(logits, x), expected, rtol=1e-6)


def test_bernoulli_nll_of_certain_and_wrong_logits():
    actual = vae.bernoulli_nll(jnp.array([[200.0], [200.0]]), jnp.array([[1.0], [0.0]]))
    np.testing.assert_allclose(actual, [0.0, 200.0])


def test_derivatives_of_bernoulli_nll_are_exact_everywhere_and_to_second_order():
    """d/dl = σ(l) − x and d²/dl² = σ(l)(1 − σ(l)), also at l = 0 and far from it."""
    logits, x = np.array([-90.0, -30.0, -1.0, 0.0, 2.0, 30.0, 90.0]), 0.3
    sigmoid = 1 / (1 + np.exp(-logits))

    def loss(l):
        return vae.bernoulli_nll(l[None, None], jnp.full((1, 1), x))[0]

    @jax.jit
    @jax.vmap
    def derivatives(l):
        first, second = jax.grad(loss), jax.jacfwd(jax.grad(loss))
        return first(l), second(l), jax.jvp(loss, (l,), (jnp.float32(1),))[1]

    first, second, forwards = derivatives(np.float32(logits))
    np.testing.assert_allclose(first, sigmoid - x, rtol=1e-6)
    np.testing.assert_allclose(second, sigmoid * (1 - sigmoid), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(forwards, sigmoid - x, rtol=1e-6)


def test_kl_by_worked_arithmetic():
    # ½ (μ² + σ² − log σ² − 1): ½ (4 + 1 − 0 − 1) = 2 and ½ (0 + e − 1 − 1) = (e − 2)/2, summed
    actual = vae.kl_to_standard_normal(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0]]))
    np.testing.assert_allclose(actual, [2 + (np.e - 2) / 2], rtol=1e-6)


def test_kl_against_quadrature():
    mean, log_variance = 0.8, -1.3
    z = np.linspace(-12, 12, 200_001)

    def log_normal(mu, lv):
        return -0.5 * ((z - mu) ** 2 / np.exp(lv) + lv + np.log(2 * np.pi))

    q = np.exp(log_normal(mean, log_variance))
    expected = np.trapezoid(q * (log_normal(mean, log_variance) - log_normal(0, 0)), z)
    actual = vae.kl_to_standard_normal(jnp.array([[mean]]), jnp.array([[log_variance]]))
    assert float(actual[0]) == pytest.approx(expected, rel=1e-6)


def test_kl_is_zero_at_the_prior_and_accurate_near_it():
    assert float(vae.kl_to_standard_normal(jnp.zeros((1, 5)), jnp.zeros((1, 5)))[0]) == 0
    near = 1e-3  # ½ (e^a − 1 − a) ≈ a²/4
    actual = vae.kl_to_standard_normal(jnp.zeros((1, 1)), jnp.full((1, 1), near))
    assert float(actual[0]) == pytest.approx(0.5 * (np.expm1(near) - near), rel=1e-3)


def test_kl_between_gaussians_by_worked_arithmetic():
    # q = N(1, 4), p = N(3, 9): log(3/2) + (4 + (1 − 3)²) / 18 − ½
    q, p = (vae.Gaussian(jnp.array([m]), jnp.log(jnp.array([v]))) for m, v in ((1.0, 4.0), (3, 9)))
    expected = np.log(1.5) + 8 / 18 - 0.5
    np.testing.assert_allclose(vae.gaussian_kl(q, p), [expected], rtol=1e-6)
    standard = vae.Gaussian(jnp.zeros(1), jnp.zeros(1))
    alone = vae.kl_to_standard_normal(*(a[None] for a in q))
    np.testing.assert_allclose(vae.gaussian_kl(q, standard), alone, rtol=1e-6)


def test_gaussian_log_density(rng):
    z, mean, log_variance = rng.normal(size=(3, 4, 2))
    expected = -0.5 * ((z - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi))
    actual = vae.gaussian_log_density(z, mean, log_variance)
    np.testing.assert_allclose(actual, expected.sum(-1), rtol=1e-5)
