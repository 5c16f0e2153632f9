"""The classifier's update, its randomness, and what evaluation leaves out."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import classifier, parallel

RATE = 0.05
SHAPE = (3, 2, 1)
SGD, STILL = optax.sgd(RATE), optax.set_to_zero()


@cache
def linear_networks():
    """Features are the pixels, and the head is a matrix."""
    return classifier.Networks(
        init=lambda key: jax.random.normal(key, (6, 3)),
        features=lambda params, images: images.reshape(images.shape[0], -1),
        head=lambda params, features: features @ params,
    )


def batch_of(rng, n=4):
    images = rng.random((n, *SHAPE)).astype(np.float32)
    return classifier.Batch(images, rng.integers(0, 3, n).astype(np.int32))


@cache
def program(tx, **settings):
    return jax.jit(partial(classifier.step, networks=linear_networks(), tx=tx, **settings))


def run(batch, tx=SGD, state=None, **changes):
    state = state or classifier.init(jax.random.key(0), linear_networks(), tx)
    return state, *program(tx, **{"reach": 0, **changes})(state, batch)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_update_by_hand(rng, smoothing):
    batch = batch_of(rng, 5)
    before, after, info = run(batch, smoothing=smoothing)
    weights = np.asarray(before.params, np.float64)
    x, labels = np.asarray(batch.images, np.float64).reshape(5, 6), np.asarray(batch.labels)
    scores = x @ weights
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    targets = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    gradient = x.T @ (p - targets) / 5
    np.testing.assert_allclose(after.params, weights - RATE * gradient, rtol=1e-5, atol=1e-6)
    assert float(info.loss_nats) == pytest.approx(-(targets * np.log(p)).sum() / 5, rel=1e-5)
    assert float(info.accuracy) == pytest.approx(np.mean(scores.argmax(-1) == labels))


def test_the_average_follows_the_parameters(rng):
    batch, state = batch_of(rng), classifier.init(jax.random.key(0), linear_networks(), SGD)
    state = state._replace(step=jnp.int32(1000), ema=np.full((6, 3), 5, np.float32))
    _, after, _ = run(batch, state=state, ema_decay=0.9)
    np.testing.assert_allclose(after.ema, 0.9 * 5 + 0.1 * np.asarray(after.params), rtol=1e-6)
    _, after, _ = run(batch, state=state, ema_decay=0.0)
    np.testing.assert_array_equal(after.ema, after.params)


def test_dropout_keeps_the_mean_and_drops_its_share():
    keys = parallel.example_keys(jax.random.key(0), 2000)
    x = np.asarray(classifier.dropout(keys, np.full((2000, 10), 3, np.float32), 0.25))
    assert set(np.unique(x)) == {0.0, 4.0}
    dropped = (x == 0).mean(0)
    assert (np.abs(dropped - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5).all()
    np.testing.assert_array_equal(classifier.dropout(keys, jnp.asarray(x), 0.0), x)


@pytest.mark.parametrize("settings", [{"dropout_rate": 0.5}, {"reach": 1}, {"mirrored": True}])
def test_each_step_draws_again(rng, settings):
    batch = batch_of(rng, 20)
    state, after, first = run(batch, STILL, **settings)
    _, _, again = run(batch, STILL, state, **settings)
    _, _, second = run(batch, STILL, after, **settings)
    assert first.loss_nats == again.loss_nats != second.loss_nats


def test_nothing_is_drawn_where_nothing_is_asked_for(rng):
    batch = batch_of(rng, 20)
    _, after, first = run(batch, STILL)
    _, _, second = run(batch, STILL, after)
    assert first.loss_nats == second.loss_nats


def test_the_options_of_a_config_reach_the_step(rng):
    batch, plain = batch_of(rng, 20), {"reach": 0, "dropout": 0.0}

    def after(**changes):
        config = classifier.Config(**{**plain, **changes})
        made = classifier.make(config, nets=linear_networks(), tx=SGD)
        state = made.init(jax.random.key(0))
        return jax.jit(made.step)(state._replace(step=jnp.int32(50)), batch)

    changes = {"reach": 1, "mirrored": True, "dropout": 0.3, "smoothing": 0.1}
    losses = {float(after(**{name: value})[1].loss_nats) for name, value in changes.items()}
    assert len(losses | {float(after()[1].loss_nats)}) == 5
    state, _ = after(ema_decay=0.0)
    np.testing.assert_array_equal(state.ema, state.params)


def test_the_rate_warms_up_and_ends_at_zero():
    config = classifier.Config(warmup_steps=10, decay_steps=50, weight_decay=0.0)
    tx, params = classifier.optimizer(config), jnp.float32(0.0)
    state, sizes, update = tx.init(params), [], jax.jit(tx.update)
    for _ in range(51):
        updates, state = update(jnp.float32(1.0), state)
        sizes.append(-float(updates))
    # Adam's step on a constant gradient is the rate itself.
    assert sizes[0] == 0
    assert sizes[10] == pytest.approx(config.learning_rate, rel=1e-3)
    assert sizes[30] == pytest.approx(config.learning_rate / 2, rel=1e-3)
    assert sizes[50] == pytest.approx(0, abs=1e-9)
