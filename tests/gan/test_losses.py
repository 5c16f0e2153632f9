"""Adversarial losses against NumPy in float64, also where probabilities would round to 0 or 1."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import gan

LOGITS = np.array([-80.0, -20.0, -3.0, -0.5, 0.0, 0.5, 3.0, 20.0, 80.0])
OTHERS = np.float64(np.float32(LOGITS[::-1] * 0.7 + 0.1))  # what float32 can hold


def log_sigmoid(a):
    return -np.logaddexp(0.0, -a)  # float64


def test_minimax_discriminator_loss():
    expected = -log_sigmoid(LOGITS) - log_sigmoid(-OTHERS)
    actual = gan.minimax_discriminator_loss(jnp.array(LOGITS), jnp.array(OTHERS))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_saturating_generator_loss():
    actual = gan.saturating_generator_loss(jnp.array(LOGITS))
    np.testing.assert_allclose(actual, log_sigmoid(-LOGITS), rtol=1e-6)


def test_nonsaturating_generator_loss():
    actual = gan.nonsaturating_generator_loss(jnp.array(LOGITS))
    np.testing.assert_allclose(actual, -log_sigmoid(LOGITS), rtol=1e-6)


def test_an_undecided_discriminator():
    zero = jnp.zeros(3)
    np.testing.assert_allclose(
        gan.minimax_discriminator_loss(zero, zero), 2 * math.log(2), rtol=1e-6
    )
    np.testing.assert_allclose(gan.saturating_generator_loss(zero), -math.log(2), rtol=1e-6)
    np.testing.assert_allclose(gan.nonsaturating_generator_loss(zero), math.log(2), rtol=1e-6)


def test_only_the_saturating_gradient_vanishes_where_fakes_are_rejected():
    rejected = jnp.float32(-30.0)
    saturating = jax.grad(lambda a: gan.saturating_generator_loss(a[None])[0])(rejected)
    nonsaturating = jax.grad(lambda a: gan.nonsaturating_generator_loss(a[None])[0])(rejected)
    assert abs(saturating) < 1e-12
    assert nonsaturating == pytest.approx(-1.0)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a: gan.minimax_discriminator_loss(a, a),
        gan.saturating_generator_loss,
        gan.nonsaturating_generator_loss,
    ],
)
def test_losses_are_unreduced_and_float32_from_half_precision_logits(loss):
    actual = loss(jnp.array(LOGITS, jnp.bfloat16))
    assert actual.shape == LOGITS.shape
    assert actual.dtype == jnp.float32
    assert bool(jnp.isfinite(actual).all())
