"""One update against a reference written out by hand, under SGD; networks are plain jax.numpy."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import codec, parallel, vq
from aigc_jax.codec import losses
from aigc_jax.codec.model import Critics, Networks, Perception
from aigc_jax.errors import InputError
from aigc_jax.gan.losses import HINGE

B, S, C, D, CODES, STAGES = 5, 6, 2, 3, 7, 2
RATE, RATE_D, COMMITMENT = 0.3, 0.2, 0.4
WEIGHTS = codec.Weights(0.7, 1.1, 0.5, 0.9)
TX, TX_D = optax.sgd(RATE), optax.sgd(RATE_D)


def drawn(key, **shapes):
    keys = jax.random.split(key, len(shapes))
    pairs = zip(shapes.items(), keys, strict=True)
    return {name: jax.random.normal(own, shape) for (name, shape), own in pairs}


def encode(params, x):
    """Two samples for each position."""
    return jnp.tanh(x.reshape(len(x), S // 2, 2 * C) @ params["encoder"])


def decode(params, vectors, sides):
    assert sides == (S,)
    y = jnp.tanh(vectors @ params["decoder"])
    return y.reshape(len(y), S, C)


NETWORKS = Networks(
    lambda key: drawn(key, encoder=(2 * C, D), decoder=(D, 2 * C)),
    encode,
    decode,
    lambda sides: (sides[0] // 2,),
    C,
    1,
)


def judge(params, x):
    """One critic of each sample, one of pairs of them, with two layers of features and one."""
    first = jnp.tanh(x @ params["first"])
    second = jnp.sin(first @ params["second"])
    pairs = jnp.tanh(x.reshape(len(x), S // 2, -1) @ params["pairs"])
    return (second.sum(-1), (first, second)), (pairs.sum(-1), (pairs,))


CRITICS = Critics(
    lambda key: drawn(key, first=(C, 4), second=(4, 3), pairs=(2 * C, 2)),
    judge,
)


def seen(params, x):
    return jnp.sin(x.reshape(len(x), -1) @ params["seen"])


PERCEPTION = Perception(
    lambda key: drawn(key, seen=(S * C, 8)),
    lambda params, estimate, x: losses.squared(seen(params, estimate), seen(params, x)),
)
QUANTISER = codec.residual_quantiser(vq.vector_quantiser(CODES, D, 0.8, 0.0), STAGES)
PARTS = {
    "networks": NETWORKS,
    "critics": CRITICS,
    "perception": PERCEPTION,
    "quantiser": QUANTISER,
    "tx": TX,
    "tx_d": TX_D,
}
STEP = {
    **PARTS,
    "reconstruction": losses.absolute,
    "weights": WEIGHTS,
    "objective": HINGE,
    "commitment": COMMITMENT,
    "ema_decay": 0.0,
}


def stepping(**changes):
    return jax.jit(partial(codec.step, **{**STEP, **changes}))


@pytest.fixture(scope="module")
def batch():
    return np.float32(np.random.default_rng(0).normal(size=(B, S, C)))


@pytest.fixture(scope="module")
def state(batch):
    """With codebooks among the features."""
    state = jax.jit(partial(codec.init, **PARTS))(jax.random.key(0))
    books = tuple(
        book._replace(vectors=book.vectors * scale, counts=book.counts + 1.0, sums=book.vectors)
        for book, scale in zip(state.quantiser, (1.0, 0.4), strict=True)
    )
    return state._replace(quantiser=books)


@pytest.fixture(scope="module")
def step():
    return stepping()


@pytest.fixture(scope="module")
def stepped(state, step, batch):
    return step(state, batch)


def nearest(state, batch):
    """Codes, their sum, and what each stage is given, in float64."""
    left = np.float64(encode(state.params, batch))
    total, codes, given = np.zeros_like(left), [], []
    for book in state.quantiser:
        table = np.float64(book.vectors)
        given.append(left)
        codes.append(np.square(left[..., None, :] - table).sum(-1).argmin(-1))
        total, left = total + table[codes[-1]], left - table[codes[-1]]
    return np.stack(codes, -1), total, given


def hinge(params_d, x, estimate):
    """The critics' loss: their mean, each of the mean of its places."""
    pairs = zip(judge(params_d, x), judge(params_d, estimate), strict=True)
    each = [
        jnp.mean(jax.nn.relu(1 - real) + jax.nn.relu(1 + fake), 1) for (real, _), (fake, _) in pairs
    ]
    return (each[0] + each[1]) / 2


