"""Schedules and optimisers by worked arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import optim


def test_warmup_cosine():
    schedule = optim.warmup_cosine(1e-3, warmup_steps=100, decay_steps=2000)
    steps = {0: 0.0, 50: 5e-4, 100: 1e-3, 1050: 5.5e-4, 2000: 1e-4, 5000: 1e-4}
    for step, rate in steps.items():
        assert float(schedule(step)) == pytest.approx(rate, rel=1e-5, abs=1e-9)


def test_short_runs_warm_up_over_half_of_their_steps():
    schedule = optim.warmup_cosine(1.0, warmup_steps=100, decay_steps=10)
    assert float(schedule(5)) == pytest.approx(1.0)


def test_the_cosine_is_wired_in_one_place():
    assert optim.cosine(1e-3, None, 0.1, warmup_steps=10) == 1e-3
    plain, rising = optim.cosine(1.0, 100, 0.01), optim.cosine(1.0, 100, 0.0, warmup_steps=20)
    for step, rate in {0: 1.0, 50: 0.505, 100: 0.01, 200: 0.01}.items():
        assert float(plain(step)) == pytest.approx(rate, rel=1e-5)
    for step, rate in {0: 0.0, 10: 0.5, 20: 1.0, 60: 0.5, 100: 0.0}.items():
        assert float(rising(step)) == pytest.approx(rate, rel=1e-5, abs=1e-7)


def test_warmup_stable_decay():
    schedule = optim.warmup_stable_decay(1e-3, warmup_steps=100, decay_steps=2000)
    steps = {0: 0.0, 50: 5e-4, 100: 1e-3, 1600: 1e-3, 1800: 5e-4, 1900: 2.5e-4, 2000: 0, 5000: 0}
    for step, rate in steps.items():
        assert float(schedule(step)) == pytest.approx(rate, rel=1e-4, abs=1e-9)
    short = optim.warmup_stable_decay(1.0, warmup_steps=100, decay_steps=10)
    assert [float(short(s)) for s in (1, 2, 8, 9)] == pytest.approx([0.5, 1, 1, 0.5])


def test_kernels_are_known_by_their_name():
    leaf = jnp.ones((2, 2))
    params = {"a": {"kernel": leaf, "scale": leaf}, "embedding": leaf, "positions": leaf}
    expected = {"a": {"kernel": True, "scale": False}, "embedding": False, "positions": False}
    assert optim.is_kernel(params) == expected
    tx = optim.adam(0.1, weight_decay=0.5, mask=optim.is_kernel)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(updates["a"]["kernel"], -0.05)
    assert not updates["a"]["scale"].any()
    assert not updates["embedding"].any()


def test_only_matrices_decay():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2), "scale": jnp.ones(2)}
    tx = optim.clipped(optim.adam(0.1, weight_decay=0.5))
    updates, _ = tx.update(
        {k: jnp.zeros_like(v) for k, v in params.items()}, tx.init(params), params
    )
    np.testing.assert_allclose(updates["kernel"], -0.05)
    np.testing.assert_array_equal(updates["bias"], 0)
    np.testing.assert_array_equal(updates["scale"], 0)


def test_adam_decays_matrices_alone_and_only_where_told_to():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    still = {k: jnp.zeros_like(v) for k, v in params.items()}
    for decay, expected in ((0.0, 0.0), (0.5, -0.05)):
        tx = optim.adam(0.1, weight_decay=decay)
        updates, _ = tx.update(still, tx.init(params), params)
        np.testing.assert_allclose(updates["kernel"], expected)
        np.testing.assert_array_equal(updates["bias"], 0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 9)])
def test_muon_steps_along_the_nearest_orthogonal_matrix(shape):
    # After one step M̂ ∝ g, so that the update is −η 0.2 √max(m, n) U Vᵀ, singular values being
    # within the 0.7 to 1.2 that Newton and Schulz' five iterations leave.
    g = np.random.default_rng(0).normal(size=shape)
    u, _, v = np.linalg.svd(g, full_matrices=False)
    tx = optim.muon(0.1)
    params = {"kernel": jnp.zeros(shape), "bias": jnp.zeros(3), "grid": jnp.zeros((3, 3, 2, 2))}
    others = {"bias": jnp.array([2.0, -0.1, 1.0]), "grid": jnp.full((3, 3, 2, 2), -4.0)}
    updates, _ = tx.update({"kernel": jnp.float32(g), **others}, tx.init(params), params)
    along = -u.T @ np.asarray(updates["kernel"]) @ v.T / (0.1 * 0.2 * np.sqrt(max(shape)))
    values = np.diag(along)
    assert values.min() > 0.6
    assert values.max() < 1.3
    np.testing.assert_allclose(along, np.diag(values), atol=1e-4)
    # All others are NAdam's: m̂ = β₁ (1 − β₁) g / (1 − β₁²) + g, and v̂ = g².
    first = 0.1 * (0.9 * 0.1 / (1 - 0.9**2) + 1)
    np.testing.assert_allclose(updates["bias"], [-first, first, -first], rtol=1e-4)
    np.testing.assert_allclose(updates["grid"], first, rtol=1e-4)


def test_muon_decays_matrices_alone():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    still = {k: jnp.zeros_like(v) for k, v in params.items()}
    tx = optim.muon(0.1, weight_decay=0.5)
    updates, _ = tx.update(still, tx.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.05, rtol=1e-5)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_gradients_are_clipped_to_a_global_norm():
    grads = {"a": jnp.array([30.0, 0.0]), "b": jnp.array([40.0])}
    clipped, _ = optax.clip_by_global_norm(1.0).update(grads, optax.EmptyState())
    tx = optim.clipped(optim.adam(1.0), clip_norm=1.0)
    _, state = tx.update(grads, tx.init(grads), grads)
    first_moment = optax.tree.get(state, "mu")
    np.testing.assert_allclose(first_moment["b"], 0.1 * clipped["b"], rtol=1e-6)


def test_adam_is_adam():
    # m̂ = g and v̂ = g² after one step, so the update is −rate · g / (|g| + ε)
    tx = optim.adam(1e-3, b1=0.5)
    updates, _ = tx.update(jnp.array([2.0, -0.1]), tx.init(jnp.zeros(2)))
    np.testing.assert_allclose(updates, [-1e-3, 1e-3], rtol=1e-5)


def test_the_average_follows_its_closed_form():
    values, decay = [3.0, -1.0, 4.0, 2.0], 0.2
    ema, expected = jnp.float32(10.0), 10.0
    for step, value in enumerate(values):
        ema = optim.update_ema(ema, jnp.float32(value), jnp.int32(step), decay)
        beta = min(decay, (1 + step) / (10 + step))  # 0.1, 2/11, 0.2, 0.2
        expected = beta * expected + (1 - beta) * value
    assert float(ema) == pytest.approx(expected, rel=1e-6)


def test_no_decay_keeps_the_newest_parameters():
    assert float(optim.update_ema(jnp.float32(1.0), jnp.float32(2.0), jnp.int32(50), 0.0)) == 2.0


def test_an_average_by_images_follows_its_closed_form():
    # Long after the ramp: θ̄_t = ½^(nt/h) θ̄_0 + (1 − ½^(nt/h)) θ for a constant θ.
    ema, n, h = 5.0, 64, 1000.0
    for t in range(10_000, 10_020):
        decay = optim.ema_decay_by_images(jnp.int32(t), n, h)
        ema = decay * ema + (1 - decay) * 2.0
    left = 0.5 ** (20 * n / h)
    assert float(ema) == pytest.approx(left * 5.0 + (1 - left) * 2.0, rel=1e-5)


def test_an_average_by_images_does_not_depend_on_the_batch_size():
    after = []
    for n in (32, 128):
        ema = 1.0
        for _ in range(1280 // n):
            ema *= optim.ema_decay_by_images(jnp.int32(10**6), n, 1280.0)
        after.append(float(ema))
    np.testing.assert_allclose(after, 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (1, 0.5**20), (10, 0.25), (100, 0.5**0.2)]
)
def test_an_average_by_images_begins_with_a_short_memory(step, expected):
    # ½^(n / min(h, n t / 20)): a memory of a twentieth of what has been seen.
    decay = optim.ema_decay_by_images(jnp.int32(step), 64, 1e9)
    assert float(decay) == pytest.approx(expected, rel=1e-5)


def test_a_half_life_of_0_keeps_no_average():
    assert float(optim.ema_decay_by_images(jnp.int32(50), 64, 0.0)) == 0


def test_an_update_moves_parameters_average_and_count(assert_close):
    tx = optax.sgd(0.5)
    state = optim.init(jax.random.key(0), lambda key: {"a": jnp.array([1.0, -2.0])}, tx)
    grads = {"a": jnp.array([0.2, 0.4])}
    one = optim.update(state, grads, tx, 0.9)
    assert_close(one.params["a"], np.array([0.9, -2.2]))
    # t = 0: β = min(0.9, 1/10)
    assert_close(one.ema["a"], 0.1 * np.array([1.0, -2.0]) + 0.9 * np.array([0.9, -2.2]))
    assert int(one.step) == 1
    assert one.key is state.key
    assert_close(optim.update(state, grads, tx, 0.0).ema, one.params)


def test_without_an_average_the_newest_parameters_are_evaluated(assert_identical):
    tx, grads = optax.sgd(0.5), {"a": jnp.array([0.2])}
    given = jax.random.key(0), lambda key: {"a": jax.random.normal(key, (1,))}, tx
    plain, averaged = optim.init(*given, averaged=False), optim.init(*given)
    assert plain.ema is None
    assert averaged.eval_params is averaged.ema
    after = optim.update(plain, grads, tx, 0.9)
    assert after.ema is None
    assert after.eval_params is after.params
    assert_identical(after.params, optim.update(averaged, grads, tx, 0.9).params)
