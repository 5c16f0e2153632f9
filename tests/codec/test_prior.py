"""The prior against enumeration of all codes of tiny grids."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import transformer
from aigc_jax.codec import prior, prior_config
from aigc_jax.codec.layouts import delay
from aigc_jax.codec.model import Coder
from aigc_jax.codec.prior import Codes
from aigc_jax.errors import InputError
from aigc_jax.transformer.masking import bidirectional, diffusion, maskgit, restricted
from aigc_jax.transformer.sampling import GREEDY

SGD = optax.sgd(0.1)
NETWORK = transformer.Config(layers=1, heads=2, width=8)


def config_of(grid, stages, codes, sizes=(), **changes):
    return prior_config.Config(grid, stages, codes, sizes, network=NETWORK, **changes)


def made_of(*sizes, **changes):
    return prior_config.make(config_of(*sizes, **changes), tx=SGD)


TINY = (2,), 2, 3, (2, 3)
APART = {"layout": delay}
PRIORS = {
    "raster": made_of(*TINY),
    "delay": made_of(*TINY, **APART),
    # Continued from prompts: codes of one side, of three, and in time.
    "sound": made_of((4,), 2, 5),
    "video": made_of((3, 2, 2), 2, 3, (4,)),
    "music": made_of((5,), 3, 4, (4,), **APART),
}
# The networks of the first two, of tokens.
NETWORKS = {
    "raster": prior_config.networks_of(config_of(*TINY)),
    "delay": prior_config.networks_of(config_of(*TINY, **APART)),
}
LEFT = pytest.mark.parametrize("name", NETWORKS)
# Of the same networks as "raster" and "video".
MASKED, VIDEO = made_of(*TINY, order=diffusion), made_of((3, 2, 2), 2, 3, (4,), order=maskgit)
GRIDS = np.array(list(itertools.product(range(3), repeat=4))).reshape(81, 2, 2)
LABELS, SOME = np.array([1, 2]), np.array([5, 22, 61, 80])


def begun(made):
    """Parameters so large that what a code is depends on the others."""
    state = jax.device_get(jax.jit(made.init)(jax.random.key(0)))
    params = jax.tree.map(lambda x: 6 * x, state.params)
    return state._replace(trained=state.trained._replace(params=params))


@cache
def state_of(name):
    return begun(PRIORS[name])


def undropped(made):
    """Its step, with all labels kept."""
    return partial(prior.step, **{**made.step.keywords, "label_dropout": 0.0})


@cache
def stepped(name):
    """That compiled."""
    return jax.jit(undropped(PRIORS[name]))


def log_softmax(x):
    x = np.float64(x)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@cache
def raw_logits(name):
    """Of the network for all 81 grids: told LABELS, and told nothing, `[81, R, L, V]` each."""
    made, networks, state = PRIORS[name], NETWORKS[name], state_of(name)
    # After six codes, the delay pattern's padding, and a mask: two values and ∅, three and ∅.
    offset = 8 if name == "delay" else 7

    @jax.jit
    def read(params, tokens):
        return networks.logits(params, networks.hidden(params, transformer.next_tokens(tokens)))

    def logits(*told):
        tokens = prior.tokens_of(made.of, GRIDS, jnp.tile(jnp.array([told], jnp.int32), (81, 1)))
        found = np.float64(read(state.params, tokens))
        return found.reshape(81, made.of.layout.sequences, -1, offset + 7)[:, :, 1:]

    return logits(offset + 1, offset + 5), logits(offset + 2, offset + 6)


def enumerated(name, weight=1.0):
    """log p of all 81 grids, each code's among those of its stage alone."""
    told, untold = raw_logits(name)
    mixed = untold + weight * (told - untold)
    total = np.zeros(81)
    for t, i in itertools.product(range(2), range(2)):
        row, place = (i, t + i) if name == "delay" else (0, 2 * t + i)
        own = log_softmax(mixed[:, row, place, 3 * i : 3 * i + 3])
        total += own[np.arange(81), GRIDS[:, t, i]]
    return total


def agrees(counts, expected):
    """Chi-square within four standard deviations, cells that expect fewer than five pooled."""
    few = expected < 5
    counts, expected = (np.append(x[~few], x[few].sum()) for x in (counts, expected))
    freedom = len(counts) - 1
    statistic = (np.square(counts - expected) / np.maximum(expected, 1e-9)).sum()
    return statistic < freedom + 4 * (2 * freedom) ** 0.5


