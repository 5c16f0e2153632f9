"""The loss balancer against NumPy in float64, and over four devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.codec import balancer
from aigc_jax.errors import InputError

DEVICES = 4
balance = jax.jit(balancer.balance, static_argnames=("axis_name",))


def drawn(rng, steps=3, batch=8):
    """Gradients `[steps][loss] [B, 5, 3]` of three losses of unlike scales."""
    scales = (1e-3, 2.0, 700.0)
    return [[np.float32(s * rng.normal(size=(batch, 5, 3))) for s in scales] for _ in range(steps)]


def by_definition(history, weights, decay):
    """The combination at the last step, in float64, from all gradients so far."""
    combined = 0.0
    for i, weight in enumerate(weights):
        norms = [np.sqrt(np.square(np.float64(g[i])).sum((1, 2))).mean() for g in history]
        usual = np.average(norms, weights=decay ** np.arange(len(norms))[::-1])
        combined = combined + weight / sum(weights) * np.float64(history[-1][i]) / (usual + 1e-12)
    return combined


def after(history, weights, decay=0.999):
    state = balancer.init(len(history[0]))
    for gradients in history:
        combined, state = balance(state, gradients, weights, decay)
    return combined, state


@pytest.mark.parametrize("decay", [0.999, 0.6])
def test_the_definition_is_met_at_every_step(rng, decay):
    history, weights = drawn(rng), (0.5, 2.0, 1.7)
    for t in (1, 2, 3):
        found, _ = after(history[:t], weights, decay)
        np.testing.assert_allclose(
            found, by_definition(history[:t], weights, decay), rtol=3e-6, atol=1e-7
        )


def test_a_worked_example():
    # Norms of rows: 5 and 0, mean 2.5; 2 and 6, mean 4. Shares 1/4 and 3/4.
    first = jnp.float32([[3, 4], [0, 0]])
    second = jnp.float32([[0, 2], [6, 0]])
    found, state = balance(balancer.init(2), [first, second], (1.0, 3.0))
    np.testing.assert_allclose(found, [[0.3, 0.4 + 0.375], [1.125, 0]], rtol=1e-6)
    np.testing.assert_allclose(state.norms, [2.5, 4.0], rtol=1e-6)
    # Then 1 and 4 at γ = ½: (2.5/2 + 1) / 1.5 = 1.5 and (4/2 + 4) / 1.5 = 4.
    found, _ = balance(state, [jnp.float32([[1, 0], [0, 1]]), second], (1.0, 3.0), 0.5)
    np.testing.assert_allclose(found, [[1 / 6, 0.375], [1.125, 1 / 6]], rtol=1e-6)


def test_the_scale_of_a_loss_does_not_matter(rng):
    history, weights = drawn(rng), (1.0, 0.4, 3.0)
    scaled = [[g[0], 1000 * g[1], g[2]] for g in history]
    np.testing.assert_allclose(
        after(scaled, weights)[0], after(history, weights)[0], rtol=1e-5, atol=1e-6
    )


def test_shares_are_those_of_the_weights(rng):
    # Of gradients that do not overlap, so that each loss's part can be read off.
    parts = np.zeros((3, 6, 9), np.float32)
    for i, scale in enumerate((1e-2, 5.0, 90.0)):
        parts[i, :, 3 * i : 3 * i + 3] = scale * rng.normal(size=(6, 3))
    found, _ = balance(balancer.init(3), list(parts), (0.7, 2.1, 1.2))
    norms = np.sqrt(np.square(np.float64(found).reshape(6, 3, 3)).sum(-1)).mean(0)
    np.testing.assert_allclose(norms, np.array([0.7, 2.1, 1.2]) / 4.0, rtol=1e-6)


def test_examples_keep_the_ratio_of_their_norms(rng):
    """The average is over the batch: an example is not normalised by itself."""
    gradient = np.float32(rng.normal(size=(3, 4)) * [[1.0], [10], [0.1]])
    found, _ = balance(balancer.init(1), [gradient], (5.0,))
    usual = np.sqrt(np.square(np.float64(gradient)).sum(1)).mean()
    np.testing.assert_allclose(found, gradient / usual, rtol=1e-6)


@pytest.mark.parametrize("weights", [(1.0, 0.0, 2.0), (0.0, 0.0, 0.0)])
def test_a_weight_of_0_takes_a_loss_out(rng, weights):
    history = drawn(rng, steps=2)
    found, state = after(history, weights)
    kept = [i for i in range(3) if weights[i]]
    if kept:
        fewer = [[g[i] for i in kept] for g in history]
        expected = by_definition(fewer, [weights[i] for i in kept], 0.999)
    else:
        expected = np.zeros((8, 5, 3))
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-7)
    # Its norm is followed all the same, so that it may act later.
    np.testing.assert_array_equal(state.norms, after(history, (1.0, 1.0, 1.0))[1].norms)


def test_a_gradient_of_0_adds_nothing_and_is_no_part_of_its_average(rng):
    weights = (1.0, 2.0, 3.0)
    history = drawn(rng, steps=4)
    for t in (0, 1, 3):
        history[t][1] = np.zeros_like(history[t][1])
    for t in (1, 2, 4):
        found, state = after(history[:t], weights)
        rest = by_definition([[g[0], g[2]] for g in history[:t]], (1.0, 3.0), 0.999) * 4 / 6
        np.testing.assert_allclose(found, rest, rtol=3e-6, atol=1e-7)
        assert np.isfinite(np.asarray(state.norms)).all()
    # Where it begins it has its share at once: n̂ is its norm there.
    found, _ = after(history[:3], weights)
    own = np.float64(history[2][1])
    rest = by_definition([[g[0], g[2]] for g in history[:3]], (1.0, 3.0), 0.999) * 4 / 6
    expected = rest + own / np.sqrt(np.square(own).sum((1, 2))).mean() * 2 / 6
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-6)


def test_four_devices_equal_one(rng, replica, assert_close, assert_identical):
    history, weights = drawn(rng, steps=2), (0.5, 2.0, 1.7)
    _, state = after(history[:1], weights, 0.9)
    combined, expected = balance(state, history[1], weights, 0.9)
    of_a_device = jax.pmap(
        lambda *gradients: balancer.balance(state, gradients, weights, 0.9, "d"), "d"
    )
    found, states = of_a_device(*(g.reshape(DEVICES, -1, 5, 3) for g in history[1]))
    assert_close(np.asarray(found).reshape(8, 5, 3), combined, rtol=2e-6, atol=1e-7)
    for device in range(DEVICES):
        assert_close(replica(states, device), expected, rtol=1e-6, atol=0.0)
        assert_identical(replica(states, device), replica(states, 0))


def test_it_is_the_gradient_of_the_weighted_sum_where_scales_are_known(rng):
    """From losses to parameters, by one vjp: the whole use."""
    x = np.float32(rng.normal(size=(6, 4)))
    matrix = np.float32(rng.normal(size=(4, 3)))

    def losses(y):
        return jnp.sum(jnp.square(y - 1.0), axis=-1), 30.0 * jnp.sum(jnp.cos(y), axis=-1)

    y, pullback = jax.vjp(lambda m: jnp.tanh(x @ m), matrix)
    gradients = [jax.grad(lambda y, i=i: jnp.sum(losses(y)[i]))(y) for i in range(2)]
    combined, state = balance(balancer.init(2), gradients, (3.0, 1.0))
    (found,) = pullback(combined / 6)
    scales = np.array([0.75, 0.25]) / np.asarray(state.norms)

    def whole(m):
        a, b = losses(jnp.tanh(x @ m))
        return jnp.mean(scales[0] * a + scales[1] * b)

    np.testing.assert_allclose(found, jax.grad(whole)(matrix), rtol=1e-5, atol=1e-7)


def test_the_state_may_be_carried_by_a_scan_and_the_type_is_the_gradients(rng):
    gradients = [jnp.asarray(g, jnp.bfloat16) for g in drawn(rng, steps=1)[0]]

    def step(state, weight):
        combined, state = balancer.balance(state, gradients, [weight, 1.0, 2.0])
        return state, combined

    state, combined = jax.lax.scan(step, balancer.init(3), jnp.float32([0.0, 1.0]))
    assert combined.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in state} == {jnp.dtype(jnp.float32)}
    # One gradient again and again is its own average, of the sum of a float32's rounding.
    wide = [np.float64(g) for g in gradients]
    for found, weight in zip(combined, (0.0, 1.0), strict=True):
        expected = by_definition([wide], (weight, 1.0, 2.0), 0.999)
        np.testing.assert_allclose(np.float64(found), expected, rtol=2**-8, atol=1e-6)


def test_what_does_not_fit_is_refused():
    g, refused = jnp.ones((2, 3)), partial(pytest.raises, InputError)
    with refused(match="1 gradients, 2 weights and a state of 2"):
        balancer.balance(balancer.init(2), [g], (1.0, 2.0))
    with refused(match="2 gradients, 1 weights"):
        balancer.balance(balancer.init(2), [g, g], (1.0,))
    with refused(match="state of 3"):
        balancer.balance(balancer.init(3), [g, g], (1.0, 2.0))
    with refused(match="one output"):
        balancer.balance(balancer.init(2), [g, jnp.ones((2, 1))], (1.0, 2.0))
