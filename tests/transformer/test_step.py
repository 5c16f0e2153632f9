"""A Transformer's update: weights decide what counts, however the batch is cut."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import transformer
from aigc_jax.errors import InputError
from aigc_jax.transformer import Architecture, Objective

NETWORKS = transformer.networks_of(Architecture(7, context=4, layers=1, heads=1, width=4))
DROPPING = transformer.networks_of(
    Architecture(7, context=4, layers=1, heads=1, width=4, dropout=0.5)
)


def batch_of(weights):
    weights = jnp.asarray(weights, jnp.float32)
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 7, (len(weights), 5)))
    return transformer.next_tokens(tokens, weights)


SGD = optax.sgd(0.1)
OPTIONS = ("networks", "tx", "objective", "microbatches", "ema_decay")
jitted = jax.jit(transformer.step, static_argnames=OPTIONS)


@pytest.fixture(scope="module")
def state():
    init = jax.jit(transformer.init, static_argnums=(1, 2))
    made = init(jax.random.key(0), NETWORKS, SGD)
    return made._replace(params=jax.device_get(made.params))


def step(state, batch, networks=NETWORKS, **options):
    return jax.device_get(jitted(state, batch, networks=networks, tx=SGD, **options))


def test_next_tokens_are_the_labels_of_those_before():
    batch = transformer.next_tokens(jnp.array([[1, 2, 3, 4]]))
    np.testing.assert_array_equal(batch.inputs, [[1, 2, 3]])
    np.testing.assert_array_equal(batch.labels, [[2, 3, 4]])
    np.testing.assert_array_equal(batch.weights, np.ones((1, 3)))


def test_padding_has_no_influence(state, assert_close):
    batch = batch_of([[1, 1, 0, 0], [1, 1, 1, 1]])
    other = batch._replace(
        inputs=batch.inputs.at[0, 2:].set(6), labels=batch.labels.at[0, 2:].set(6)
    )
    assert not np.array_equal(batch.inputs, other.inputs)
    assert_close(step(state, batch), step(state, other), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [[0, -1, 2, 3]]}, "inputs must be from 0 to 6, got -1"),
        ({"labels": [[0, 1, 7, 3]]}, "labels must be from 0 to 6, got 7"),
        ({"inputs": [[0.0, 1.0, 2.0, 3.0]]}, "inputs must be integers"),
    ],
)
def test_what_is_no_token_is_refused(state, change, message):
    change = {name: jnp.asarray(values) for name, values in change.items()}
    with pytest.raises(InputError, match=message):
        transformer.step(
            state, batch_of([[1, 1, 1, 0]])._replace(**change), networks=NETWORKS, tx=SGD
        )


def test_the_loss_is_the_mean_over_counted_tokens(state):
    batch = batch_of([[1, 1, 0, 0], [1, 0, 0, 0]])
    _, info = step(state, batch)
    losses = jax.jit(partial(transformer.token_losses, networks=NETWORKS))
    nll = losses(state.params, batch).nll
    assert float(info.nll_nats) == pytest.approx(float((nll * batch.weights).sum() / 3), rel=1e-6)
    assert float(info.tokens) == 3


def test_an_empty_batch_is_no_step(state, assert_identical):
    after, info = step(state, batch_of(np.zeros((2, 4))))
    assert_identical(after.params, state.params)
    assert float(info.nll_nats) == 0


def test_the_gradient_norm_is_that_of_the_update(state):
    after, info = step(state, batch_of(np.ones((2, 4))))
    moved = jax.tree.map(lambda a, b: (a - b) / 0.1, after.params, state.params)
    norm = jax.jit(optax.tree.norm)(moved)
    assert float(info.gradient_norm) == pytest.approx(float(norm), rel=1e-3)


UNEVEN = [[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("networks", [NETWORKS, DROPPING])
def test_four_microbatches_of_uneven_padding_are_one_batch(
    state, assert_close, networks, smoothing
):
    """Also with smoothing, and with the same dropout: its keys are those of the whole batch."""
    objective = Objective(smoothing, 0.01)
    whole, parts = (
        step(state, batch_of(UNEVEN), networks, objective=objective, microbatches=m) for m in (1, 4)
    )
    assert_close(parts, whole, rtol=1e-5, atol=1e-6)


def test_smoothing_changes_the_gradient_and_not_the_loss(state):
    batch = batch_of(UNEVEN)
    plain, smooth = (step(state, batch, objective=Objective(e)) for e in (0.0, 0.3))
    assert float(plain[1].nll_nats) == pytest.approx(float(smooth[1].nll_nats), rel=1e-6)
    assert float(plain[1].gradient_norm) != pytest.approx(float(smooth[1].gradient_norm), rel=1e-3)


@pytest.mark.parametrize("chunk", [1, 3, 4, 9])
def test_logits_in_chunks_give_the_same_step(state, assert_close, chunk):
    objective = Objective(0.1, 0.01)
    whole, parts = (
        step(state, batch_of(UNEVEN), objective=o)
        for o in (objective, dataclasses.replace(objective, chunk=chunk))
    )
    assert_close(parts, whole, rtol=1e-5, atol=1e-6)


def test_dropout_is_new_at_every_step_and_for_every_example(state):
    same = jnp.full((2, 5), 3)
    batch = transformer.next_tokens(same)

    def losses(state):
        return step(state, batch, DROPPING)[1].nll_nats

    first = losses(state)
    assert float(losses(state)) == float(first)
    assert float(losses(state._replace(step=state.step + 1))) != float(first)
    one = transformer.next_tokens(same[:1])
    alone = step(state, one, DROPPING)[1].nll_nats
    assert float(alone) != float(first)  # the second row is not the first once more


def test_the_average_is_evaluated_where_one_is_kept():
    init = jax.jit(transformer.init, static_argnums=(1, 2, 3))
    state = init(jax.random.key(0), NETWORKS, SGD, 0.5)
    assert state.eval_params is state.ema
    after, _ = step(state, batch_of(np.ones((2, 4))), ema_decay=0.5)
    ramp = 1 / 10  # of the first step
    before = jax.device_get(state.ema)
    expected = jax.tree.map(lambda a, b: ramp * a + (1 - ramp) * b, before, after.params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after.ema, expected
    )
    without = init(jax.random.key(0), NETWORKS, SGD, 0.0)
    assert without.ema is None
    assert without.eval_params is without.params


def test_gradients_are_clipped_after_the_sum_over_devices(replica):
    """Clipped before it, four devices could take a step four times as long."""
    config = transformer.nano(7, context=4, layers=1, heads=1, width=4, learning_rate=1.0)
    tx = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    algorithm = transformer.make(config, tx=tx)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    batch = jax.tree.map(lambda x: x[:, None], batch_of(np.ones((4, 4))))
    step = jax.pmap(lambda s, b: algorithm.step(s, b, axis_name="d"), "d", in_axes=(None, 0))
    after, info = replica(step(state, batch), 0)
    assert float(info.gradient_norm) > 1e-3
    moved = jax.tree.map(np.subtract, after.params, jax.device_get(state.params))
    assert float(jax.jit(optax.tree.norm)(moved)) == pytest.approx(1e-3, rel=1e-3)