class TestLikelihood:
    @LEFT
    def test_is_normalised_over_codes_and_is_the_networks(self, name):
        made = PRIORS[name]
        state, keys = state_of(name), jax.random.split(jax.random.key(1), 81)
        nll = jax.jit(made.nll)
        told = np.float64(nll(state, Codes(GRIDS, np.tile(LABELS, (81, 1))), keys))
        np.testing.assert_allclose(told, -enumerated(name), rtol=1e-5, atol=1e-5)
        assert np.exp(-told).sum() == pytest.approx(1, abs=2e-6)
        unknown = np.float64(nll(state, Codes(GRIDS, np.full((81, 2), -1)), keys))
        assert np.exp(-unknown).sum() == pytest.approx(1, abs=2e-6)
        assert np.abs(told - unknown).max() > 0.1


@pytest.mark.parametrize(("name", "weight"), [("raster", 1.0), ("delay", 1.0), ("delay", 2.0)])
def test_samples_are_as_frequent_as_they_are_probable(name, weight):
    made, n = PRIORS[name], 4000
    state = state_of(name)
    sample = partial(made.sample, n=n, labels=np.tile(LABELS, (n, 1)), guidance=weight)
    found = np.asarray(jax.jit(sample)(state, jax.random.key(2)))
    counts = np.bincount(found.reshape(n, 4) @ 3 ** np.arange(4)[::-1], minlength=81)
    p = np.exp(enumerated(name, weight))
    assert agrees(counts, n * p / p.sum())
    assert not agrees(counts, np.full(81, n / 81))


class TestPrompts:
    @pytest.mark.parametrize("name", ["sound", "video", "music"])
    def test_a_sample_goes_on_from_its_own_beginning_as_it_did(self, name):
        """A code's key is its place's, so that what follows is equal where all else is right."""
        made = PRIORS[name]
        state, shape = state_of(name), made.of.layout.shape
        labels = np.array([[0], [3], [-1]]) if made.of.conditions.sizes else None
        sample = jax.jit(partial(made.sample, n=3, labels=labels))
        key = jax.random.key(3)
        whole = np.asarray(sample(state, key))
        assert whole.shape == (3, *shape)
        assert whole.min() == 0
        assert whole.max() == made.of.layout.codes - 1
        again = sample(state, key, prompt=whole[:, :2])
        np.testing.assert_array_equal(again, whole)
        prompt = (whole[:, :2] + 1) % made.of.layout.codes
        other = sample(state, key, prompt=prompt)
        np.testing.assert_array_equal(other[:, :2], prompt)
        assert not np.array_equal(other[:, 2:], whole[:, 2:])

    @pytest.mark.parametrize(
        "shape", [(3, 3, 2, 2, 2), (3, 0, 2, 2, 2), (3, 1, 2, 2), (2, 1, 2, 2, 2), (3,), ()]
    )
    def test_of_another_shape_are_refused(self, shape):
        made, state = PRIORS["video"], state_of("video")
        message = r"a prompt must be codes of shape \[3, P, 2, 2, 2\], P from 1 to 2, got \("
        with pytest.raises(InputError, match=message):
            made.sample(state, jax.random.key(0), 3, prompt=np.zeros(shape, int))

    def test_of_other_codes_are_refused(self):
        made, state = PRIORS["sound"], state_of("sound")
        with pytest.raises(InputError, match="a prompt's codes must be from 0 to 4, got 5"):
            made.sample(state, jax.random.key(0), 1, prompt=np.full((1, 1, 2), 5))


@pytest.mark.parametrize("order", [None, maskgit])
def test_a_sample_depends_on_its_index_alone(order):
    made, name = (PRIORS["delay"], "delay") if order is None else (MASKED, "raster")
    state, labels = state_of(name), np.array([[0, 0], [1, 2], [-1, 1], [0, 2], [1, -1]])

    def sample(n, **how):
        own = partial(made.sample, n=n, labels=labels[:n], guidance=1.5, **how)
        return np.asarray(jax.jit(own)(state, jax.random.key(4)))

    np.testing.assert_array_equal(sample(5, rows_at_once=2)[:4], sample(4))


