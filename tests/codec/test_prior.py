"""The prior's loss and step against enumeration of all codes of tiny grids."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_priors import (
    GRIDS,
    LABELS,
    LEFT,
    MASKED,
    NETWORKS,
    PRIORS,
    SGD,
    SOME,
    begun,
    config_of,
    enumerated,
    log_softmax,
    made_of,
    state_of,
    stepped,
    undropped,
)

from aigc_jax import transformer
from aigc_jax.codec import prior, prior_config
from aigc_jax.codec.layouts import delay
from aigc_jax.codec.model import Coder
from aigc_jax.codec.prior import Codes
from aigc_jax.errors import InputError
from aigc_jax.transformer.masking import bidirectional, diffusion, maskgit, restricted


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


class TestBound:
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
        with pytest.raises(InputError, match="guidance is for a prior that is told something"):
            made.sample(state, key, 2, guidance=2.0)

    @pytest.mark.parametrize("order", [maskgit, diffusion])
    def test_any_order_with_the_delay_pattern(self, order):
        with pytest.raises(InputError, match="in any order needs --layout=raster"):
            made_of((4,), 2, 3, layout=delay, order=order)

    def test_microbatches_that_would_part_an_example(self):
        step = partial(prior.step, **{**PRIORS["delay"].step.keywords, "microbatches": 2})
        with pytest.raises(InputError, match="3 examples cannot be cut into 2 equal microbatches"):
            step(state_of("delay"), Codes(GRIDS[:3]))
