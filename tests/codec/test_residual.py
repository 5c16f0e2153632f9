"""Residual quantisation against a loop of nearest neighbours in NumPy's float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vq
from aigc_jax.codec.residual import residual_quantiser, stages_used
from aigc_jax.errors import InputError
from aigc_jax.vq import codebook
from aigc_jax.vq.codebook import Codebook

STAGES, CODES, FEATURES, DECAY, REVIVE = 3, 7, 5, 0.7, 0.2
STAGE = vq.vector_quantiser(CODES, FEATURES, DECAY, REVIVE)
RESIDUAL = residual_quantiser(STAGE, STAGES)
quantise, update = jax.jit(RESIDUAL.quantise), jax.jit(RESIDUAL.update)
USED = np.int32([2, 3, 1, 2])


@pytest.fixture
def features(rng):
    return np.float32(rng.normal(size=(4, 3, 2, FEATURES)))


@pytest.fixture
def states(rng):
    """Codebooks under way, each finer than the one before, all of whose codes are in use."""
    found = []
    for i in range(STAGES):
        counts = rng.uniform(5.0, 9.0, CODES)
        vectors = rng.normal(size=(CODES, FEATURES)) * 0.6**i
        parts = (vectors, counts, counts[:, None] * vectors)
        found.append(Codebook(*(jnp.float32(part) for part in parts)))
    return tuple(found)


def by_definition(states, features, used=(STAGES,) * 4):
    """Position by position: vectors, codes, what each stage is given, and what it leaves."""
    codes = np.zeros((*features.shape[:-1], STAGES), int)
    total = np.zeros(features.shape)
    given = np.zeros((STAGES, *features.shape))
    left = np.zeros_like(given)
    for at in np.ndindex(features.shape[:-1]):
        rest = np.float64(features[at])
        for i, state in enumerate(states):
            table = np.float64(state.vectors)
            k = np.square(rest - table).sum(-1).argmin()
            codes[(*at, i)], given[(i, *at)] = k, rest
            rest = rest - table[k]
            left[(i, *at)] = rest
            if i < used[at[0]]:
                total[at] += table[k]
    return total, codes, given, left


@pytest.mark.parametrize("used", [None, USED])
def test_each_stage_codes_what_those_before_it_left(states, features, used):
    found = quantise(states, features, used)
    counted = (STAGES,) * 4 if used is None else used
    vectors, codes, _, left = by_definition(states, features, counted)
    assert found.codes.dtype == jnp.int32
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_allclose(found.vectors, vectors, rtol=1e-6, atol=1e-6)
    squares = np.square(left).sum((2, 3, 4))  # [N, B]
    expected = [squares[:n, b].sum() for b, n in enumerate(counted)]
    np.testing.assert_allclose(found.commitment, expected, rtol=1e-6)


def test_every_stage_pulls_at_the_features(states, features, rng):
    """∂/∂f Σ_i ‖r_{i−1} − sg(q_i)‖² = 2 Σ_i r_i: not 0 at any stage, as it was in EnCodec (#25)."""
    weights = np.float32(rng.uniform(0.5, 2.0, 4))

    @jax.jit
    def slope(features, used):
        def weighted(features):
            return jnp.sum(weights * RESIDUAL.quantise(states, features, used).commitment)

        return jax.grad(weighted)(features)

    *_, left = by_definition(states, features)
    before = np.zeros(features.shape)
    for n in range(1, STAGES + 1):
        found = np.asarray(slope(features, np.full(4, n)))
        expected = 2 * weights[:, None, None, None] * left[:n].sum(0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert (np.abs(found - before).max((1, 2, 3)) > 0.01).all()
        before = found


@pytest.mark.parametrize("used", [None, USED])
def test_the_gradient_passes_once_whatever_the_number_of_stages(states, features, rng, used):
    weights = np.float32(rng.normal(size=features.shape))

    def decoded(vectors):
        return jnp.sum(jnp.sin(weights * vectors))

    @jax.jit
    def slopes(states, features):
        def whole(states, features):
            return decoded(RESIDUAL.quantise(states, features, used).vectors)

        return jax.grad(whole, (0, 1))(states, features)

    on_states, on_features = slopes(states, features)
    at = (
        np.float64(weights) * by_definition(states, features, (3,) * 4 if used is None else used)[0]
    )
    np.testing.assert_allclose(on_features, weights * np.cos(at), rtol=1e-5, atol=1e-5)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(on_states))


def test_vectors_are_those_that_the_codes_used_are_looked_up_to(states, features):
    found = quantise(states, features, USED)
    for b, n in enumerate(USED):
        looked_up = RESIDUAL.look_up(states, found.codes[b, ..., :n])
        np.testing.assert_allclose(found.vectors[b], looked_up, rtol=1e-6, atol=1e-6)
    for n in range(1, STAGES + 1):
        codes = np.asarray(found.codes)[..., :n]
        expected = sum(np.float64(states[i].vectors)[codes[..., i]] for i in range(n))
        np.testing.assert_allclose(RESIDUAL.look_up(states, codes), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("used", [None, np.int32([1, 1, 1, 1]), USED])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6, np.inf, np.nan])
def test_codes_are_codes(states, features, used, scale):
    """Of new, used and revived codebooks alike, and even of features that are no numbers."""
    wild = features * np.float32(scale)
    new = RESIDUAL.init(jax.random.key(0))
    found = quantise(new, features, used)
    later, _ = update(new, features, found.codes, jax.random.key(1))
    for books in (states, new, later):
        codes = np.asarray(quantise(books, wild, used).codes)
        assert codes.shape == (4, 3, 2, STAGES)
        assert codes.min() >= 0
        assert codes.max() < CODES