def distances(state, params_d, x, estimate):
    """The four losses `[B]` of x̂, by a critic that is given."""
    (_, (f_1, f_2)), (_, (f_3,)) = judge(params_d, x)
    (logits_1, (g_1, g_2)), (logits_2, (g_3,)) = judge(params_d, estimate)

    def relative(f, g):
        return jnp.mean(jnp.abs(f - g), (1, 2)) / jnp.mean(jnp.abs(f), (1, 2))

    return (
        jnp.mean(jnp.abs(estimate - x), (1, 2)),
        jnp.mean(jnp.square(seen(state.perception, estimate) - seen(state.perception, x)), 1),
        (-jnp.mean(logits_1, 1) - jnp.mean(logits_2, 1)) / 2,
        (relative(f_1, g_1) + relative(f_2, g_2) + relative(f_3, g_3)) / 3,
    )


class Expected(NamedTuple):
    """New parameters; losses `[4, B]`; the critics' and the commitment `[B]`; norms `[4]`."""

    params: Any
    params_d: Any
    losses: Any
    critic: Any
    commitment: Any
    norms: Any


def by_hand(state, x, weights=WEIGHTS):
    """The reference: explicit losses and `jax.grad` between codes that NumPy has found."""
    codes, total, _ = nearest(state, x)
    return reference(state, jnp.asarray(x), codes, jnp.float32(total), jnp.float32(weights))


@jax.jit
def reference(state, x, codes, total, weights):
    """See `by_hand`."""
    books = [book.vectors for book in state.quantiser]
    old = decode(state.params, total, (S,))

    def critics_mean(params_d):
        return jnp.mean(hinge(params_d, x, old))

    slope_d = jax.grad(critics_mean)(state.params_d)
    params_d = jax.tree.map(lambda p, g: p - RATE_D * g, state.params_d, slope_d)

    direction, norms = 0.0, []
    for j in range(4):
        slope = jax.grad(lambda y, j=j: jnp.sum(distances(state, params_d, x, y)[j]))(old)
        norms.append(jnp.mean(jnp.sqrt(jnp.sum(jnp.square(slope), (1, 2)))))
        direction = direction + weights[j] / jnp.sum(weights) * slope / norms[j]

    def strayed(params):
        first = encode(params, x)
        chosen = books[0][codes[..., 0]]
        second = first - chosen
        squares = jnp.square(second) + jnp.square(second - books[1][codes[..., 1]])
        return jnp.sum(squares, (1, 2)) / (S // 2)

    def whole(params):
        f = encode(params, x)
        vectors = jax.lax.stop_gradient(total - f) + f
        along = jnp.sum(direction * decode(params, vectors, (S,)), (1, 2))
        return jnp.mean(along + COMMITMENT * strayed(params))

    params = jax.tree.map(lambda p, g: p - RATE * g, state.params, jax.grad(whole)(state.params))
    every = jnp.stack(distances(state, params_d, x, old))
    critic = hinge(state.params_d, x, old)
    return Expected(params, params_d, every, critic, strayed(state.params), jnp.stack(norms))


def test_one_step_is_the_reference(state, stepped, batch, assert_close):
    """D first, on x̂ held fixed; then the codec through the new D, by a balanced direction."""
    after, _ = stepped
    expected = by_hand(state, batch)
    assert_close(after.params_d, expected.params_d, rtol=1e-5, atol=1e-6)
    assert_close(after.params, expected.params, rtol=1e-5, atol=1e-6)
    assert int(after.step) == 1


def test_info_is_of_the_codec_before_the_step(state, stepped, batch):
    _, info = stepped
    expected = by_hand(state, batch)
    means = np.mean([*expected.losses, expected.critic, expected.commitment], axis=1)
    np.testing.assert_allclose(info[:6], means, rtol=1e-5)
    codes, _, _ = nearest(state, batch)
    perplexities = []
    for i in range(STAGES):
        p = np.bincount(codes[..., i].ravel()) / codes[..., i].size
        perplexities.append(np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1)))))
    assert perplexities[0] != pytest.approx(perplexities[1], rel=0.01)
    assert float(info.batch_perplexity) == pytest.approx(np.mean(perplexities), rel=1e-5)
    assert float(info.revived_codes) == 0


