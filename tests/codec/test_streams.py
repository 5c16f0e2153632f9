"""Several sequences side by side: what sees what, and the pass with a cache."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.codec.networks.streams import streams
from aigc_jax.errors import InputError
from aigc_jax.transformer import Architecture, Batch, Positions, Source
from aigc_jax.transformer.masking import bidirectional

R, T, V = 3, 5, 11
SIZES = Architecture(V, context=T, layers=2, heads=2, width=8)
NETWORKS = streams(SIZES, R)


@pytest.fixture(scope="module")
def params():
    """So large that no dependence is lost in rounding."""
    return jax.tree.map(lambda x: 9 * x, jax.device_get(jax.jit(NETWORKS.init)(jax.random.key(0))))


def tokens_of(examples, seed=0):
    return np.random.default_rng(seed).integers(0, V, (examples * R, T)).astype(np.int32)


def read(tokens):
    return Batch(jnp.asarray(tokens), jnp.zeros_like(tokens), jnp.ones(tokens.shape))


def hidden(networks, params, tokens, keys=None):
    return np.asarray(jax.jit(networks.hidden)(params, read(tokens), keys))


def test_every_sequence_sees_all_sequences_up_to_its_step_and_none_beyond(params):
    """Each token of one example is changed in turn, each time in an example of its own."""
    base = tokens_of(1)
    changed = np.tile(base, (R * T + 1, 1, 1))
    for i in range(R * T):
        changed[i, i // T, i % T] = (changed[i, i // T, i % T] + 1) % V
    states = hidden(NETWORKS, params, changed.reshape(-1, T)).reshape(-1, R, T, SIZES.width)
    moved = np.abs(states[:-1] - states[-1]).max(-1)  # [R T, R, T]
    step = np.arange(T)
    sees = np.broadcast_to(step[None] >= np.tile(step, R)[:, None], (R * T, T))
    for r in range(R):
        assert (moved[:, r][sees] > 1e-4).all()
        assert (moved[:, r][~sees] == 0).all()


def test_examples_do_not_see_each_other(params):
    tokens = tokens_of(3)
    other = tokens.copy()
    other[R : 2 * R] = (other[R : 2 * R] + 1) % V
    before, after = hidden(NETWORKS, params, tokens), hidden(NETWORKS, params, other)
    same = np.repeat([True, False, True], R)
    np.testing.assert_array_equal(after[same], before[same])
    assert (after != before)[~same].any(axis=(1, 2)).all()


def test_sequences_have_states_of_their_own(params):
    states = hidden(NETWORKS, params, tokens_of(2)).reshape(2, R, T, -1)
    for r in range(1, R):
        assert (np.abs(states[:, r] - states[:, 0]).max(-1) > 1e-3).all()


def test_logits_of_a_sequences_own_tokens_are_among_those_of_all(params):
    states = jnp.asarray(hidden(NETWORKS, params, tokens_of(2)))
    every = np.asarray(NETWORKS.logits(params, states)).reshape(2, R, T, V)
    own = np.asarray(NETWORKS.own_logits(params, states, 3)).reshape(2, R, T, 3)
    for r in range(R):
        expected = every[:, r, :, 3 * r : 3 * r + 3]
        np.testing.assert_allclose(own[:, r], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scan", [False, True])
def test_a_cache_that_grows_gives_what_a_pass_over_all_does(scan):
    """After prompts of 2 and 4 steps, whose padding is in slots that are written later."""
    networks = streams(dataclasses.replace(SIZES, scan=scan), R)
    init = jax.device_get(jax.jit(networks.init)(jax.random.key(1)))
    params = jax.tree.map(lambda x: 9 * x, init)
    tokens, lengths = tokens_of(2), np.repeat([2, 4], R)
    whole = hidden(networks, params, tokens)
    extend = jax.jit(networks.extend)
    steps = np.broadcast_to(np.arange(4), (2 * R, 4))
    prompts = np.where(steps < lengths[:, None], tokens[:, :4], (tokens[:, :4] + 1) % V)
    states, cache = extend(params, networks.start(params, 2 * R, 4), prompts, steps)
    own = steps < lengths[:, None]
    np.testing.assert_allclose(states[own], whole[:, :4][own], rtol=2e-5, atol=2e-5)
    cache = networks.grow(cache, T)
    rows = np.arange(2 * R)[:, None]
    for t in range(3):
        at = np.minimum(lengths + t, T - 1)[:, None]  # where a row has ended it is read again
        states, cache = extend(params, cache, tokens[rows, at], at)
        np.testing.assert_allclose(states, whole[rows, at], rtol=2e-5, atol=2e-5)


ENCODED = streams(dataclasses.replace(SIZES, encoder_layers=2, source_context=4), R)


def sources(examples, seed=4):
    """Of two and three tokens, and then padding; equal in an example's rows."""
    tokens = np.random.default_rng(seed).integers(0, V, (examples, 4)).astype(np.int32)
    present = np.arange(4) < np.array([2, 3, 3])[:examples, None]
    return Source(*(np.repeat(x, R, axis=0) for x in (tokens, np.int32(present))))


