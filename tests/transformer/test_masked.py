"""Masks, the step on what they hide, and the bound, against enumeration of a tiny model."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import parallel, transformer
from aigc_jax.errors import InputError
from aigc_jax.transformer import Architecture, Objective, Positions, masked, masking
from aigc_jax.transformer.masking import MaskedBatch, diffusion, maskgit
from aigc_jax.transformer.networks import transformer as linen
from aigc_jax.transformer.unmasking import predictor, unmask_at_random

CHOICES, MASK, CLASS = 3, 3, 4
IDS = {"mask_id": MASK, "choices": CHOICES}
SIZES = {"context": 4, "layers": 1, "heads": 1, "width": 6}
NETWORKS = transformer.networks_of(Architecture(5, **SIZES))
DROPPING = transformer.networks_of(Architecture(5, **SIZES, dropout=0.3))
SGD = optax.sgd(0.1)
OPTIONS = ("networks", "tx", "mask_id", "choices", "schedule", "objective", "microbatches")
jitted = jax.jit(masked.masked_step, static_argnames=OPTIONS)
bound = jax.jit(masked.nelbo, static_argnames=("networks", "mask_id", "choices", "samples"))
SCHEDULES = pytest.mark.parametrize("schedule", [maskgit, diffusion])
# The 99.9 % quantiles of chi-square by degrees of freedom; seeds are fixed.
QUANTILES = {8: 26.12, 9: 27.88}


def chi_square(counts, expected):
    return float((np.square(counts - expected) / expected).sum())


@pytest.fixture(scope="module")
def state():
    """Parameters so large that what a token is depends on the others."""
    init = jax.jit(transformer.init, static_argnums=(1, 2))
    made = jax.device_get(init(jax.random.key(0), NETWORKS, SGD))
    return made._replace(params=jax.tree.map(lambda x: 9 * x, made.params))


@pytest.fixture(scope="module")
def table(state):
    """log p `[4, 4, 4, 3, 3]` of each id at each of three places, by what is read at the three."""
    contexts = np.array(list(itertools.product(range(4), repeat=3)), np.int32)
    rows = np.concatenate([np.full((64, 1), CLASS, np.int32), contexts], axis=1)
    logits = jax.jit(lambda params: predictor(params, NETWORKS)(rows))(state.params)
    logits = np.float64(logits)[:, 1:, :CHOICES]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return log_p.reshape(4, 4, 4, 3, 3)


def loss(table, x, hidden):
    """Σ −log p of the hidden places of x, given the others."""
    read = tuple(MASK if t in hidden else x[t] for t in range(3))
    return -sum(table[read][t, x[t]] for t in hidden)


def estimates(table, x, n):
    """3 / n Σ −log p for each set of n places."""
    return [3 / n * loss(table, x, s) for s in itertools.combinations(range(3), n)]


def exact(table, x):
    """The bound, over all seven sets."""
    return np.mean([np.mean(estimates(table, x, n)) for n in (1, 2, 3)])


def by_orders(table, x):
    """−log p of x in each of the six orders."""
    nll = []
    for order in itertools.permutations(range(3)):
        read, total = [MASK] * 3, 0.0
        for t in order:
            total -= table[tuple(read)][t, x[t]]
            read[t] = x[t]
        nll.append(total)
    return np.array(nll)


def batch_of(rows, maskable=None):
    rng = np.random.default_rng(rows)
    tokens = rng.integers(0, CHOICES, (rows, 4))
    if maskable is None:
        maskable = np.arange(4)[None] < np.array([3, 4, 1, 0, 2, 4, 3, 1])[:rows, None]
    tokens[~maskable] = CLASS
    return MaskedBatch(np.int32(tokens), maskable)


class TestCounts:
    def test_cosine(self):
        r, n = np.float32(np.tile([0, 0.2, 0.37, 0.9, 0.999, 1], 4)), np.repeat([0, 1, 7, 49], 6)
        expected = np.clip(np.ceil(n * np.cos(np.pi / 2 * np.float64(r))), 1, n)
        expected[n == 0] = 0
        found = masking.cosine_count(r, n)
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found[18:], [49, 47, 41, 8, 1, 1])

    def test_uniform(self):
        for n in (1, 6, 49):
            r = (np.arange(2 * n, dtype=np.float32) + 0.5) / (2 * n)
            found = masking.uniform_count(r, np.full(2 * n, n))
            np.testing.assert_array_equal(found, np.repeat(np.arange(1, n + 1), 2))
        n = np.array([0, 1, 7, 49])
        for last in (np.nextafter(np.float32(1), np.float32(0)), np.float32(1)):
            np.testing.assert_array_equal(masking.uniform_count(np.full(4, last), n), n)

    def test_diffusion_weighs_by_the_share_that_is_seen(self):
        counts, weights = diffusion(np.float32([0.5, 0.1, 0.9, 0.3]), np.array([7, 3, 1, 0]))
        np.testing.assert_array_equal(counts, [4, 1, 1, 0])
        np.testing.assert_allclose(weights, [7 / 4, 3, 1, 0], rtol=1e-7)

    @pytest.mark.parametrize("u", [0.0, 0.13, 0.99])
    def test_strata_have_one_number_each(self, u):
        r = np.asarray(masking.strata(np.float32(u), jnp.arange(7), 7))
        assert sorted(np.floor(7 * r).tolist()) == [*range(7)]

    def test_each_example_has_all_of_the_interval(self):
        u = np.float32((np.arange(100) + 0.5) / 100)
        for i in range(7):
            r = np.sort(masking.strata(u, np.full(100, i), 7))
            np.testing.assert_allclose(np.diff(r), 0.01, atol=1e-6)
            assert r[0] < 0.01


class TestMasks:
    def test_every_subset_is_as_likely(self):
        maskable = np.array([[True, False, True, True, True, False, True]])
        keys = jax.random.split(jax.random.key(0), 4000)
        counts = np.full(4000, 2)
        drawn = masking.mask_random(keys, np.repeat(maskable, 4000, axis=0), counts)
        sets, often = np.unique(np.asarray(drawn), axis=0, return_counts=True)
        assert not (sets & ~maskable).any()
        assert (sets.sum(1) == 2).all()
        assert len(often) == 10
        assert chi_square(often, 400) < QUANTILES[9]

    def test_each_row_has_its_count(self):
        batch = batch_of(8)
        keys = jax.random.split(jax.random.key(1), 8)
        counts = np.array([3, 1, 1, 0, 9, 2, 0, 1])
        drawn = np.asarray(masking.mask_random(keys, batch.maskable, counts))
        np.testing.assert_array_equal(drawn.sum(1), [3, 1, 1, 0, 2, 2, 0, 1])
        assert not (drawn & ~batch.maskable).any()
        alone = masking.mask_random(keys[5:6], batch.maskable[5:6], counts[5:6])
        np.testing.assert_array_equal(alone, drawn[5:6])

    def test_what_is_hidden_is_what_counts(self):
        batch, keys = batch_of(8), jax.random.split(jax.random.key(2), 8)
        r = np.full(8, 0.5, np.float32)
        made = masking.masked(batch, r, keys, mask_id=MASK, schedule=diffusion)
        hidden = np.asarray(made.inputs) == MASK
        np.testing.assert_array_equal(hidden.sum(1), [2, 3, 1, 0, 2, 3, 2, 1])
        np.testing.assert_array_equal(made.inputs[~hidden], batch.tokens[~hidden])
        np.testing.assert_array_equal(made.labels, np.where(hidden, batch.tokens, 0))
        weights = hidden * np.array([3 / 2, 4 / 3, 1, 0, 1, 4 / 3, 3 / 2, 1])[:, None]
        np.testing.assert_allclose(made.weights, weights, rtol=1e-7)
        np.testing.assert_array_equal(made.prefix, [4] * 8)


@pytest.mark.parametrize(
    ("positions", "window"), [(Positions.LEARNED, None), (Positions.ROTARY, 2)]
)
def test_every_position_sees_every_other_as_without_a_mask(monkeypatch, positions, window):
    config = {"heads": 2, "width": 8, "layers": 2, "context": 7, "window": window}
    networks = transformer.networks_of(Architecture(5, **config, positions=positions))
    params = jax.tree.map(lambda x: 9 * x, jax.jit(networks.init)(jax.random.key(0)))
    tokens = np.tile(np.array([0, 2, 1, 2, 0, 1, 2], np.int32), (8, 1))
    tokens[np.arange(7), np.arange(7)] = MASK
    found = np.asarray(jax.jit(predictor(params, networks))(tokens))
    changed = np.abs(found[:7] - found[7:]).max(-1)
    assert (changed > 1e-4).all()

    def open_to_all(length, *_):
        return linen.PositionsAndMask(jnp.arange(length)[None], None)

    monkeypatch.setattr(linen, "_causal", open_to_all)
    expected = jax.jit(predictor(params, networks))(tokens)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class TestBound:
    def test_it_is_the_mean_over_orders_and_bounds_their_mixture(self, table):
        total, gaps = 0.0, []
        for x in itertools.product(range(3), repeat=3):
            orders = by_orders(table, x)
            assert exact(table, x) == pytest.approx(orders.mean(), rel=1e-12)
            mixture = np.exp(-orders).mean()
            gaps.append(exact(table, x) + math.log(mixture))
            total += mixture
        assert total == pytest.approx(1, rel=1e-12)
        assert min(gaps) >= 0
        assert max(gaps) > 0.01  # the orders differ, so that the bound is not met by chance

    @pytest.mark.parametrize("x", [(2, 0, 1), (1, 1, 0)])
    def test_three_samples_have_each_number_of_masks_once(self, state, table, x):
        """Nine pairs of sets, all as likely: the estimate of each row is that of one of them."""
        rows = 3000
        tokens = np.tile(np.int32([CLASS, *x]), (rows, 1))
        maskable = np.tile([False, True, True, True], (rows, 1))
        keys = jax.random.split(jax.random.key(3), rows)
        found = np.asarray(
            bound(
                state.params,
                MaskedBatch(tokens, maskable),
                keys,
                networks=NETWORKS,
                samples=3,
                **IDS,
            )
        )
        values = [
            np.mean(s) for s in itertools.product(*(estimates(table, x, n) for n in (1, 2, 3)))
        ]
        apart = np.abs(found[:, None] - np.array(values)[None])
        assert apart.min(1).max() < 1e-5
        often = np.bincount(apart.argmin(1), minlength=9)
        assert chi_square(often, rows / 9) < QUANTILES[8]
        assert np.mean(values) == pytest.approx(exact(table, x), rel=1e-12)

    @pytest.mark.parametrize("samples", [1, 2])
    def test_other_numbers_of_samples_are_as_unbiased(self, state, table, samples):
        rows, x = 3000, (2, 0, 1)
        batch = MaskedBatch(
            np.tile(np.int32([CLASS, *x]), (rows, 1)),
            np.tile([False, True, True, True], (rows, 1)),
        )
        keys = jax.random.split(jax.random.key(4), rows)
        found = np.float64(
            bound(state.params, batch, keys, networks=NETWORKS, samples=samples, **IDS)
        )
        error = found.std() / rows**0.5
        assert error < 0.02 * exact(table, x)
        assert abs(found.mean() - exact(table, x)) < 4 * error

    def test_a_row_depends_on_its_own_key_and_an_empty_one_is_nought(self, state):
        batch, keys = batch_of(8), jax.random.split(jax.random.key(5), 8)
        evaluate = partial(bound, state.params, networks=NETWORKS, samples=2, **IDS)
        whole = np.asarray(evaluate(batch, keys))
        turned = jax.tree.map(lambda x: x[::-1], (batch, keys))
        np.testing.assert_allclose(evaluate(*turned)[::-1], whole, rtol=1e-5)
        assert whole[3] == 0
        assert (np.delete(whole, 3) > 0).all()


class TestStep:
    @SCHEDULES
    def test_rows_of_one_token_have_its_loss(self, state, table, schedule):
        x = np.array(list(itertools.product(range(3), repeat=3)))[5:21:2]
        tokens = np.int32(np.concatenate([np.full((8, 1), CLASS), x], axis=1))
        at = np.arange(8) % 3
        maskable = np.arange(4)[None] == at[:, None] + 1
        _, info = jitted(
            state,
            MaskedBatch(tokens, maskable),
            networks=NETWORKS,
            tx=SGD,
            schedule=schedule,
            **IDS,
        )
        losses = [loss(table, row, (t,)) for row, t in zip(x, at, strict=True)]
        assert float(info.nll_nats) == pytest.approx(np.mean(losses), rel=1e-5)
        assert float(info.tokens) == 8

    @SCHEDULES
    def test_the_report_is_that_of_the_schedule_on_average(self, state, table, schedule):
        """Over steps: P(n) by the cosine, all masked tokens alike; or uniform n, weighted 3 / n."""
        rows = [(2, 0, 1), (1, 1, 0), (0, 0, 2), (2, 2, 1)]
        tokens = np.int32([[CLASS, *x] for x in rows])
        batch = MaskedBatch(tokens, np.tile([False, True, True, True], (4, 1)))

        @jax.jit
        @jax.vmap
        def reported(number):
            at, options = state._replace(step=number), {"networks": NETWORKS, "tx": SGD, **IDS}
            return masked.masked_step(at, batch, schedule=schedule, **options)[1]

        info = jax.tree.map(np.float64, reported(jnp.arange(800, dtype=jnp.int32)))
        n, chances, weights = np.arange(1, 4), np.full(3, 1 / 3), 3 / np.arange(1, 4)
        if schedule is maskgit:
            # ⌈3 cos(π r / 2)⌉ is n or less from this r on.
            chances = -np.diff([1, *(2 / np.pi * np.arccos(n / 3))])
            weights = np.ones(3)
        losses = [k / 3 * np.mean([estimates(table, x, k) for x in rows]) for k in n]
        expected = 4 * np.array([chances @ (weights * n), chances @ (weights * losses)])
        for found, mean in zip((info.tokens, info.tokens * info.nll_nats), expected, strict=True):
            error = found.std() / 800**0.5
            assert error < 0.01 * mean
            assert abs(found.mean() - mean) < 4 * error + 1e-6 * mean

    @SCHEDULES
    def test_every_example_moves_the_parameters_by_its_share(self, state, schedule):
        """Σ_i w_i ∇_i = w ∇, ∇_i being the step in which only row i may be masked."""
        batch = batch_of(8)
        step = partial(jitted, networks=NETWORKS, tx=SGD, schedule=schedule, **IDS)

        def moved(only):
            maskable = batch.maskable & only[:, None]
            after, info = jax.device_get(step(state, batch._replace(maskable=maskable)))
            delta = jax.tree.map(np.subtract, after.params, state.params)
            return np.concatenate([x.ravel() for x in jax.tree.leaves(delta)]), float(info.tokens)

        parts = [moved(np.arange(8) == i) for i in range(8)]
        for i, (delta, tokens) in enumerate(parts):
            assert (tokens > 0) == (np.abs(delta).max() > 1e-4) == (i != 3)
        delta, tokens = moved(np.ones(8, bool))
        assert tokens == pytest.approx(sum(n for _, n in parts), rel=1e-6)
        summed = sum(d * n for d, n in parts)
        np.testing.assert_allclose(summed, tokens * delta, rtol=1e-4, atol=2e-5)

    @SCHEDULES
    def test_four_devices_with_two_microbatches_each_are_one_with_one(
        self, state, assert_close, schedule
    ):
        step = partial(
            masked.masked_step,
            networks=DROPPING,
            tx=SGD,
            schedule=schedule,
            objective=Objective(smoothing=0.1),
            **IDS,
        )
        batch = batch_of(8)
        whole = jax.device_get(jax.jit(step)(state, batch))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((whole[0].params, whole[1])))
        shards = parallel.shard_map_step(partial(step, microbatches=2), parallel.data_mesh())
        assert_close(jax.jit(shards)(state, batch), whole)

    def test_masks_are_new_at_every_step(self, state):
        batch = batch_of(8)
        step = partial(jitted, networks=NETWORKS, tx=SGD, schedule=diffusion, **IDS)
        first, second = (
            step(state._replace(step=np.int32(i)), batch)[1].nll_nats for i in range(2)
        )
        assert float(first) != float(second)


def test_what_a_row_repeats_is_learnt_and_written():
    """−log p of three equal tokens of three is log 3, and of three independent ones 3 log 3."""
    networks = transformer.networks_of(Architecture(4, **{**SIZES, "width": 16}))
    tx = optax.adam(0.02)
    tokens = np.int32(np.repeat(np.arange(12)[:, None] % 3, 3, axis=1))
    batch = MaskedBatch(tokens, np.ones((12, 3), bool))

    @jax.jit
    def run(key):
        def update(state, _):
            return masked.masked_step(
                state, batch, networks=networks, tx=tx, schedule=diffusion, **IDS
            )

        state, _ = jax.lax.scan(update, transformer.init(key, networks, tx), length=200)
        keys = jax.random.split(key, 400)
        nats = masked.nelbo(state.params, batch, keys[:12], networks=networks, samples=6, **IDS)
        predict, unknown = predictor(state.params, networks), np.ones((400, 3), bool)
        return nats, unmask_at_random(predict, unknown * 0, unknown, keys, 3, **IDS)

    nats, written = jax.device_get(run(jax.random.key(0)))
    assert math.log(3) - 0.1 < nats.mean() < math.log(3) + 0.1
    # KL ≤ 0.1 leaves at most about a tenth of other rows; of independent tokens 8 in 9 would be.
    assert (written == written[:, :1]).all(1).mean() > 0.85
    assert set(written[:, 0]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("batch", "ids", "message"),
    [
        ((0, 0), {"mask_id": 2}, "mask_id must be no choice, from 3 on, got 2"),
        ((0, 0), {"mask_id": 5}, "mask_id must be below 5, got 5"),
        ((0, 0), {"choices": 0}, "choices must be at least 1, got 0"),
        ((0, CLASS), {}, "maskable tokens must be from 0 to 2, got 4"),
        ((5, 0), {}, "tokens must be from 0 to 4, got 5"),
    ],
)
def test_ids_that_do_not_fit_are_refused(state, batch, ids, message):
    given, hidden = batch
    made = MaskedBatch(jnp.array([[given, hidden]]), jnp.array([[False, True]]))
    options = {**IDS, **ids, "networks": NETWORKS}
    with pytest.raises(InputError, match=message):
        masked.masked_step(state, made, tx=SGD, **options)
    with pytest.raises(InputError, match=message):
        masked.nelbo(state.params, made, jax.random.split(state.key, 1), **options)


def test_shapes_that_do_not_fit_are_refused(state):
    step = partial(masked.masked_step, state, networks=NETWORKS, tx=SGD, **IDS)
    tokens = jnp.zeros((2, 4), jnp.int32)
    with pytest.raises(InputError, match=r"maskable must be booleans of shape \(2, 4\), got int32"):
        step(MaskedBatch(tokens, tokens))
    with pytest.raises(InputError, match=r"maskable must be .* got bool \(2, 3\)"):
        step(MaskedBatch(tokens, tokens[:, :3] == 0))
    with pytest.raises(InputError, match=r"tokens must be of shape \[B, T\]"):
        step(MaskedBatch(tokens[0], tokens[0] == 0))
    with pytest.raises(InputError, match="batch must be a transformer"):
        step(transformer.next_tokens(tokens))
    batch, keys = MaskedBatch(tokens, tokens == 0), jax.random.split(state.key, 2)
    with pytest.raises(InputError, match="samples must be at least 1, got 0"):
        masked.nelbo(state.params, batch, keys, networks=NETWORKS, samples=0, **IDS)