def test_each_stage_of_the_quantiser_learns(state, stepped, batch, assert_close):
    """From the features before the step, and what the stages before leave of them."""
    after, _ = stepped
    codes, _, given = nearest(state, batch)
    for i, (old, new) in enumerate(zip(state.quantiser, after.quantiser, strict=True)):
        chosen = np.eye(CODES)[codes[..., i].ravel()]
        counts = 0.8 * old.counts + 0.2 * chosen.sum(0)
        sums = 0.8 * old.sums + 0.2 * chosen.T @ given[i].reshape(-1, D)
        assert_close(new[1:], (counts, sums), rtol=1e-5, atol=1e-6)


def test_the_balance_follows_the_norm_of_each_loss(state, stepped, batch, assert_close):
    after, _ = stepped
    assert_close(after.balance, (by_hand(state, batch).norms, np.ones(4)), rtol=1e-5)


def test_critics_learn_before_they_act(state, step, stepped, batch, assert_close, assert_identical):
    """Before `adversary_from` the codec is one without them; then it is one with them."""
    later = stepping(adversary_from=1)
    first, told = later(state, batch)
    assert_identical(first.params_d, stepped[0].params_d)
    assert not np.array_equal(first.params_d["first"], state.params_d["first"])
    expected = by_hand(state, batch, WEIGHTS._replace(adversarial=0.0, matching=0.0))
    assert_close(first.params, expected.params, rtol=1e-5, atol=1e-6)
    assert_identical(told, stepped[1])  # what they say is reported from the first step
    assert_close(later(first, batch), step(first, batch), rtol=1e-6, atol=1e-7)
    none = stepping(adversary_from=2)(first, batch)[0].params
    assert not np.allclose(none["decoder"], step(first, batch)[0].params["decoder"], rtol=1e-3)


def test_a_codec_without_critics_and_perception_is_one(
    state, batch, assert_close, assert_identical
):
    alone = codec.Weights(0.7)
    without = {**PARTS, "critics": None, "perception": None}
    fresh = codec.init(jax.random.key(0), **without)
    assert jax.tree.leaves((fresh.params_d, fresh.perception)) == []
    fresh = fresh._replace(trained=state.trained, quantiser=state.quantiser)
    after, info = stepping(critics=None, perception=None, weights=alone)(fresh, batch)
    assert_identical(after.params_d, fresh.params_d)
    assert_identical(after.opt_state_d, fresh.opt_state_d)
    expected = by_hand(state, batch, alone)
    assert_close(after.params, expected.params, rtol=1e-5, atol=1e-6)
    reconstruction, commitment = (np.mean(x) for x in (expected.losses[0], expected.commitment))
    np.testing.assert_allclose(info[:6], (reconstruction, 0, 0, 0, 0, commitment), rtol=1e-5)


def test_a_frozen_perception_never_changes(state, step, batch, assert_identical):
    after = state
    for _ in range(3):
        after, _ = step(after, batch)
    assert_identical(after.perception, state.perception)
    moved = state._replace(perception=jax.tree.map(lambda p: 2 * p, state.perception))
    decoders = [step(s, batch)[0].params["decoder"] for s in (state, moved)]
    assert not np.allclose(*decoders)  # and acts


