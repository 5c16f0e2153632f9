"""Penalties against derivatives by hand in float64, and the mistakes that popular code makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import gan, parallel
from aigc_jax.gan.penalties import LeCam, squared_gradient_norm

B, SHAPE = 6, (3, 4, 2)


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.random((2, B, *SHAPE)), jnp.float32)


@pytest.fixture
def weight(rng):
    return jnp.asarray(rng.normal(size=SHAPE), jnp.float32)


def quadratic(weight):
    """D(x) = ½ (w·x)², with ∇D = (w·x) w."""

    def critic(x):
        flat = x.reshape(x.shape[0], -1)
        return 0.5 * jnp.square(flat @ weight.reshape(-1))

    return critic


def gradient_norms(weight, x):
    w, x = np.float64(weight).reshape(-1), np.float64(x).reshape(len(x), -1)
    return np.abs(x @ w) * np.linalg.norm(w)


def keys(n=B):
    return parallel.example_keys(jax.random.key(3), n)


def test_r1_and_r2_are_half_the_squared_norm_at_real_and_at_fake(images, weight):
    real, fake = images
    for penalty, points in ((gan.r1, real), (gan.r2, fake)):
        actual = penalty(quadratic(weight), real, fake, keys())
        assert actual.shape == (B,)
        expected = 0.5 * gradient_norms(weight, points) ** 2
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_wgan_gp_mixes_with_one_weight_for_each_image(images, weight):
    real, fake = images
    actual, x = with_points(gan.wgan_gp, quadratic(weight), real, fake)
    np.testing.assert_allclose(actual, (gradient_norms(weight, x) - 1) ** 2, rtol=1e-4)
    share = np.asarray((x - fake) / (real - fake)).reshape(B, -1)
    np.testing.assert_allclose(share, np.broadcast_to(share[:, :1], share.shape), atol=1e-3)
    assert np.ptp(share[:, 0]) > 0.1, "images must not share a weight"
    assert ((share > 0) & (share < 1)).all()


def with_points(penalty, critic, real, fake):
    """A penalty, and the images at which it asked the critic."""
    seen = []

    def recording(x):
        jax.debug.callback(lambda v: seen.append(np.asarray(v)), x)
        return critic(x)

    found = penalty(recording, real, fake, keys())
    jax.effects_barrier()
    return found, seen[0]


def test_dragan_looks_near_real_images_alone(images, weight):
    real, fake = images
    actual, x = with_points(gan.dragan, quadratic(weight), real, fake)
    np.testing.assert_allclose(actual, (gradient_norms(weight, x) - 1) ** 2, rtol=1e-4)
    offset = x - np.asarray(real)
    assert (offset >= 0).all()
    assert (offset <= 0.5 * np.std(real) + 1e-6).all()
    assert np.ptp(offset.reshape(B, -1), axis=1).min() > 0.01, "noise differs from pixel to pixel"
    other = gan.dragan(quadratic(weight), real, fake + 1, keys())
    np.testing.assert_array_equal(actual, other)


PENALTIES = {"r1": gan.r1, "r2": gan.r2, "wgan_gp": gan.wgan_gp, "dragan": gan.dragan}


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_an_images_penalty_does_not_depend_on_the_batchs_size(images, weight, penalty):
    # ∇mean(D) in place of ∇sum(D) would shrink with the batch.
    real, fake = images
    whole = penalty(quadratic(weight), real, fake, keys())
    doubled = penalty(
        quadratic(weight),
        jnp.concatenate([real, real]),
        jnp.concatenate([fake, fake]),
        jnp.concatenate([keys(), keys()]),
    )
    np.testing.assert_allclose(doubled[:B], whole, rtol=1e-5)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_a_penalty_reaches_the_parameters(images, weight, penalty):
    # R3GAN #20: a detached penalty is a constant.
    real, fake = images

    def total(w):
        return penalty(quadratic(w), real, fake, keys()).sum()

    gradient = jax.grad(total)(weight)
    direction = jnp.ones_like(weight) / 24**0.5
    step = 1e-2
    slope = (total(weight + step * direction) - total(weight - step * direction)) / (2 * step)
    np.testing.assert_allclose(jnp.sum(gradient * direction), slope, rtol=1e-2)
    assert abs(slope) > 0.1


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_a_flat_critic_gives_finite_gradients(images, weight, penalty):
    real, fake = images
    gradient = jax.grad(
        lambda w: penalty(lambda x: jnp.sum(x * w * 0, axis=(1, 2, 3)), real, fake, keys()).sum()
    )(jnp.broadcast_to(weight, (B, *SHAPE)))
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_penalties_over_four_devices_are_those_of_one(rng, weight, penalty):
    real, fake = jnp.asarray(rng.random((2, 8, *SHAPE)), jnp.float32)
    whole = penalty(quadratic(weight), real, fake, keys(8))

    def shard(real, fake):
        own = parallel.example_keys(jax.random.key(3), 2, "d")
        return penalty(quadratic(weight), real, fake, own, "d")

    split = jax.pmap(shard, "d")(*(x.reshape(4, 2, *SHAPE) for x in (real, fake)))
    np.testing.assert_allclose(np.ravel(split), whole, rtol=1e-5)


def test_squares_are_summed_over_pixels(weight):
    x = jnp.ones((2, *SHAPE))
    linear = squared_gradient_norm(lambda x: 3 * jnp.sum(x, axis=(1, 2, 3)), x)
    np.testing.assert_allclose(linear, 9 * 24)


def test_lecam_by_hand():
    real, fake = jnp.array([2.0, -1.0]), jnp.array([-3.0, 0.5])
    actual = gan.lecam(real, fake, LeCam(jnp.float32(0.25), jnp.float32(-0.5)))
    # max(0, 2 + .5)² + max(0, .25 + 3)²;  max(0, −1 + .5)² + max(0, .25 − .5)²
    np.testing.assert_allclose(actual, [2.5**2 + 3.25**2, 0.0])