def test_each_stage_learns_from_what_it_was_given(states, features, assert_close):
    """N ← γ N + (1 − γ) n and m likewise, of the residuals, in all stages and of all examples."""
    _, codes, given, _ = by_definition(states, features)
    after, revived = update(
        states, features, quantise(states, features, USED).codes, jax.random.key(0)
    )
    assert float(revived) == 0
    for i, (old, new) in enumerate(zip(states, after, strict=True)):
        chosen = np.eye(CODES)[codes[..., i].ravel()]
        counts = DECAY * old.counts + (1 - DECAY) * chosen.sum(0)
        sums = DECAY * old.sums + (1 - DECAY) * chosen.T @ given[i].reshape(-1, FEATURES)
        assert_close(new[1:], (counts, sums), rtol=1e-5, atol=1e-5)
        assert not np.allclose(new.vectors, old.vectors)


def test_a_revived_vector_survives_an_update_in_each_stage(states, features):
    dead = 4  # and those after it
    worn = tuple(
        state._replace(counts=np.where(np.arange(CODES) < dead, state.counts, 0).astype(np.float32))
        for state in states
    )
    alive = tuple(state._replace(vectors=state.vectors[:dead]) for state in states)
    _, codes, given, _ = by_definition(alive, features)
    after, revived = update(worn, features, np.int32(codes), jax.random.key(0))
    assert float(revived) == STAGES * (CODES - dead)
    again, more = update(after, features, np.int32(codes), jax.random.key(1))
    assert float(more) == 0
    for i in range(STAGES):
        taken = np.asarray(after[i].vectors)[dead:]
        apart = np.abs(taken[:, None] - given[i].reshape(-1, FEATURES)[None]).max(-1)
        assert (apart.min(1) < 1e-6).all()  # each is one of this stage's residuals
        np.testing.assert_allclose(again[i].vectors[dead:], taken, rtol=1e-3, atol=1e-3)


def test_stages_start_and_are_revived_apart_from_each_other(features):
    new = RESIDUAL.init(jax.random.key(0))
    assert len({float(book.vectors[0, 0]) for book in new}) == STAGES
    # All features are alike to every stage, so that only the key tells what they take.
    same = tuple(book._replace(vectors=jnp.zeros((CODES, FEATURES))) for book in new)
    after, _ = update(same, features, np.zeros((4, 3, 2, STAGES), np.int32), jax.random.key(2))
    vectors = [np.asarray(book.vectors)[1:] for book in after]
    assert not np.array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[1], vectors[2])


@pytest.mark.parametrize(("dropout", "last"), [(0.0, 1.0), (0.3, 0.7 + 0.3 / 4), (1.0, 1 / 4)])
def test_stages_used_are_all_or_one_of_1_to_n_alike(dropout, last):
    n = 20_000
    keys = jax.random.split(jax.random.key(0), n)
    used = np.asarray(jax.jit(stages_used, static_argnums=(1, 2))(keys, 4, dropout))
    assert used.dtype == np.int32
    frequencies = np.bincount(used, minlength=5) / n
    expected = np.array([0.0, *[(1 - last) / 3] * 3, last])
    error = np.sqrt(expected * (1 - expected) / n)
    np.testing.assert_array_less(np.abs(frequencies - expected), 4.5 * error + 1e-9)


def test_stages_used_are_drawn_alike_under_x64():
    keys = jax.random.split(jax.random.key(3), 50)
    expected = np.asarray(stages_used(keys, 5, 0.8))
    with jax.enable_x64(True):
        found = stages_used(keys, 5, 0.8)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, expected)


def test_one_stage_is_the_stage_itself(states, features, assert_identical):
    one = residual_quantiser(STAGE, 1)
    found, own = one.quantise(states[:1], features), codebook.quantise(states[0], features)
    expected = own._replace(codes=own.codes[..., None])
    assert_identical(found, expected)
    assert (one.codes, one.features, one.stages) == (CODES, FEATURES, 1)


def test_fsq_as_the_one_stage_keeps_the_gradient_of_its_bound(features, rng):
    stage = vq.finite_scalar_quantiser((8, 5, 5, 7, 3))
    one = residual_quantiser(stage)
    weights = np.float32(rng.normal(size=features.shape))

    def through(of):
        return jax.grad(lambda f: jnp.sum(jnp.sin(weights * of(f).vectors)))(features)

    found = through(lambda f: one.quantise(one.init(jax.random.key(0)), f))
    np.testing.assert_array_equal(found, through(lambda f: stage.quantise((), f)))
    assert not np.allclose(found, weights * np.cos(weights * stage.quantise((), features).vectors))
    codes = one.quantise(((),), features).codes
    np.testing.assert_array_equal(codes[..., 0], stage.quantise((), features).codes)
    state, revived = one.update(((),), features, codes, jax.random.key(0))
    assert (state, float(revived)) == (((),), 0.0)


def test_what_cannot_be_residual_is_refused():
    with pytest.raises(InputError, match="2 stages are for a learned codebook"):
        residual_quantiser(vq.finite_scalar_quantiser((8, 5)), 2)
    with pytest.raises(InputError, match="at least 1 stage, got 0"):
        residual_quantiser(STAGE, 0)