class TestInAnyOrder:
    def test_a_prompt_is_kept_and_the_rest_are_codes_of_their_stages(self):
        """A mask or the token of another stage would be no code."""
        prompt = np.random.default_rng(6).integers(0, 3, (20, 1, 2, 2, 2))
        sample = jax.jit(partial(VIDEO.sample, n=20, prompt=prompt, passes=3))
        found = np.asarray(sample(state_of("video"), jax.random.key(5)))
        np.testing.assert_array_equal(found[:, :1], prompt)
        assert set(found.ravel()) == {0, 1, 2}
        assert len({row.tobytes() for row in found[:, 1:]}) > 15

    def test_the_last_code_is_the_networks_choice_under_guidance(self):
        """With two attributes, whose nulls differ."""
        config = config_of((2,), 1, 7, (2, 3), order=maskgit)
        made, networks = prior_config.make(config, tx=SGD), prior_config.networks_of(config)
        state, rows = begun(made), 42
        every = np.array(list(itertools.product(range(2), range(3), range(7))))
        labels, prompt = every[:, :2], every[:, 2:, None]
        how = {"labels": labels, "prompt": prompt, "guidance": 6.0, "passes": 1}
        sample = partial(made.sample, n=rows, sampling=GREEDY, **how)
        found = np.asarray(jax.jit(sample)(state, jax.random.key(0)))

        @jax.jit
        def last(conditions):
            codes = np.stack([every[:, 2], np.full(rows, 7)], axis=1)
            tokens = jnp.concatenate([jnp.asarray(conditions), codes], axis=1)
            states = networks.hidden(state.params, bidirectional(tokens))
            return networks.logits(state.params, states)[:, -1, :7]

        told = np.float64(last(labels + np.array([8, 11])))
        untold = np.float64(last(np.tile([10, 14], (rows, 1))))
        expected = (untold + 6 * (told - untold)).argmax(-1)
        np.testing.assert_array_equal(found[:, 1, 0], expected)
        assert (expected != told.argmax(-1)).any()

    def test_the_bound_is_the_mean_over_masks(self):
        """Of Jensen's inequality, too: above −log of the mean of p over all 24 orders."""
        state, rows = state_of("raster"), 400
        code = np.array([[2, 0], [1, 1]])
        exact, by_orders = self.by_enumeration(state, code)
        batch = Codes(np.tile(code, (rows, 1, 1)), np.tile(LABELS, (rows, 1)))
        keys = jax.random.split(jax.random.key(7), rows)
        found = np.float64(jax.jit(partial(MASKED.nll, samples=4))(state, batch, keys))
        error = found.std() / rows**0.5
        assert error < 0.02 * exact
        assert abs(found.mean() - exact) < 4 * error
        assert exact == pytest.approx(by_orders.mean(), rel=1e-9)
        assert exact > -np.log(np.exp(-by_orders).mean()) + 1e-3

    def by_enumeration(self, state, code):
        """The bound over all sets of masked codes; and −log p in each order."""
        of = MASKED.of
        tokens = np.asarray(prior.tokens_of(of, code[None], of.conditions.tokens(LABELS[None], 1)))
        sets = [s for n in (1, 2, 3, 4) for s in itertools.combinations(range(4), n)]
        rows = np.repeat(tokens, len(sets), axis=0)
        for row, hidden in zip(rows, sets, strict=True):
            row[2 + np.array(hidden)] = of.mask_id
        networks = NETWORKS["raster"]

        @jax.jit
        def read(params):
            return networks.logits(
                params, networks.hidden(params, bidirectional(jnp.asarray(rows)))
            )

        logits = np.asarray(read(state.params))[:, 2:]
        own = np.stack([log_softmax(logits[:, t, 3 * (t % 2) :][:, :3]) for t in range(4)], axis=1)
        nll = -own[:, np.arange(4), code.ravel()]
        of_set = {s: dict(zip(s, nll[i, list(s)], strict=True)) for i, s in enumerate(sets)}
        means = [
            np.mean([4 / n * sum(of_set[s].values()) for s in of_set if len(s) == n])
            for n in (1, 2, 3, 4)
        ]
        orders = [
            sum(of_set[tuple(sorted(order[k:]))][order[k]] for k in range(4))
            for order in itertools.permutations(range(4))
        ]
        return np.mean(means), np.array(orders)


