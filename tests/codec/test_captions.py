"""Captions by cross-attention: what they are, and a prior that is told them."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_priors import GRIDS, SGD, SOME, begun, config_of, log_p_of

from aigc_jax import transformer
from aigc_jax.codec import captions, prior, prior_config
from aigc_jax.codec.captions import Captions
from aigc_jax.codec.conditions import drop
from aigc_jax.codec.layouts import delay
from aigc_jax.codec.prior import Codes
from aigc_jax.errors import InputError
from aigc_jax.transformer import Source, padded_source
from aigc_jax.transformer.masking import bidirectional, diffusion, maskgit
from aigc_jax.transformer.sampling import GREEDY

TOLD = Captions(symbols=5, length=4, offset=20)  # 20 … 23, and 24, the end
TEXTS = np.array([[2, 1, 4, 0], [3, 4, 0, 0], [4, 0, 0, 0], [1, 1, 2, 4]])
LENGTHS = np.array([3, 2, 1, 4])


def told(rows, width=4):
    """The captions of some rows of TEXTS, each padded to a width."""
    tokens = np.pad(TEXTS, ((0, 0), (0, 3)))[list(rows), :width]
    return padded_source(jnp.asarray(tokens, jnp.int32), jnp.asarray(LENGTHS[list(rows)]))


class TestSource:
    def test_tokens_follow_the_conditions_and_nothing_is_the_end_alone(self):
        found = TOLD.source(Source(TEXTS, np.array([[1, 1, 1, 0]] + [[0] * 4] + [[1] * 4] * 2)), 4)
        expected = [[22, 21, 24, 20], [24, 20, 20, 20], [24, 20, 20, 20], [21, 21, 22, 24]]
        np.testing.assert_array_equal(found.tokens, expected)
        np.testing.assert_array_equal(found.segments.sum(1), [3, 1, 4, 4])
        assert {found.tokens.dtype, found.segments.dtype} == {jnp.dtype(jnp.int32)}
        np.testing.assert_array_equal(TOLD.source(None, 2).tokens, [[24], [24]])
        assert TOLD.end == 25

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (Source(np.full((2, 3), 5), np.ones((2, 3), int)), "captions must be from 0 to 4, got"),
            (Source(np.zeros((3, 3), int), np.ones((3, 3), int)), r"of shape \[2, S\], S from 1"),
            (Source(np.zeros((2, 5), int), np.ones((2, 5), int)), r"S from 1 to 4, got \(2, 5\)"),
            (Source(np.zeros((2, 0), int), np.ones((2, 0), int)), r"S from 1 to 4, got \(2, 0\)"),
            (Source(np.zeros((2, 3), int), np.ones((2, 2), int)), "segments must be of shape"),
            (Source(*[np.zeros((2, 3), int)] * 3), "captions must have no positions"),
            (np.zeros((2, 3), int), "captions must be a transformer.Source, as padded_source"),
        ],
    )
    def test_others_are_refused(self, given, message):
        with pytest.raises(InputError, match=message):
            TOLD.source(given, 2)

    def test_a_prior_without_captions_is_told_none(self):
        nothing = Captions(0, 0, 20)
        assert nothing.source(None, 3) is None
        assert nothing.end == 20
        with pytest.raises(InputError, match="captions are for a prior that is told them"):
            nothing.source(told([0]), 1)


def test_an_examples_labels_and_caption_are_dropped_together_and_as_often_as_the_rate():
    count, rate = 2000, 0.3
    of = prior.sequences(prior_config.raster((2,), 2, 3), (2, 3), 5, 4)
    keys = jax.random.split(jax.random.key(0), count)
    source = of.captions.source(told([0] * count), count)
    found = captions.drop(of.captions, source, keys, rate)
    dropped = np.asarray(found.segments.sum(1) == 1)
    assert abs(dropped.mean() - rate) < 4 * (rate * (1 - rate) / count) ** 0.5
    kept = jax.tree.map(lambda x: np.asarray(x)[~dropped], found)
    np.testing.assert_array_equal(kept.tokens, source.tokens[: len(kept.tokens)])
    np.testing.assert_array_equal(np.asarray(found.tokens)[dropped][:, 0], of.captions.end - 1)
    labels = drop(of.conditions, of.conditions.tokens([[1, 2]] * count, count), keys, rate)
    np.testing.assert_array_equal(labels[:, 0] == of.conditions.nulls[0], dropped)
    assert captions.drop(of.captions, source, keys, 0.0) is source


CONFIG = partial(config_of, (2,), 2, 3, (2, 3), caption_symbols=5, caption_length=7)
PRIORS = {
    "raster": CONFIG(),
    "delay": CONFIG(layout=delay),
    "maskgit": CONFIG(order=maskgit),
    "diffusion": CONFIG(order=diffusion),
}
RASTER = pytest.param("raster", marks=pytest.mark.all)  # as "delay", which has more to go wrong
LEFT = pytest.mark.parametrize("name", [RASTER, "delay"])
ALL = pytest.mark.parametrize("name", [RASTER, *(name for name in PRIORS if name != "raster")])
WRITERS = pytest.mark.parametrize("name", [RASTER, "delay", "maskgit"])
LABELS = np.array([1, 2])


@cache
def made_of(name):
    return prior_config.make(PRIORS[name], tx=SGD)


@cache
def state_of(name):
    """Those that differ in nothing but the order have one."""
    return begun(made_of("delay" if name == "delay" else "raster"))


@cache
def step_of(name, dropout=0.0):
    made = made_of(name)
    return jax.jit(partial(prior.step, **{**made.step.keywords, "label_dropout": dropout}))


@cache
def nll_of(name):
    """−log p of codes told LABELS, by caption: `nll(codes, captions)`."""
    compiled = jax.jit(made_of(name).nll)

    def nll(codes, told):
        keys = jax.random.split(jax.random.key(1), len(codes))
        batch = Codes(codes, np.tile(LABELS, (len(codes), 1)), told)
        return np.float64(compiled(state_of(name), batch, keys))

    return nll


@cache
def enumerated(name, text, weight=1.0):
    """log p of all 81 grids, by the network alone; guided away from what is told nothing."""
    made, networks = made_of(name), prior_config.networks_of(PRIORS[name])
    params = state_of(name).params
    offset = 8 if name == "delay" else 7  # of conditions: after codes, padding and a mask
    first = offset + 7  # of captions: after two values, three values, and a null of each

    @jax.jit
    def read(params, tokens, source):
        batch = transformer.next_tokens(tokens)._replace(source=source)
        return networks.logits(params, networks.hidden(params, batch))

    def logits(conditions, caption):
        tokens = prior.tokens_of(made.of, GRIDS, jnp.tile(jnp.array([conditions]), (81, 1)))
        row = jnp.tile(jnp.array([caption], jnp.int32) + first, (len(tokens), 1))
        found = read(params, tokens, Source(row, jnp.ones_like(row)))
        return np.float64(found).reshape(81, made.of.layout.sequences, -1, first + 5)[:, :, 1:]

    mixed = logits((offset + 1, offset + 5), TEXTS[text, : LENGTHS[text]])
    if weight != 1:
        untold = logits((offset + 2, offset + 6), [4])
        mixed = untold + weight * (mixed - untold)
    return log_p_of(name, mixed)


class TestLikelihood:
    @LEFT
    def test_is_normalised_over_codes_and_is_the_networks(self, name):
        found = nll_of(name)(GRIDS, told([1] * 81))
        np.testing.assert_allclose(found, -enumerated(name, 1), rtol=1e-5, atol=1e-5)
        assert np.exp(-found).sum() == pytest.approx(1, abs=2e-6)

    @ALL
    def test_every_token_of_a_caption_counts_and_its_padding_does_not(self, name):
        nll = nll_of(name)
        whole = nll(GRIDS[SOME], told([0] * 4))
        np.testing.assert_allclose(nll(GRIDS[SOME], told([0] * 4, 3)), whole, rtol=1e-6)
        other = told([0] * 4, 7)
        other = other._replace(tokens=other.tokens.at[:, 3:].set(3))
        np.testing.assert_allclose(nll(GRIDS[SOME], other), whole, rtol=1e-6)
        for place in range(3):
            changed = other._replace(tokens=other.tokens.at[:, place].set(0))
            assert np.abs(nll(GRIDS[SOME], changed) - whole).max() > 1e-3

    @LEFT
    def test_a_caption_that_is_missing_or_empty_is_null(self, name):
        nll = nll_of(name)
        expected = -enumerated(name, 2)
        np.testing.assert_allclose(nll(GRIDS, None), expected, rtol=1e-5, atol=1e-5)
        empty = Source(jnp.full((81, 4), 2), jnp.zeros((81, 4), int))
        np.testing.assert_allclose(nll(GRIDS, empty), expected, rtol=1e-5, atol=1e-5)


class TestStep:
    @LEFT
    def test_reports_the_loss_of_each_examples_own_caption(self, name):
        batch = Codes(GRIDS[SOME], np.tile(LABELS, (4, 1)), told(range(4)))
        _, info = step_of(name)(state_of(name), batch)
        expected = [-enumerated(name, text)[SOME[text]] for text in range(4)]
        assert float(info.nll_nats) == pytest.approx(np.sum(expected) / 16, rel=1e-5)

    @LEFT
    def test_captions_that_are_dropped_are_null_and_so_are_the_labels(self, name):
        batch = Codes(GRIDS[SOME], np.tile(LABELS, (4, 1)), told(range(4)))
        _, info = step_of(name, 1.0)(state_of(name), batch)
        expected = -enumerated(name, 2, weight=0.0)[SOME].mean() / 4
        assert float(info.nll_nats) == pytest.approx(expected, rel=1e-5)

    @ALL
    def test_moves_the_encoder(self, name):
        state = state_of(name)
        batch = Codes(GRIDS[SOME], np.tile(LABELS, (4, 1)), told(range(4)))
        after = jax.device_get(step_of(name)(state, batch)[0].params)
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after, state.params)["params"]
        assert min(jax.tree.leaves(moved["encoder"])) > 0
        assert moved["source_positions"] > 0


def sampled(name, n=3, **how):
    made, labels = made_of(name), np.tile(LABELS, (n, 1))
    sample = jax.jit(partial(made.sample, n=n, **{"labels": labels, **how}))
    return np.asarray(sample(state_of(name), jax.random.key(4)))


class TestSamples:
    @pytest.mark.parametrize(("name", "weight"), [("raster", 2.0), ("delay", 1.0), ("delay", 2.0)])
    def test_are_as_frequent_as_they_are_probable(self, name, weight):
        n = 4000
        found = sampled(name, n, captions=told([1] * n), guidance=weight)
        counts = np.bincount(found.reshape(n, 4) @ 3 ** np.arange(4)[::-1], minlength=81)
        p = np.exp(enumerated(name, 1, weight))
        expected = n * p / p.sum()
        error = np.abs(counts - expected) / np.sqrt(np.maximum(expected, 5))
        assert error.max() < 4.5
        assert np.abs(p / p.sum() - np.exp(enumerated(name, 3, weight))).max() > 0.02

    @ALL
    def test_at_guidance_1_nothing_is_told_nothing(self, name, monkeypatch):
        """Not a bit depends on the null caption's half of the rows, as there is none."""
        told_each = told([0, 1, 2, 3] * 2)
        plain = sampled(name, 8, captions=told_each)

        def fail(*_):
            raise AssertionError("rows were doubled")

        monkeypatch.setattr("aigc_jax.codec.writing.doubled", fail)
        monkeypatch.setattr("aigc_jax.codec.writing.unconditional", fail)
        one = sampled(name, 8, captions=told_each, guidance=1.0)
        np.testing.assert_array_equal(one, plain)

    @WRITERS
    def test_guidance_0_heeds_no_caption(self, name):
        for weight, differs in ((0.0, False), (0.5, True)):
            first, other = (
                sampled(name, 40, captions=told([i] * 40), guidance=weight) for i in (0, 3)
            )
            assert (first != other).any() == differs

    @WRITERS
    def test_each_row_has_its_own_caption_in_blocks_and_at_any_width(self, name):
        rows = [0, 3, 1, 2, 3]
        whole = sampled(name, 5, captions=told(rows), guidance=1.5)
        parts = sampled(name, 5, captions=told(rows, 7), guidance=1.5, rows_at_once=2)
        np.testing.assert_array_equal(parts, whole)
        turned = sampled(name, 5, captions=told([3, 0, 1, 2, 3]), guidance=1.5)
        np.testing.assert_array_equal(turned[2:], whole[2:])


