"""Texts from a Transformer: the decoding core, bound to networks with a cache."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel, transformer
from aigc_jax.transformer import Architecture, Batch, decode
from aigc_jax.transformer.generation import generate
from aigc_jax.transformer.sampling import GREEDY, Sampling

CONTEXT, V = 8, 11


@pytest.fixture(scope="module")
def model():
    networks = transformer.networks_of(Architecture(V, CONTEXT, layers=2, heads=2, width=8))
    params = jax.device_get(jax.jit(networks.init)(jax.random.key(0)))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: p + rng.normal(size=p.shape).astype(np.float32), params)
    state = transformer.State(jnp.int32(0), jax.random.key(0), params, ())
    return networks, state


jitted = jax.jit(
    transformer.sample,
    static_argnums=(2, 4),
    static_argnames=("networks", "sampling", "stop", "rows_at_once"),
)


def draw(model, n, prompt, length, seed=0, **options):
    networks, state = model
    rows = jitted(
        state, jax.random.key(seed), n, jnp.array(prompt, int), length, networks=networks, **options
    )
    return np.asarray(rows)


@partial(jax.jit, static_argnums=0)
def logits_of(networks, params, tokens, prefix=None):
    batch = Batch(tokens, tokens, jnp.ones(tokens.shape), prefix=prefix)
    return networks.logits(params, networks.hidden(params, batch))


def most_probable(model, row, prefix=None):
    """What is most probable after a row, by a pass over the whole of it."""
    networks, state = model
    padded = jnp.zeros((1, CONTEXT), int).at[0, : len(row)].set(jnp.asarray(row))
    return int(logits_of(networks, state.params, padded, prefix)[0, len(row) - 1].argmax())


def greedily(model, prompt, length):
    """Token by token with whole passes and no cache, in windows that move by half a context."""
    row, window = list(prompt), list(prompt)
    while len(row) < length:
        if len(window) == CONTEXT:
            window = window[CONTEXT // 2 :]
        token = most_probable(model, window)
        row.append(token)
        window.append(token)
    return row


@pytest.mark.parametrize("prompt", [[0], [0, 0, 3], [5, 1, 2, 3, 4, 0, 7, 7]])
@pytest.mark.parametrize("length", [8, 9, 12, 21])
def test_greedy_texts_are_those_of_whole_passes_also_beyond_the_context(model, prompt, length):
    rows = draw(model, 2, prompt, length, sampling=GREEDY)
    np.testing.assert_array_equal(rows, [greedily(model, prompt, length)] * 2)


def test_rows_differ_and_do_not_depend_on_how_many_are_drawn(model):
    flat = Sampling(temperature=50.0)
    few, many = (draw(model, n, [0], 40, sampling=flat) for n in (2, 6))
    np.testing.assert_array_equal(few, many[:2])
    assert len({tuple(row) for row in many}) == 6


@pytest.mark.parametrize("rows_at_once", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("length", [8, 21])
def test_rows_do_not_depend_on_how_many_are_written_at_once(model, length, rows_at_once):
    flat = Sampling(temperature=50.0)
    rows = draw(model, 5, [0, 2], length, sampling=flat, rows_at_once=rows_at_once)
    np.testing.assert_array_equal(rows, draw(model, 5, [0, 2], length, sampling=flat))


@pytest.mark.parametrize("token", [-1, 10**6, 0.5])
def test_what_is_no_token_is_no_prompt(model, token):
    networks, state = model
    prompt = jnp.array([0, token])
    with pytest.raises(ValueError, match="tokens of a prompt must be"):
        transformer.sample(state, jax.random.key(0), 1, prompt, 4, networks=networks)


def test_no_rows_at_once_are_refused(model):
    with pytest.raises(ValueError, match="rows_at_once must be at least 1, got 0"):
        draw(model, 5, [0], 8, rows_at_once=0)


@pytest.mark.parametrize("given", [1, 60, 199, 200])
def test_a_text_whose_cache_grows_is_that_of_a_cache_of_full_size(given):
    networks = transformer.networks_of(Architecture(V, 200, layers=1, heads=2, width=8, scan=True))
    params = networks.init(jax.random.key(0))
    params = jax.tree.map(lambda p: 10 * p, params)
    state = transformer.State(jnp.int32(0), jax.random.key(0), params, ())
    prompt = np.random.default_rng(0).integers(0, V, given)
    cache = networks.start(params, 2, 200)
    keys, extend = (
        parallel.example_keys(jax.random.key(0), 2),
        transformer.extender(params, networks),
    )
    prompts, lengths = jnp.asarray(np.stack([prompt] * 2)), jnp.full((2,), given)
    expected, _ = jax.jit(partial(generate, extend), static_argnums=3)(
        cache, prompts, lengths, 200, keys
    )
    actual = draw((networks, state), 2, prompt, 200)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("given", "length", "rooms"),
    [
        (8, 264, [136, 264]),
        (5, 9, [9]),
        (5, 70, [70]),
        (5, 134, [69, 134]),
        (7, 7, [7]),
        (1, 1024, [512, 1024]),
    ],
)
def test_the_cache_grows_in_stages_none_of_which_is_short(given, length, rooms):
    assert decode._rooms(given, length) == rooms


def test_windows_have_randomness_of_their_own(model):
    """Were keys those of positions alone, all windows would be drawn with the same numbers."""
    row = draw(model, 1, [0], 8 + 4 * 6, sampling=Sampling(temperature=1e6))[0]
    windows = row[8:].reshape(6, 4)
    assert len({tuple(window) for window in windows}) > 4
    assert tuple(row[4:8]) != tuple(windows[0])


@pytest.mark.parametrize("length", [8, 21])
def test_what_comes_before_a_stop_is_what_comes_without(model, length):
    flat = Sampling(temperature=50.0)
    free, stopped = (draw(model, 6, [0], length, sampling=flat, stop=s) for s in ((), (3, 4)))
    for a, b in zip(free, stopped, strict=True):
        ends = np.flatnonzero(np.isin(a[1:], (3, 4)))
        end = 2 + int(ends[0]) if len(ends) else length
        np.testing.assert_array_equal(a[:end], b[:end])
        if end < 8:
            assert not b[end:8].any()


def test_the_average_is_sampled_from_where_there_is_one(model):
    networks, state = model
    other = jax.tree.map(lambda p: -p, state.params)
    averaged = state._replace(params=other, ema=state.params)
    np.testing.assert_array_equal(
        draw((networks, averaged), 1, [0], 8, sampling=GREEDY),
        draw(model, 1, [0], 8, sampling=GREEDY),
    )


@pytest.mark.parametrize(
    ("prompt", "length"),
    [([], 4), ([1, 2, 3], 2), ([1] * 9, 20)],
)
def test_prompts_that_do_not_fit_are_refused(model, prompt, length):
    with pytest.raises(ValueError, match="does not fit"):
        draw(model, 1, prompt, length)


def test_a_prefix_that_is_attended_both_ways_is_generated_from(model):
    networks, state = model
    prompt, prefix = jnp.array([[1, 2, 3, 4]]), jnp.array([4])
    extend = transformer.extender(state.params, networks, prefix)
    cache = networks.start(state.params, 1, CONTEXT)
    lengths, keys = jnp.array([4]), jax.random.split(jax.random.key(0), 1)
    tokens, _ = generate(extend, cache, prompt, lengths, CONTEXT, keys, sampling=GREEDY)
    row = [1, 2, 3, 4]
    while len(row) < CONTEXT:
        row.append(most_probable(model, row, prefix))
    np.testing.assert_array_equal(tokens[0], row)


@pytest.fixture(scope="module")
def translator():
    config = transformer.tiny_mt(
        V,
        context=CONTEXT,
        source_context=3,
        layers=1,
        encoder_layers=1,
        heads=2,
        width=8,
        tied=False,
    )
    algorithm = transformer.make(config)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    rng = np.random.default_rng(1)

    def shaken(p):  # matrices: biases would be louder than any source
        return p + rng.normal(size=p.shape).astype(np.float32) if p.ndim > 1 else p

    ema = jax.tree.map(shaken, state.ema)
    return algorithm, state._replace(ema=ema)


class TestSource:
    """What an encoder reads: asked for where there is one, and refused where there is none."""

    SOURCE = transformer.Source(
        jnp.array([[1, 2, 3], [4, 5, 0], [6, 7, 8]]), jnp.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]])
    )

    @pytest.mark.parametrize(("length", "at_once"), [(6, None), (6, 2), (11, 2)])
    def test_each_row_is_written_from_its_own_source(self, translator, length, at_once):
        algorithm, state = translator

        def write(state, source, n, at_once):
            return algorithm.sample(
                state,
                jax.random.key(3),
                n,
                jnp.array([1]),
                length,
                sampling=GREEDY,
                source=source,
                rows_at_once=at_once,
            )

        write = jax.jit(write, static_argnums=(2, 3))
        together = np.asarray(write(state, self.SOURCE, 3, at_once))
        for i, row in enumerate(together):
            own = jax.tree.map(lambda x, i=i: x[i : i + 1], self.SOURCE)
            np.testing.assert_array_equal(write(state, own, 1, None)[0], row)
        assert len({tuple(row) for row in together}) > 1

    def test_a_translator_without_a_source_is_refused(self, translator):
        algorithm, state = translator
        key, prompt, tokens = jax.random.key(0), jnp.array([1]), jnp.zeros((2, CONTEXT + 1), int)
        with pytest.raises(ValueError, match=r"^source is missing: .*transformer\.Source$"):
            algorithm.sample(state, key, 2, prompt, 5)
        with pytest.raises(ValueError, match=r"^source is missing"):
            algorithm.step(state, transformer.next_tokens(tokens))
        networks = transformer.networks_of(transformer.tiny_mt(V, context=CONTEXT, width=8))
        with pytest.raises(ValueError, match=r"^source is missing"):
            transformer.heldout_nll({}, np.arange(9), networks=networks)
        with pytest.raises(ValueError, match=r"^source is missing"):
            networks.start({}, 1, 4)
        with pytest.raises(ValueError, match="source has 3 rows, and there are to be 2"):
            algorithm.sample(state, key, 2, prompt, 5, source=self.SOURCE)

    def test_a_source_that_nothing_reads_is_refused(self, model):
        networks, state = model
        rows = jnp.zeros((3, 4), int)
        with pytest.raises(ValueError, match=r"^source is of models with an encoder"):
            draw(model, 3, [1], 5, source=self.SOURCE)
        with pytest.raises(ValueError, match=r"^source is of models with an encoder"):
            networks.hidden(state.params, Batch(rows, rows, rows, source=self.SOURCE))