class TestStep:
    def test_the_coder_never_changes(self, assert_identical):
        rng = np.random.default_rng(8)
        arrays = {
            "kernel": np.float32(rng.normal(size=(3, 4))),
            "count": np.arange(5, dtype=np.int32),
        }
        coder = Coder(arrays, (np.float32(rng.normal(size=7)),))
        begins = jax.eval_shape(PRIORS["raster"].init, jax.random.key(0), coder)
        state = state_of("raster")._replace(coder=coder)
        assert jax.tree.structure(begins) == jax.tree.structure(state)
        after = stepped("raster")(state, Codes(GRIDS[SOME], np.tile(LABELS, (4, 1))))[0]
        assert_identical(after.coder, state.coder)
        leaves = zip(jax.tree.leaves(after.params), jax.tree.leaves(state.params), strict=True)
        assert all((np.asarray(a) != b).any() for a, b in leaves)

    def test_is_that_of_a_language_model_on_tokens(self, assert_close):
        """Of one stage, whose codes are its tokens, after two conditions."""
        config = config_of((4,), 1, 5, (2, 3))
        networks = prior_config.networks_of(config)
        made = prior_config.make(config, tx=SGD)
        state = begun(made)
        codes = np.random.default_rng(9).integers(0, 5, (3, 4, 1))
        labels = np.array([[0, 2], [1, -1], [-1, 0]])
        found, info = jax.jit(undropped(made))(state, Codes(codes, labels))
        # 5 is the mask; 6 7 ∅ and 9 10 11 ∅ are the attributes.
        told = np.array([[6, 11], [7, 12], [8, 9]])
        tokens = np.int32(np.concatenate([told, codes[..., 0]], axis=1))
        wanted = tokens[:, 1:] * np.array([0, 1, 1, 1, 1], np.int32)
        weights = np.tile(np.float32([0, 1, 1, 1, 1]), (3, 1))
        batch = transformer.Batch(tokens[:, :-1], wanted, weights)
        plain = partial(transformer.step, networks=restricted(networks, 5), tx=SGD)
        assert_close((found.trained, info), jax.jit(plain)(state.trained, batch))

    @LEFT
    def test_reports_the_loss_per_code(self, name):
        """And no padding of the delay pattern is a code."""
        batch = Codes(GRIDS[SOME], np.tile(LABELS, (4, 1)))
        _, info = stepped(name)(state_of(name), batch)
        assert float(info.tokens) == 4 * 4
        assert float(info.nll_nats) == pytest.approx(-enumerated(name)[SOME].sum() / 16, rel=1e-5)

    @LEFT
    def test_every_example_moves_the_parameters_by_its_share(self, name):
        state, codes = state_of(name), GRIDS[SOME]
        labels = np.array([[0, 0], [1, 2], [-1, 1], [0, -1]])
        whole = stepped(name)(state, Codes(codes, labels))[0].params
        alone = jax.vmap(undropped(PRIORS[name]), (None, 0))
        parts = jax.jit(alone)(state, Codes(codes[:, None], labels[:, None]))[0].params
        parts = jax.device_get(parts)
        moved = jax.tree.map(lambda after, before: after - before, parts, state.params)
        norms = sum(np.square(x).reshape(4, -1).sum(-1) for x in jax.tree.leaves(moved))
        assert (norms > 1e-4).all()
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
            np.testing.assert_allclose(a, np.mean(b, axis=0), rtol=2e-5, atol=2e-6)

    @pytest.mark.parametrize(("name", "labels"), [("raster", LABELS), ("delay", None)])
    def test_labels_that_are_dropped_or_missing_are_unknown(self, name, labels):
        labels = None if labels is None else np.tile(labels, (4, 1))
        dropping = {**PRIORS[name].step.keywords, "label_dropout": 0.0 if labels is None else 1.0}
        step = jax.jit(partial(prior.step, **dropping))
        _, info = step(state_of(name), Codes(GRIDS[SOME], labels))
        expected = -enumerated(name, weight=0.0)[SOME].mean() / 4
        assert float(info.nll_nats) == pytest.approx(expected, rel=1e-5)


class TestRefused:
    @pytest.mark.parametrize(
        ("codes", "message"),
        [
            (np.full((2, 2, 2), 3), "codes must be from 0 to 2, got 3"),
            (np.zeros((2, 3, 2), int), r"codes must be of shape \[B, 2, 2\], got \(2, 3, 2\)"),
            (np.zeros((2, 2), int), r"codes must be of shape \[B, 2, 2\], got \(2, 2\)"),
        ],
    )
    def test_codes_that_would_be_read_as_others(self, codes, message):
        state, keys = state_of("raster"), jax.random.split(jax.random.key(0), 2)
        with pytest.raises(InputError, match=message):
            PRIORS["raster"].step(state, Codes(codes))
        with pytest.raises(InputError, match=message):
            PRIORS["raster"].nll(state, Codes(codes), keys)

    def test_labels_and_guidance_without_classes(self):
        made, state = PRIORS["sound"], state_of("sound")
        key, codes = jax.random.key(0), np.zeros((2, 4, 2), int)
        for call in (
            lambda labels: made.step(state, Codes(codes, labels)),
            lambda labels: made.sample(state, key, 2, labels=labels),
        ):
            with pytest.raises(InputError, match="labels are for a prior that is told classes"):
                call(np.zeros((2, 1), int))
        with pytest.raises(InputError, match="guidance is for a prior that is told classes"):
            made.sample(state, key, 2, guidance=2.0)

    @pytest.mark.parametrize("order", [maskgit, diffusion])
    def test_any_order_with_the_delay_pattern(self, order):
        with pytest.raises(InputError, match="in any order needs --layout=raster"):
            made_of((4,), 2, 3, layout=delay, order=order)

    def test_microbatches_that_would_part_an_example(self):
        step = partial(prior.step, **{**PRIORS["delay"].step.keywords, "microbatches": 2})
        with pytest.raises(InputError, match="3 examples cannot be cut into 2 equal microbatches"):
            step(state_of("delay"), Codes(GRIDS[:3]))
