"""Codes that priors of tiny grids write, against how probable they are."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_priors import (
    GRIDS,
    LABELS,
    MASKED,
    NETWORKS,
    PRIORS,
    SGD,
    TINY,
    VIDEO,
    begun,
    config_of,
    enumerated,
    log_softmax,
    made_of,
    state_of,
)

from aigc_jax.codec import prior_config
from aigc_jax.errors import InputError
from aigc_jax.transformer.masking import bidirectional, diffusion, maskgit
from aigc_jax.transformer.sampling import GREEDY

TINY_MASKGIT = made_of(*TINY, order=maskgit)  # of the same network as MASKED


def agrees(counts, expected):
    """Chi-square within four standard deviations, cells that expect fewer than five pooled."""
    few = expected < 5
    counts, expected = (np.append(x[~few], x[few].sum()) for x in (counts, expected))
    freedom = len(counts) - 1
    statistic = (np.square(counts - expected) / np.maximum(expected, 1e-9)).sum()
    return statistic < freedom + 4 * (2 * freedom) ** 0.5


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
        labels = np.tile([[0], [3], [-1]], (8, 1)) if made.of.conditions.sizes else None
        sample = jax.jit(partial(made.sample, n=24, labels=labels))
        key = jax.random.key(3)
        whole = np.asarray(sample(state, key))
        assert whole.shape == (24, *shape)
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


@pytest.mark.parametrize("made", [PRIORS["delay"], TINY_MASKGIT, MASKED])
def test_a_sample_depends_on_its_index_alone(made):
    state = state_of("delay" if made is PRIORS["delay"] else "raster")
    labels = np.array([[0, 0], [1, 2], [-1, 1], [0, 2], [1, -1]])

    def sample(n, **how):
        own = partial(made.sample, n=n, labels=labels[:n], guidance=1.5, **how)
        return np.asarray(jax.jit(own)(state, jax.random.key(4)))

    np.testing.assert_array_equal(sample(5, rows_at_once=2)[:4], sample(4))


def in_random_order():
    """p of all 81 grids under MASKED: the mean over the 24 orders of the product of their p."""
    of, networks = MASKED.of, NETWORKS["raster"]
    reads = np.array(list(itertools.product(range(4), repeat=4)), np.int32)  # 3: masked
    tokens = np.where(reads == 3, of.mask_id, reads + 3 * (np.arange(4) % 2))
    told = np.tile(np.asarray(of.conditions.tokens(LABELS[None], 1)), (256, 1))
    batch = bidirectional(jnp.asarray(np.concatenate([told, tokens], axis=1), jnp.int32))
    read = jax.jit(lambda params: networks.logits(params, networks.hidden(params, batch, None)))
    logits = np.asarray(read(state_of("raster").params))[:, 2:]
    own = np.stack([log_softmax(logits[:, t, 3 * (t % 2) :][:, :3]) for t in range(4)], axis=1)
    p = np.exp(own).reshape(4, 4, 4, 4, 4, 3)

    def mean(grid, hidden):
        seen = tuple(3 if t in hidden else grid[t] for t in range(4))
        rest = (p[seen][t, grid[t]] * mean(grid, hidden - {t}) for t in hidden)
        return sum(rest) / len(hidden) if hidden else 1.0

    return np.array([mean(grid, frozenset(range(4))) for grid in GRIDS.reshape(81, 4)])


class TestDiffusion:
    def test_writes_what_the_model_says_in_a_random_order(self):
        """That is, what its bound is of; MaskGIT's order favours codes that are probable."""
        n, expected = 4000, in_random_order()
        assert expected.sum() == pytest.approx(1, abs=1e-6)
        counts = []
        for made in (MASKED, TINY_MASKGIT):
            sample = jax.jit(partial(made.sample, n=n, labels=np.tile(LABELS, (n, 1))))
            found = np.asarray(sample(state_of("raster"), jax.random.key(10)))
            counts.append(np.bincount(found.reshape(n, 4) @ 3 ** np.arange(4)[::-1], minlength=81))
        assert agrees(counts[0], n * expected)
        assert not agrees(counts[1], n * expected)


@pytest.mark.parametrize(("order", "passes", "other"), [(diffusion, 14, 12), (maskgit, 12, 14)])
def test_by_default_diffusion_takes_a_pass_for_each_code(order, passes, other):
    made = made_of((14,), 1, 5, order=order)
    state = begun(made)

    def sample(**how):
        return np.asarray(jax.jit(partial(made.sample, n=6, **how))(state, jax.random.key(11)))

    whole = sample()
    np.testing.assert_array_equal(whole, sample(passes=passes))
    assert not np.array_equal(whole, sample(passes=other))


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


@pytest.mark.parametrize("changes", [{"n": 0}, {"passes": 0}, {"rows_at_once": 0}])
def test_counts_below_one_are_refused(changes):
    (name,) = changes
    with pytest.raises(InputError, match=f"{name} must be at least 1, got 0"):
        MASKED.sample(state_of("raster"), jax.random.key(0), **{"n": 3, **changes})
