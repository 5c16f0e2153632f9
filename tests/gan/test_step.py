"""The GAN's update order, by hand: D on real and fake, then G through the new D."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import gan, parallel

RATE = 0.05


def scalar_networks():
    """G(z) = θ z and D(x) = φ x, on 'images' of one pixel."""
    return gan.Networks(
        init=lambda key: (jnp.float32(0.7), jnp.float32(-0.4)),
        generate=lambda theta, z: (theta * z).reshape(-1, 1, 1, 1),
        discriminate=lambda phi, x: phi * x.reshape(-1),
        latent_size=1,
    )


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def test_one_update_by_hand():
    networks, sgd = scalar_networks(), optax.sgd(RATE)
    state = gan.init(jax.random.key(0), networks, sgd, sgd)
    state = state._replace(step=jnp.int32(1000), ema_g=jnp.float32(5.0))
    x = np.array([0.2, 0.9, 0.5, 0.1, 0.8])
    after, info = gan.step(
        state,
        jnp.float32(x.reshape(-1, 1, 1, 1)),
        networks=networks,
        tx_g=sgd,
        tx_d=sgd,
        ema_decay=0.9,
    )

    keys = parallel.example_keys(jax.random.fold_in(state.key, 1000), 5)
    z = np.asarray(gan.latents(keys, 1), np.float64)[:, 0]
    theta, phi = 0.7, -0.4
    fake = theta * z
    # d/dφ [s(−φx) + s(φ x̃)] = −x σ(−φx) + x̃ σ(φ x̃)
    phi_new = phi - RATE * np.mean(-x * sigmoid(-phi * x) + fake * sigmoid(phi * fake))
    # d/dθ s(−φ θ z) = −φ z σ(−φ θ z), through the new φ
    theta_new = theta - RATE * np.mean(-phi_new * z * sigmoid(-phi_new * fake))
    assert float(after.params_d) == pytest.approx(phi_new, rel=1e-6)
    assert float(after.params_g) == pytest.approx(theta_new, rel=1e-6)
    assert float(after.ema_g) == pytest.approx(0.9 * 5.0 + 0.1 * theta_new, rel=1e-6)
    loss_d = np.logaddexp(0, -phi * x) + np.logaddexp(0, phi * fake)
    assert float(info.loss_d) == pytest.approx(loss_d.mean(), rel=1e-6)
    assert float(info.loss_g) == pytest.approx(np.logaddexp(0, -phi_new * fake).mean(), rel=1e-6)
    assert float(info.probability_real) == pytest.approx(sigmoid(phi * x).mean(), rel=1e-6)
    assert float(info.probability_fake) == pytest.approx(sigmoid(phi * fake).mean(), rel=1e-6)


def run(tx_g, tx_d, **changes):
    networks = scalar_networks()
    state = gan.init(jax.random.key(0), networks, tx_g, tx_d)
    batch = jnp.full((4, 1, 1, 1), 0.5)
    after, _ = gan.step(state, batch, networks=networks, tx_g=tx_g, tx_d=tx_d, **changes)
    return state, after


def test_the_discriminators_update_leaves_the_generator_untouched():
    before, after = run(tx_g=optax.set_to_zero(), tx_d=optax.sgd(RATE))
    assert after.params_g == before.params_g
    assert after.params_d != before.params_d


def test_the_generators_update_leaves_the_discriminator_untouched():
    before, after = run(tx_g=optax.sgd(RATE), tx_d=optax.set_to_zero())
    assert after.params_d == before.params_d
    assert after.params_g != before.params_g


def test_no_averaging_keeps_the_newest_generator():
    _, after = run(optax.sgd(RATE), optax.sgd(RATE), ema_decay=0.0)
    assert after.ema_g == after.params_g


def test_each_step_draws_new_noise():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3, hidden=4))
    state = algorithm.init(jax.random.key(0))
    batch = jnp.zeros((4, 2, 2, 1))
    _, first = algorithm.step(state, batch)
    _, second = algorithm.step(state._replace(step=state.step + 1), batch)
    assert first.probability_fake != second.probability_fake


def test_samples_come_from_the_average_and_do_not_depend_on_their_number():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3, hidden=4))
    state = algorithm.init(jax.random.key(0))
    key = jax.random.key(1)
    few, many = algorithm.sample(state, key, 3), algorithm.sample(state, key, 8)
    np.testing.assert_allclose(few, many[:3], rtol=1e-6)
    other = state._replace(params_g=jax.tree.map(jnp.zeros_like, state.params_g))
    np.testing.assert_array_equal(algorithm.sample(other, key, 3), few)
    zeroed = state._replace(ema_g=jax.tree.map(jnp.zeros_like, state.ema_g))
    np.testing.assert_allclose(algorithm.sample(zeroed, key, 3), 0.5)


def test_the_textbook_preset_is_the_articles():
    config = gan.TEXTBOOK
    assert (config.image_shape, config.latent_size, config.hidden) == ((28, 28, 1), 100, 128)
    assert config.generator_loss is gan.saturating_generator_loss
    assert config.discriminator_loss is gan.minimax_discriminator_loss
    assert config.ema_decay == config.weight_decay_d == 0
    assert (config.learning_rate, config.adam_b1, config.adam_b2) == (1e-3, 0.9, 0.999)