def test_the_choice_under_guidance_of_one_pass_is_the_networks():
    """Of the last two codes, by MaskGIT, told a caption and no label."""
    name, rows = "maskgit", 36
    made, networks = made_of(name), prior_config.networks_of(PRIORS[name])
    params, texts = state_of(name).params, np.arange(rows) % 4
    prompts = GRIDS[9 * (np.arange(rows) // 4)]

    @jax.jit
    def read(source):
        tokens = prior.tokens_of(made.of, prompts, made.of.conditions.tokens(None, rows))
        tokens = tokens.at[:, -2:].set(made.of.mask_id)
        states = networks.hidden(params, bidirectional(tokens, source=source))
        return networks.logits(params, states)[:, -2:]

    def choice(logits):
        return np.stack([logits[:, 0, :3].argmax(-1), logits[:, 1, 3:6].argmax(-1)], axis=1)

    asked = told(texts)
    known = np.float64(read(asked._replace(tokens=asked.tokens + 14)))
    null = np.float64(read(Source(jnp.full((rows, 1), 18), jnp.ones((rows, 1), int))))
    expected = choice(null + 3 * (known - null))
    how = {"captions": asked, "guidance": 3.0, "passes": 1, "labels": None}
    found = sampled(name, rows, prompt=prompts[:, :1], sampling=GREEDY, **how)
    np.testing.assert_array_equal(found[:, 1], expected)
    assert (expected != choice(known)).any()


def test_captions_need_a_length():
    with pytest.raises(InputError, match="needs a caption_length of at least 1"):
        prior_config.make(config_of((2,), 1, 3, caption_symbols=5))


def test_a_prior_that_is_told_captions_alone_can_be_guided():
    made = prior_config.make(config_of((2,), 1, 3, caption_symbols=5, caption_length=4), tx=SGD)
    sample = partial(made.sample, n=2, captions=told([0, 3]), guidance=2.0)
    found = jax.jit(sample)(jax.jit(made.init)(jax.random.key(0)), jax.random.key(1))
    assert found.shape == (2, 2, 1)
    assert made.step.keywords["label_dropout"] == 0.1