@pytest.fixture(scope="module")
def encoded():
    """Parameters of ENCODED."""
    return jax.tree.map(lambda x: 9 * x, jax.device_get(jax.jit(ENCODED.init)(jax.random.key(6))))


def test_every_step_sees_all_of_its_own_source_and_no_padding(encoded):
    tokens, source = tokens_of(3), sources(3)
    states = jax.jit(ENCODED.hidden)

    def moved(change):
        other = source._replace(tokens=change(source.tokens.copy()))
        before, after = (
            np.asarray(states(encoded, read(tokens)._replace(source=s))) for s in (source, other)
        )
        return np.abs(after - before).reshape(3, R * T, -1).max(-1)

    for place in range(3):

        def change(tokens, place=place):
            tokens[R : 2 * R, place] = (tokens[R : 2 * R, place] + 1) % V
            return tokens

        found = moved(change)
        assert (found[1] > 1e-4).all()
        assert (found[[0, 2]] == 0).all()

    def padding(tokens):
        tokens[:, 3] = (tokens[:, 3] + 1) % V
        return tokens

    assert (moved(padding) == 0).all()


@pytest.mark.parametrize("scan", [False, True])
def test_a_cache_with_a_source_gives_what_a_pass_over_all_does(scan):
    networks = streams(dataclasses.replace(SIZES, encoder_layers=2, source_context=4, scan=scan), R)
    init = jax.device_get(jax.jit(networks.init)(jax.random.key(7)))
    params = jax.tree.map(lambda x: 9 * x, init)
    tokens, source = tokens_of(2), sources(2)
    whole = np.asarray(jax.jit(networks.hidden)(params, read(tokens)._replace(source=source)))
    extend, places = jax.jit(networks.extend), np.tile(np.arange(T), (2 * R, 1))
    start = jax.jit(networks.start, static_argnums=(1, 2))
    cache = start(params, 2 * R, T, source)
    found, cache = extend(params, cache, tokens[:, :2], places[:, :2])
    np.testing.assert_allclose(found, whole[:, :2], rtol=5e-5, atol=5e-5)
    for t in range(2, T):
        found, cache = extend(params, cache, tokens[:, t : t + 1], places[:, t : t + 1])
        np.testing.assert_allclose(found, whole[:, t : t + 1], rtol=5e-5, atol=5e-5)


def test_a_source_that_is_missing_or_superfluous_is_refused(params, encoded):
    tokens = tokens_of(1)
    with pytest.raises(InputError, match="source is missing"):
        ENCODED.hidden(encoded, read(tokens))
    with pytest.raises(InputError, match="source is for models with an encoder"):
        NETWORKS.hidden(params, read(tokens)._replace(source=sources(1)))


def test_dropout_is_each_examples_own():
    networks = streams(dataclasses.replace(SIZES, dropout=0.4), R)
    params = jax.jit(networks.init)(jax.random.key(2))
    tokens = np.tile(tokens_of(1), (3, 1))
    keys = jax.random.split(jax.random.key(3), 3 * R)
    found = hidden(networks, params, tokens, keys).reshape(3, R, T, -1)
    assert not np.array_equal(found[0], found[1])
    turned = hidden(networks, params, tokens, keys[::-1].reshape(3, R)[:, ::-1].reshape(-1))
    np.testing.assert_array_equal(turned.reshape(found.shape)[::-1], found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": Positions.ROTARY}, "positions must be LEARNED where several sequences"),
        ({"window": 3}, "window must be None where several"),
        ({"tied": False}, "tied must be True where several"),
    ],
)
def test_an_architecture_that_would_be_ignored_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        streams(dataclasses.replace(SIZES, **change), R)


def test_what_is_not_read_from_the_left_is_refused(params):
    tokens = tokens_of(1)
    with pytest.raises(InputError, match="prefix must be None: several sequences are read"):
        NETWORKS.hidden(params, bidirectional(jnp.asarray(tokens)))
    with pytest.raises(InputError, match="prefix must be None: several sequences are read"):
        NETWORKS.extend(params, None, tokens, tokens, jnp.ones(R, jnp.int32))
    with pytest.raises(InputError, match="segments must be None"):
        NETWORKS.hidden(params, read(tokens)._replace(segments=jnp.ones(tokens.shape)))