def test_fewer_stages_commit_less_and_decode_to_something_else(state, stepped, batch):
    after, info = stepping(stage_dropout=1.0)(state, batch)
    _, whole = stepped
    codes, _, given = nearest(state, batch)
    table = np.float64(state.quantiser[1].vectors)
    of_one, of_two = (
        np.square(given[1]).sum((1, 2)) / (S // 2),
        np.square(given[1] - table[codes[..., 1]]).sum((1, 2)) / (S // 2),
    )
    # Some of five examples use one stage, the others two.
    second = (float(info.commitment) - of_one.mean()) * B
    choices = [sum(of_two[b] for b in range(B) if 1 << b & some) for some in range(2**B)]
    assert np.abs(np.array(choices) - second).min() < 1e-4 * second
    assert 0 < second < of_two.sum() * 0.999
    assert float(info.reconstruction) != pytest.approx(float(whole.reconstruction), rel=1e-3)
    for new, old in zip(after.quantiser, stepped[0].quantiser, strict=True):
        np.testing.assert_array_equal(new.counts, old.counts)  # all stages learn all the same


def test_other_examples_and_steps_use_other_stages(state, batch):
    same = np.repeat(batch[:1], 64, axis=0)
    step = stepping(stage_dropout=0.5)
    first, info = step(state, same)
    _, again = step(state, same)
    assert float(info.commitment) == float(again.commitment)
    other = state._replace(trained=first.trained._replace(params=state.params))
    assert float(step(other, same)[1].commitment) != float(info.commitment)


def test_the_averaged_parameters_follow(state, batch, assert_close):
    after, _ = stepping(ema_decay=0.05)(state, batch)  # below the ramp's 1 / 10
    expected = jax.tree.map(lambda a, b: 0.05 * a + 0.95 * b, state.eval_params, after.params)
    assert_close(after.eval_params, expected, rtol=1e-5, atol=1e-6)


def test_four_devices_equal_one(state, replica, assert_close, assert_identical):
    """Each example drops the stages that it does in the whole batch, and norms are of all of it."""
    batch = np.float32(np.random.default_rng(1).normal(size=(8, S, C)))
    one = partial(codec.step, **STEP, stage_dropout=0.6)
    expected = jax.jit(one)(state, batch)
    found = parallel.pmap_step(one)(state, batch.reshape(4, 2, S, C))
    for device in range(4):
        assert_close(replica(found, device), expected, rtol=1e-5, atol=1e-6)
        assert_identical(replica(found, device), replica(found, 0))


@pytest.mark.parametrize("shape", [(B, S, C + 1), (B, S), (S, C), (B, S, 1, C), (B, 0, C)])
def test_what_is_no_signal_of_the_codec_is_refused(state, shape):
    with pytest.raises(
        InputError, match=r"shape \[B, \*S, 2\], S 1 side of at least 1, got"
    ) as told:
        jax.eval_shape(partial(codec.step, **STEP), state, jnp.zeros(shape))
    assert "\n" not in str(told.value)


def test_two_calls_are_one_trace(state, batch):
    traces = []

    def counted(state, batch):
        traces.append(0)
        return codec.step(state, batch, **STEP, adversary_from=1)

    step = jax.jit(counted)
    for _ in range(2):
        state = step(state, batch)[0]
    assert len(traces) == 1


def test_a_loss_has_no_weight_where_nothing_computes_it():
    """Or a balance would give its share of the gradient to nobody."""
    config = dataclasses.replace(codec.IMAGE.config, classes=0, critics=None)
    config = dataclasses.replace(config, adversarial_weight=0.5, matching_weight=0.5)
    weights = codec.make(config).step.keywords["weights"]
    assert weights == (config.reconstruction_weight, 0.0, 0.0, 0.0)
    assert codec.make(dataclasses.replace(config, classes=3)).step.keywords["weights"][1] > 0
