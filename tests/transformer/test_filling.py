"""Texts that are filled in window by window, against enumeration of a tiny model."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import transformer
from aigc_jax.errors import InputError
from aigc_jax.transformer import Architecture, all_maskable, diffusion, filling
from aigc_jax.transformer.interchange import save_folder
from aigc_jax.transformer.sampling import GREEDY, Sampling
from aigc_jax.transformer.unmasking import predictor

FLAT = Sampling(temperature=50.0)


def begun(vocabulary, context, factor):
    """Networks and parameters so large that what a token is depends on the others."""
    sizes = {"layers": 1, "heads": 1, "width": 6}
    networks = transformer.networks_of(Architecture(vocabulary, context, **sizes))
    params = jax.device_get(jax.jit(networks.init)(jax.random.key(0)))
    params = jax.tree.map(lambda x: factor * x, params)
    return networks, transformer.State(jnp.int32(0), jax.random.key(0), params, ())


@pytest.fixture(scope="module")
def model():
    """Of ten tokens and a mask, in windows of seven."""
    return begun(11, 7, 20)


jitted = jax.jit(
    filling.sample,
    static_argnums=(2, 4),
    static_argnames=("networks", "sampling", "passes", "rows_at_once"),
)


def draw(model, n, prompt, length, seed=0, **options):
    networks, state = model
    prompt = jnp.array(prompt, jnp.int32)
    key = jax.random.key(seed)
    return np.asarray(jitted(state, key, n, prompt, length, networks=networks, **options))


FULL = [5, 1, 2, 3, 4, 0, 9]  # a prompt of a whole context


@pytest.mark.parametrize(("prompt", "length"), [([], 5), (FULL, 7), ([8, 3], 13), (FULL, 8)])
def test_in_one_greedy_pass_each_window_is_the_most_probable_tokens(model, prompt, length):
    """Windows of seven, of which three are known and four are new."""
    networks, state = model
    predict = jax.jit(predictor(state.params, networks))
    row, known = list(prompt), list(prompt)
    while len(row) < length or not row:
        window = np.array([known + [10] * (7 - len(known))])
        best = np.asarray(predict(window))[0, :, :10].argmax(-1)
        new = [int(token) for token in best[len(known) :]]
        row, known = row + new, (known + new)[-3:]
    found = draw(model, 2, prompt, length, sampling=GREEDY, passes=1)
    np.testing.assert_array_equal(found, [row[:length]] * 2)


def test_texts_are_as_frequent_as_the_model_says_in_random_order():
    """Of three tokens in windows of three: two after a prompt of one, then two more after the last.

    So windows depend on each other by what is known, and not by their keys.
    """
    networks, state = begun(4, 3, 5)
    reads = np.array(list(itertools.product(range(4), repeat=3)), np.int32)
    logits = np.float64(jax.jit(lambda p: predictor(p, networks)(reads))(state.params))[..., :3]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    p = p.reshape(4, 4, 4, 3, 3)

    def of_two(known, a, b):
        first = p[known, 3, 3][1, a] * p[known, a, 3][2, b]
        return (first + p[known, 3, 3][2, b] * p[known, 3, b][1, a]) / 2

    texts = list(itertools.product(range(3), repeat=4))
    expected = 5000 * np.array([of_two(1, a, b) * of_two(b, c, d) for a, b, c, d in texts])
    found = draw((networks, state), 5000, [1], 5, seed=4)
    assert (found[:, 0] == 1).all()
    counts = np.bincount(found[:, 1:] @ 3 ** np.arange(4)[::-1], minlength=81)
    assert len(counts) == 81
    few = expected < 5
    counts, expected = (np.append(x[~few], x[few].sum()) for x in (counts, expected))
    assert len(counts) > 30
    statistic = (np.square(counts - expected) / expected).sum()
    assert statistic < len(counts) + 3 * (2 * len(counts)) ** 0.5


def test_rows_depend_on_their_index_alone(model):
    many = draw(model, 5, [4, 2], 18, sampling=FLAT)
    np.testing.assert_array_equal(
        draw(model, 3, [4, 2], 18, sampling=FLAT, rows_at_once=2), many[:3]
    )
    assert len({tuple(row) for row in many}) == 5
    assert (many[:, :2] == [4, 2]).all()
    assert many.max() <= 9
    # Of windows with each other's keys, nearly all of these would be equal.
    assert (many[:, 3:7] != many[:, 7:11]).mean() > 0.5
    assert (many[:, 7:11] != many[:, 11:15]).mean() > 0.5


@pytest.mark.parametrize(
    ("prompt", "length", "passes"), [([], 4, None), ([8, 3], 18, 2), (FULL, 11, None), (FULL, 7, 1)]
)
def test_pieces_are_the_first_row(model, prompt, length, passes):
    networks, state = model
    how = {"networks": networks, "sampling": FLAT, "passes": passes}
    given = np.array(prompt, np.int32)
    pieces = [*filling.stream(state.params, given, length, jax.random.key(3), **how)]
    row = draw(model, 2, prompt, length, seed=3, sampling=FLAT, passes=passes)[0]
    np.testing.assert_array_equal(np.concatenate([given, *pieces]), row)
    assert len(pieces) == (0 if length == 7 else 1 if length < 8 or prompt == FULL else 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"passes": 0}, "passes must be at least 1, got 0"),
        ({"rows_at_once": 0}, "rows_at_once must be at least 1, got 0"),
        ({"prompt": [10]}, "prompt must be from 0 to 9, got 10"),
        ({"prompt": [[1]]}, r"prompt must be of shape \[P\], got \(1, 1\)"),
        ({"prompt": [*FULL, 1]}, "a prompt of 8 tokens does not fit a length of 9 and a context"),
        ({"prompt": [1, 2], "length": 1}, "a prompt of 2 tokens does not fit a length of 1"),
        ({"prompt": [], "length": 0}, "a prompt of 0 tokens does not fit a length of 0"),
        ({"sampling": Sampling(repetition_penalty=1.2)}, "repetition_penalty must be 1"),
    ],
)
def test_what_cannot_be_written_is_refused(model, changes, message):
    networks, state = model
    given = {"n": 2, "prompt": [1], "length": 9, **changes}
    given["prompt"] = np.array(given["prompt"], np.int32)
    with pytest.raises(InputError, match=message):
        filling.sample(state, jax.random.key(0), networks=networks, **given)
    if not {"n", "rows_at_once"} & {*changes}:
        del given["n"]
        with pytest.raises(InputError, match=message):
            list(filling.stream(state.params, key=jax.random.key(0), networks=networks, **given))


class TestMake:
    CONFIG = transformer.Config(
        6, context=5, layers=1, heads=2, width=8, order=diffusion, dropout=0.2, ema_decay=0.9
    )

    def test_steps_and_samples_are_those_of_a_model_whose_last_id_is_the_mask(self, assert_close):
        tx, networks = optax.sgd(0.1), transformer.networks_of(self.CONFIG)
        objective = transformer.Objective(smoothing=0.1)
        config = dataclasses.replace(self.CONFIG, objective=objective, microbatches=2)
        made = transformer.make(config, tx=tx)
        state = jax.device_get(jax.jit(made.init)(jax.random.key(0)))
        batch = all_maskable(np.random.default_rng(0).integers(0, 5, (4, 5), np.int32))
        assert batch.maskable.all()
        plain = partial(
            transformer.masked_step,
            networks=networks,
            tx=tx,
            mask_id=5,
            choices=5,
            schedule=diffusion,
            objective=objective,
            microbatches=2,
            ema_decay=0.9,
        )

        @jax.jit
        def both(state, batch):
            rows = made.sample(state, jax.random.key(1), 3, jnp.array([4]), 7)
            return made.step(state, batch), plain(state, batch), rows

        found, expected, rows = both(state, batch)
        assert_close(found, expected)
        assert float(found[1].tokens) == pytest.approx(4 * 5, rel=1e-6)
        assert rows.shape == (3, 7)
        assert (rows[:, 0] == 4).all()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"encoder_layers": 1}, "a model with an encoder writes from the left"),
            ({"window": 3}, "--window is for models that write from the left"),
        ],
    )
    def test_what_only_models_from_the_left_have_is_refused(self, changes, message):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(self.CONFIG, **changes)

    def test_no_format_of_next_token_models_has_it(self, tmp_path):
        with pytest.raises(InputError, match="it fills in masked tokens, and the formats are of"):
            save_folder(tmp_path / "out", self.CONFIG, {})
        assert not (tmp_path / "out").exists()
