"""The GAN's update order, by hand: D on real and fake, then G through the new D."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import gan
from aigc_jax.gan.view import draw

RATE = 0.05
HALVES = np.full((4, 1, 1, 1), 0.5, np.float32)


def scalar_networks():
    """G(z) = θ z and D(x) = φ x, on 'images' of one pixel."""
    return gan.plain_networks(
        init=lambda key: (jnp.float32(0.7), jnp.float32(-0.4)),
        generate=lambda theta, z: (theta * z).reshape(-1, 1, 1, 1),
        discriminate=lambda phi, x: phi * x.reshape(-1),
        latent_size=1,
    )


def jitted(**settings):
    """`gan.step` under these settings, as one program."""
    return jax.jit(partial(gan.step, **settings))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def test_one_update_by_hand():
    networks, sgd = scalar_networks(), optax.sgd(RATE)
    state = gan.init(jax.random.key(0), networks, sgd, sgd)
    state = state._replace(step=jnp.int32(1000), ema_g=gan.Variables(jnp.float32(5.0), ()))
    x = np.array([0.2, 0.9, 0.5, 0.1, 0.8])
    step = jitted(networks=networks, tx_g=sgd, tx_d=sgd, ema_half_life=50.0)
    after, info = step(state, np.float32(x.reshape(-1, 1, 1, 1)))

    key = jax.random.fold_in(jax.random.fold_in(state.key, 1000), 0)
    z = np.asarray(gan.draw(key, 5, 1).z, np.float64)[:, 0]
    theta, phi = 0.7, -0.4
    fake = theta * z
    # d/dφ [s(−φx) + s(φ x̃)] = −x σ(−φx) + x̃ σ(φ x̃)
    phi_new = phi - RATE * np.mean(-x * sigmoid(-phi * x) + fake * sigmoid(phi * fake))
    # d/dθ s(−φ θ z) = −φ z σ(−φ θ z), through the new φ
    theta_new = theta - RATE * np.mean(-phi_new * z * sigmoid(-phi_new * fake))
    assert float(after.params_d) == pytest.approx(phi_new, rel=1e-6)
    assert float(after.params_g) == pytest.approx(theta_new, rel=1e-6)
    beta = 0.5 ** (5 / 50)  # 5 images a step, a half-life of 50, long after the ramp
    ema = beta * 5.0 + (1 - beta) * theta_new
    assert float(after.ema_g.params) == pytest.approx(ema, rel=1e-6)
    loss_d = np.logaddexp(0, -phi * x) + np.logaddexp(0, phi * fake)
    assert float(info.loss_d) == pytest.approx(loss_d.mean(), rel=1e-6)
    assert float(info.loss_g) == pytest.approx(np.logaddexp(0, -phi_new * fake).mean(), rel=1e-6)
    assert float(info.logit_real) == pytest.approx((phi * x).mean(), rel=1e-6)
    assert float(info.logit_fake) == pytest.approx((phi * fake).mean(), rel=1e-6)
    assert float(info.penalty_d) == 0


def run(tx_g, tx_d, **changes):
    networks = scalar_networks()
    state = gan.init(jax.random.key(0), networks, tx_g, tx_d)
    step = jitted(networks=networks, tx_g=tx_g, tx_d=tx_d, **changes)
    return state, step(state, HALVES)[0]


def test_the_discriminators_update_leaves_the_generator_untouched():
    before, after = run(tx_g=optax.set_to_zero(), tx_d=optax.sgd(RATE))
    assert after.params_g == before.params_g
    assert after.params_d != before.params_d


def test_the_generators_update_leaves_the_discriminator_untouched():
    before, after = run(tx_g=optax.sgd(RATE), tx_d=optax.set_to_zero())
    assert after.params_d == before.params_d
    assert after.params_g != before.params_g


def test_r1_moves_d_by_the_penaltys_own_gradient():
    # ∇_x D = φ, so γ/2 φ² adds γ φ to the gradient; with the interval k, k γ φ at each k-th update.
    networks, sgd = scalar_networks(), optax.sgd(RATE)
    state = gan.init(jax.random.key(0), networks, sgd, sgd)
    unpenalised, penalised, at_times = (
        jitted(networks=networks, tx_g=sgd, tx_d=sgd, penalties=penalties)
        for penalties in (
            (),
            (gan.Penalty(gan.r1, 3.0),),
            (gan.Penalty(gan.r1, 3.0, every=4),),
        )
    )
    plain, _ = unpenalised(state, HALVES)
    always, info = penalised(state, HALVES)
    assert float(info.penalty_d) == pytest.approx(3.0 / 2 * 0.4**2, rel=1e-5)
    moved = float(always.params_d - plain.params_d)
    assert moved == pytest.approx(RATE * 3.0 * 0.4, rel=1e-5)
    for step, expected in ((0, 4 * moved), (1, 0.0), (3, 0.0), (4, 4 * moved)):
        at = state._replace(step=jnp.int32(step))
        lazy, _ = at_times(at, HALVES)
        without, _ = unpenalised(at, HALVES)
        assert float(lazy.params_d - without.params_d) == pytest.approx(expected, rel=1e-4)


def test_the_reported_penalty_is_the_mean_over_all_updates_of_d():
    networks, still = scalar_networks(), optax.set_to_zero()
    state = gan.init(jax.random.key(0), networks, still, still)
    penalties = (gan.Penalty(gan.r1, 3.0, every=2),)
    step = jitted(networks=networks, tx_g=still, tx_d=still, steps_d=2, penalties=penalties)
    _, info = step(state, HALVES)
    # Every second update of D bears 2 · 3/2 · 0.4².
    assert float(info.penalty_d) == pytest.approx(3 / 2 * 0.4**2, rel=1e-5)


def test_ds_rate_comes_down_over_the_steps_of_g_however_often_it_is_updated():
    # Under a constant gradient Adam moves by its rate. D's is −1 here: fakes are 0, reals 1.
    networks = gan.plain_networks(
        init=lambda key: (jnp.float32(0.7), jnp.float32(0.0)),
        generate=lambda theta, z: 0 * theta * z.reshape(-1, 1, 1, 1),
        discriminate=lambda phi, x: phi * x.reshape(-1),
        latent_size=1,
    )
    config = gan.Config(objective=gan.WASSERSTEIN, steps_d=2, decay_steps=10, learning_rate_d=0.1)
    algorithm = gan.make(config, nets=networks)
    state, places, step = algorithm.init(jax.random.key(0)), [], jax.jit(algorithm.step)
    for _ in range(12):
        places.append(float(state.params_d))
        state, _ = step(state, np.ones((4, 1, 1, 1), np.float32))
    updates = np.arange(22)
    share = 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * np.minimum(updates / 20, 1)))
    expected = 0.1 * share.reshape(11, 2).sum(1)
    np.testing.assert_allclose(np.diff(places), expected, rtol=1e-3)


def test_lecams_averages_forget_their_beginning_at_once():
    networks, still = scalar_networks(), optax.set_to_zero()
    state = gan.init(jax.random.key(0), networks, still, still)
    step = jitted(networks=networks, tx_g=still, tx_d=still, lecam_weight=1.0)
    after, info = step(state, HALVES)
    # t = 0: 0.1 of the zeros that it began with, 0.9 of the first means.
    np.testing.assert_allclose(
        after.lecam, [0.9 * info.logit_real, 0.9 * info.logit_fake], rtol=1e-5
    )
    late = state._replace(step=jnp.int32(10**6), lecam=gan.LeCam(jnp.float32(1), jnp.float32(2)))
    after, info = step(late, HALVES)
    expected = [0.99 * 1 + 0.01 * info.logit_real, 0.99 * 2 + 0.01 * info.logit_fake]
    np.testing.assert_allclose(after.lecam, expected, rtol=1e-5)


def test_two_updates_of_d_for_one_of_g():
    networks, sgd = scalar_networks(), optax.sgd(RATE)
    state = gan.init(jax.random.key(0), networks, sgd, sgd)
    x = np.array([0.2, 0.9, 0.5, 0.1, 0.8, 0.4])
    step = jitted(networks=networks, tx_g=sgd, tx_d=sgd, steps_d=2)
    after, _ = step(state, np.float32(x.reshape(-1, 1, 1, 1)))
    theta, phi = 0.7, -0.4
    for j in range(2):
        key = jax.random.fold_in(jax.random.fold_in(state.key, 0), j)
        z, part = np.asarray(gan.draw(key, 3, 1).z, np.float64)[:, 0], x[j::2]
        fake = theta * z
        phi -= RATE * np.mean(-part * sigmoid(-phi * part) + fake * sigmoid(phi * fake))
    theta -= RATE * np.mean(-phi * z * sigmoid(-phi * fake))
    assert float(after.params_d) == pytest.approx(phi, rel=1e-6)
    assert float(after.params_g) == pytest.approx(theta, rel=1e-6)
    assert int(after.step) == 1


def test_the_relativistic_generators_update_needs_the_real_images():
    networks, sgd, still = scalar_networks(), optax.sgd(RATE), optax.set_to_zero()
    state = gan.init(jax.random.key(0), networks, sgd, sgd)
    step = jitted(networks=networks, tx_g=sgd, tx_d=still, objective=gan.RELATIVISTIC)
    batches = [np.full((4, 1, 1, 1), x, np.float32) for x in (0.1, 0.9)]
    moved = [step(state, batch)[0].params_g for batch in batches]
    assert abs(moved[0] - moved[1]) > 1e-4


def test_packing_lays_neighbours_side_by_side():
    images = jnp.arange(2 * 2 * 3 * 2.0).reshape(4, 1, 3, 2)
    packed = gan.pack(images, 2)
    assert packed.shape == (2, 1, 3, 4)
    np.testing.assert_array_equal(packed[0, ..., :2], images[0])
    np.testing.assert_array_equal(packed[0, ..., 2:], images[1])
    np.testing.assert_array_equal(packed[1, ..., 2:], images[3])
    np.testing.assert_array_equal(gan.pack(images, 1), images)


def test_d_sees_packs():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3, packing=4))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    assert state.params_d["Dense_0"]["kernel"].shape[0] == 2 * 2 * 4
    after, info = jax.jit(algorithm.step)(state, np.ones((8, 2, 2, 1), np.float32))
    assert np.isfinite(info.loss_d)
    assert int(after.step) == 1


@pytest.mark.parametrize(
    ("changes", "images", "message"),
    [({"packing": 3}, 8, "packing 3 does not divide 8"), ({"steps_d": 3}, 8, "3 updates of D")],
)
def test_a_batch_that_cannot_be_divided_is_refused(changes, images, message):
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3, **changes))
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        algorithm.step(state, jnp.ones((images, 2, 2, 1)))


def test_class_conditional_networks_need_labels():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3, classes=5))
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    with pytest.raises(ValueError, match="need a Batch with labels"):
        algorithm.step(state, jnp.ones((8, 2, 2, 1)))


def test_labels_reach_either_player():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3, classes=5), tx_d=optax.sgd(RATE))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
    batch = gan.Batch(np.ones((8, 2, 2, 1), np.float32), labels)
    after, _ = jax.jit(algorithm.step)(state, batch)
    old, new = (
        np.asarray(s.params_d["ProjectionHead_0"]["class_embedding"]) for s in (state, after)
    )
    moved = np.abs(new - old).max(1)
    assert (moved[:3] > 0).all()
    assert (moved[3:] == 0).all()
    key, sample = jax.random.key(1), jax.jit(algorithm.sample, static_argnums=2)
    zero, one = (np.asarray(sample(state, key, 4, np.full(4, c, np.int32))) for c in (0, 1))
    assert np.abs(zero - one).max() > 1e-3
    in_turn = np.asarray(sample(state, key, 4))
    np.testing.assert_allclose(in_turn[0], zero[0], rtol=1e-6)
    np.testing.assert_allclose(in_turn[1], one[1], rtol=1e-6)


R1 = (gan.Penalty(gan.r1, 1.0),)


@pytest.mark.parametrize(
    ("changes", "nets", "message"),
    [
        ({"augmentation": gan.ADA, "objective": gan.RELATIVISTIC}, None, "ADA needs"),
        ({"classes": 3, "packing": 2}, None, "exclude each other"),
        ({"architecture": gan.dcgan, "penalties": R1}, None, "without batch normalisation"),
        ({"penalties": R1}, gan.dcgan(), "without batch normalisation"),
    ],
    ids=["ADA without a zero", "classes in packs", "penalty under batch norm", "own networks"],
)
def test_settings_that_exclude_each_other_are_refused(changes, nets, message):
    with pytest.raises(ValueError, match=message):
        gan.make(gan.Config(**changes), nets=nets)


def test_ds_updates_leave_the_generators_running_statistics_to_its_own():
    config = gan.Config((8, 8, 1), architecture=partial(gan.dcgan, width=2), latent_size=3)
    once, twice = (gan.make(dataclasses.replace(config, steps_d=n)) for n in (1, 2))
    state = jax.jit(once.init)(jax.random.key(0))
    batch = np.ones((4, 8, 8, 1), np.float32)
    for algorithm, images in ((once, batch), (twice, np.concatenate([batch, batch]))):
        after, _ = jax.jit(algorithm.step)(state, images)
        variance = after.stats_g["BatchNorm_0"]["var"]
        # One update of G keeps 0.9 of the first variance, which is 1; two would keep 0.81.
        key = jax.random.fold_in(jax.random.fold_in(state.key, 0), algorithm is twice)
        z = np.asarray(gan.draw(key, 4, 3).z, np.float64)
        h = z @ np.float64(state.params_g["Dense_0"]["kernel"])
        h = h.reshape(-1, variance.shape[0])
        np.testing.assert_allclose(variance, 0.9 + 0.1 * h.var(0), rtol=1e-5)


def test_ada_in_a_step_reads_the_signs_of_the_real_logits():
    fast = gan.ADA._replace(speed=64.0)
    networks = gan.plain_networks(
        init=lambda key: (jnp.float32(0.7), jnp.float32(1.0)),
        generate=lambda theta, z: (theta * z).reshape(-1, 1, 1, 1),
        discriminate=lambda phi, x: phi + 0 * x.reshape(-1),  # sure that all is real
        latent_size=1,
    )
    still = optax.set_to_zero()
    state = gan.init(jax.random.key(0), networks, still, still, fast)
    step = jitted(networks=networks, tx_g=still, tx_d=still, augmentation=fast)
    seen = []
    for _ in range(9):
        state, info = step(state, np.ones((8, 1, 1, 1), np.float32))
        seen.append(float(info.augment_probability))
    assert seen == [0.0] * 4 + [0.5] * 4 + [1.0]


def test_no_averaging_keeps_the_newest_generator():
    _, after = run(optax.sgd(RATE), optax.sgd(RATE), ema_half_life=0.0)
    assert after.ema_g.params == after.params_g


def test_each_step_draws_new_noise():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    batch = np.zeros((4, 2, 2, 1), np.float32)
    step = jax.jit(algorithm.step)
    _, first = step(state, batch)
    _, second = step(state._replace(step=state.step + 1), batch)
    assert first.logit_fake != second.logit_fake


def test_samples_come_from_the_average_and_do_not_depend_on_their_number():
    algorithm = gan.make(gan.Config((2, 2, 1), latent_size=3))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    key, sample = jax.random.key(1), jax.jit(algorithm.sample, static_argnums=2)
    few, many = (np.asarray(sample(state, key, n)) for n in (3, 8))
    np.testing.assert_allclose(few, many[:3], rtol=1e-6)
    other = state._replace(params_g=jax.tree.map(np.zeros_like, state.params_g))
    np.testing.assert_array_equal(sample(other, key, 3), few)
    zeroed = state._replace(ema_g=jax.tree.map(np.zeros_like, state.ema_g))
    np.testing.assert_allclose(sample(zeroed, key, 3), 0.5)


def test_batch_normalisation_of_d_never_mixes_real_and_generated_images(rng):
    config = gan.Config((16, 16, 1), architecture=partial(gan.dcgan, width=2), latent_size=3)
    algorithm = gan.make(config, tx_d=optax.set_to_zero())
    state = jax.jit(algorithm.init)(jax.random.key(0))
    batch, step = np.float32(rng.random((4, 16, 16, 1))), jax.jit(algorithm.step)
    (one, first), (other, second) = (
        step(state._replace(key=jax.random.key(k)), batch) for k in (1, 2)
    )
    assert first.logit_fake != second.logit_fake  # other fakes
    assert first.logit_real == second.logit_real
    assert jax.tree.all(jax.tree.map(np.array_equal, one.stats_d, other.stats_d))


def test_real_and_generated_images_are_augmented_alike_in_both_updates():
    image = np.float32(np.random.default_rng(3).random((8, 8, 1)))
    seen = []

    def discriminate(phi, x):
        jax.debug.callback(lambda v: seen.append(np.asarray(v)), x)
        return phi * x.sum((1, 2, 3))

    networks = gan.plain_networks(
        init=lambda key: (jnp.float32(1.0), jnp.float32(0.1)),
        generate=lambda theta, z: theta * jnp.broadcast_to(image, (len(z), *image.shape)),
        discriminate=discriminate,
        latent_size=1,
    )
    still = optax.set_to_zero()
    state = gan.init(jax.random.key(0), networks, still, still, gan.DIFFAUGMENT)
    step = jitted(
        networks=networks,
        tx_g=still,
        tx_d=still,
        augmentation=gan.DIFFAUGMENT,
        objective=gan.RELATIVISTIC,
    )
    step(state, np.broadcast_to(image, (4, *image.shape)))
    jax.effects_barrier()
    assert len(seen) == 4  # real and generated, in D's update and in G's
    for other in seen[1:]:
        np.testing.assert_allclose(other, seen[0], atol=1e-6)
    assert np.abs(seen[0] - np.asarray(image)).max() > 0.05
    assert np.abs(seen[0][0] - seen[0][1]).max() > 0.05


def layers(params):
    """The two layers' kernels and biases, the wider kernel being next to the image."""
    kernels = sorted((p for p in jax.tree.leaves(params) if p.ndim == 2), key=lambda k: -k.size)
    biases = {b.size: b[None] for b in jax.tree.leaves(params) if b.ndim == 1}
    return [(k, biases[k.shape[1]]) for k in kernels]


