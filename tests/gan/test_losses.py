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


def test_least_squares_losses():
    real, fake = jnp.array(LOGITS), jnp.array(OTHERS)
    expected = (LOGITS - 1) ** 2 / 2 + OTHERS**2 / 2
    np.testing.assert_allclose(
        gan.least_squares_discriminator_loss(real, fake), expected, rtol=1e-6
    )
    expected = (OTHERS - 1) ** 2 / 2
    np.testing.assert_allclose(gan.least_squares_generator_loss(fake), expected, rtol=1e-6)


def test_hinge_discriminator_loss():
    expected = np.maximum(0, 1 - LOGITS) + np.maximum(0, 1 + OTHERS)
    actual = gan.hinge_discriminator_loss(jnp.array(LOGITS), jnp.array(OTHERS))
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    beyond = gan.hinge_discriminator_loss(jnp.array([1.0, 1.5]), jnp.array([-1.0, -9.0]))
    np.testing.assert_array_equal(beyond, [0.0, 0.0])


def test_wasserstein_losses_are_differences_of_scores():
    real, fake = jnp.array([2.0, -1.0]), jnp.array([0.5, 3.0])
    np.testing.assert_array_equal(gan.wasserstein_discriminator_loss(real, fake), [-1.5, 4.0])
    np.testing.assert_array_equal(gan.negative_score_generator_loss(fake), [-0.5, -3.0])


def test_relativistic_losses():
    # Halved, so that float32 can hold e^−|difference|; the difference itself is rounded at 1e-7 of
    # up to 68, which is 4e-6 of the exponential.
    real, fake = LOGITS / 2, np.float64(np.float32(OTHERS / 2))
    inputs = jnp.array(real), jnp.array(fake)
    expected = -log_sigmoid(real - fake)
    np.testing.assert_allclose(gan.relativistic_discriminator_loss(*inputs), expected, rtol=5e-6)
    expected = -log_sigmoid(fake - real)
    np.testing.assert_allclose(gan.relativistic_generator_loss(*inputs), expected, rtol=5e-6)


def test_the_relativistic_generator_learns_from_the_real_images_logits():
    # PyTorch-GAN #52: the relativistic loss was computed, then overwritten by the plain one.
    fake = jnp.array([0.3, -0.2])
    one, other = (gan.RELATIVISTIC.generator(jnp.full(2, a), fake) for a in (0.0, 2.0))
    assert not np.allclose(one, other)
    slope = jax.grad(lambda a: gan.RELATIVISTIC.generator(jnp.full(2, a), fake).sum())(0.0)
    assert slope > 0.5


OBJECTIVES = {
    "minimax": gan.MINIMAX,
    "non-saturating": gan.NON_SATURATING,
    "least squares": gan.LEAST_SQUARES,
    "hinge": gan.HINGE,
    "wasserstein": gan.WASSERSTEIN,
    "relativistic": gan.RELATIVISTIC,
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_either_player_gains_what_it_wants(objective):
    """D's loss falls as reals rise and fakes fall; G's falls as fakes rise."""
    real, fake = jnp.array([0.4, -0.3]), jnp.array([0.2, 0.1])
    up, down = jax.grad(lambda r, f: objective.discriminator(r, f).sum(), (0, 1))(real, fake)
    assert (up < 0).all()
    assert (down > 0).all()
    assert (jax.grad(lambda f: objective.generator(real, f).sum())(fake) < 0).all()


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_has_zero_says_whether_indifference_is_a_logit_of_zero(objective):
    # Where the two kinds look alike, D does best to give both its indifferent logit.
    logits = jnp.linspace(-2, 2, 401)
    losses = objective.discriminator(logits, logits)
    best = logits[losses < losses.min() + 1e-5]  # one, or as the hinge's all within a margin
    indifferent = abs(float(best.mean())) < 0.006 and float(jnp.ptp(losses)) > 0.1
    assert objective.has_zero == indifferent


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
        lambda a: gan.least_squares_discriminator_loss(a, a),
        gan.least_squares_generator_loss,
        lambda a: gan.hinge_discriminator_loss(a, a),
        lambda a: gan.wasserstein_discriminator_loss(a, a),
        gan.negative_score_generator_loss,
        lambda a: gan.relativistic_discriminator_loss(a, a),
        lambda a: gan.relativistic_generator_loss(a, a),
    ],
)
def test_losses_are_unreduced_and_float32_from_half_precision_logits(loss):
    actual = loss(jnp.array(LOGITS, jnp.bfloat16))
    assert actual.shape == LOGITS.shape
    assert actual.dtype == jnp.float32
    assert bool(jnp.isfinite(actual).all())