def test_a_step_of_the_textbook_preset_is_the_articles():
    """784 → 128 ReLU → 1 against 100 → 128 ReLU → 784 sigmoid; D's step by Adam, then G's."""
    algorithm = gan.make(gan.TEXTBOOK)
    before = jax.jit(algorithm.init)(jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (4, 28, 28, 1))
    after, info = jax.jit(algorithm.step)(before, x)
    key = jax.random.fold_in(jax.random.fold_in(before.key, 0), 0)
    z = draw(key, 4, 100).z

    def generated(params):
        (out, out_bias), (hidden, bias) = layers(params)
        return jax.nn.sigmoid(jax.nn.relu(z @ hidden + bias) @ out + out_bias)

    def probability(params, pixels):
        (hidden, bias), (out, out_bias) = layers(params)
        return jax.nn.sigmoid(jax.nn.relu(pixels @ hidden + bias) @ out + out_bias)

    def loss_d(params):
        real, fake = (
            probability(params, p) for p in (x.reshape(4, 784), generated(before.params_g))
        )
        return -(jnp.log(real) + jnp.log(1 - fake)).mean()

    def loss_g(params):
        return jnp.log(1 - probability(after.params_d, generated(params))).mean()

    players = (
        (loss_d, info.loss_d, before.params_d, after.params_d),
        (loss_g, info.loss_g, before.params_g, after.params_g),
    )
    for loss, told, old, new in players:
        value, grads = jax.jit(jax.value_and_grad(loss))(old)
        old, grads, new = jax.device_get((old, grads, new))
        assert float(told) == pytest.approx(float(value), rel=1e-5)
        for p, g, q in zip(*map(jax.tree.leaves, (old, grads, new)), strict=True):
            clear = np.abs(g) > 1e-5  # where Adam's first step is the rate, whatever its ε
            np.testing.assert_allclose(q[clear], (p - 1e-3 * np.sign(g))[clear], rtol=0, atol=3e-6)
            assert clear.mean() > 0.2
    for average, newest in zip(
        *map(jax.tree.leaves, (after.ema_g.params, after.params_g)), strict=True
    ):
        np.testing.assert_array_equal(average, newest)
    config = gan.TEXTBOOK.config  # what a first step does not show
    assert (config.adam_b1, config.adam_b2, config.decay_steps) == (0.9, 0.999, None)
    assert config.steps_d == 1
