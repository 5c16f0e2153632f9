"""What is written with a Transformer: rows, pieces of one, and translations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel, transformer
from aigc_jax.transformer import Architecture, Batch
from aigc_jax.transformer.generation import generate
from aigc_jax.transformer.sampling import GREEDY, Sampling
from aigc_jax.transformer.stream import _cache_sizes

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
    padded = np.zeros((1, CONTEXT), int)
    padded[0, : len(row)] = row
    logits = np.asarray(logits_of(networks, state.params, padded, prefix))
    return int(logits[0, len(row) - 1].argmax())


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


FULL = [5, 1, 2, 3, 4, 0, 7, 7]  # a prompt of a whole context


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ([0], 8),
        (FULL, 8),
        (FULL, 9),
        ([0, 0, 3], 12),
        ([0], 21),
        pytest.param([0], 9, marks=pytest.mark.all),
        pytest.param([0], 12, marks=pytest.mark.all),
        pytest.param([0, 0, 3], 8, marks=pytest.mark.all),
        pytest.param([0, 0, 3], 9, marks=pytest.mark.all),
        pytest.param([0, 0, 3], 21, marks=pytest.mark.all),
        pytest.param(FULL, 12, marks=pytest.mark.all),
        pytest.param(FULL, 21, marks=pytest.mark.all),
    ],
)
def test_greedy_texts_are_those_of_whole_passes_also_beyond_the_context(model, prompt, length):
    rows = draw(model, 2, prompt, length, sampling=GREEDY)
    np.testing.assert_array_equal(rows, [greedily(model, prompt, length)] * 2)


def test_rows_differ_and_do_not_depend_on_how_many_are_drawn(model):
    flat = Sampling(temperature=50.0)
    few, many = (draw(model, n, [0], 21, sampling=flat) for n in (2, 6))
    np.testing.assert_array_equal(few, many[:2])
    assert len({tuple(row) for row in many}) == 6


@pytest.mark.parametrize(
    ("length", "rows_at_once"),
    [
        (8, 2),
        (21, 1),
        (21, 4),
        (8, 5),
        (21, 9),
        pytest.param(8, 1, marks=pytest.mark.all),
        pytest.param(8, 4, marks=pytest.mark.all),
        pytest.param(8, 9, marks=pytest.mark.all),
        pytest.param(21, 2, marks=pytest.mark.all),
        pytest.param(21, 5, marks=pytest.mark.all),
    ],
)
def test_rows_do_not_depend_on_how_many_are_written_at_once(model, length, rows_at_once):
    flat = Sampling(temperature=50.0)
    rows = draw(model, 5, [0, 2], length, sampling=flat, rows_at_once=rows_at_once)
    np.testing.assert_array_equal(rows, draw(model, 5, [0, 2], length, sampling=flat))


def test_no_rows_at_once_are_refused(model):
    with pytest.raises(ValueError, match="rows_at_once must be at least 1, got 0"):
        draw(model, 5, [0], 8, rows_at_once=0)


@pytest.fixture(scope="module")
def long_model():
    networks = transformer.networks_of(Architecture(V, 200, layers=1, heads=2, width=8, scan=True))
    params = jax.device_get(jax.jit(networks.init)(jax.random.key(0)))
    params = jax.tree.map(lambda p: 10 * p, params)
    return networks, transformer.State(jnp.int32(0), jax.random.key(0), params, ())


@pytest.mark.parametrize("given", [1, 60, 199, 200])
def test_a_text_whose_cache_grows_is_that_of_a_cache_of_full_size(long_model, given):
    networks, state = long_model
    prompt = np.random.default_rng(0).integers(0, V, given)

    @jax.jit
    def at_full_size(params, prompts):
        extend, cache = transformer.extender(params, networks), networks.start(params, 2, 200)
        lengths, keys = jnp.full((2,), given), parallel.example_keys(jax.random.key(0), 2)
        return generate(extend, cache, prompts, lengths, 200, keys)

    expected, _ = at_full_size(state.params, np.stack([prompt] * 2))
    actual = draw(long_model, 2, prompt, 200)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("given", "length", "sizes"),
    [
        (8, 264, [136, 264]),
        (5, 9, [9]),
        (5, 70, [70]),
        (5, 134, [69, 134]),
        (7, 7, [7]),
        (1, 1024, [512, 1024]),
    ],
)
def test_the_cache_grows_in_stages_none_of_which_is_short(given, length, sizes):
    assert _cache_sizes(given, length) == sizes


def pieces_of(model, prompt, length, seed=0, **options):
    networks, state = model
    key, prompt = jax.random.key(seed), np.array(prompt)
    pieces = transformer.stream(state.params, prompt, length, key, networks=networks, **options)
    return list(pieces)


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ([0], 8),
        (FULL, 8),
        (FULL, 9),
        ([0], 30),
        pytest.param([0], 9, marks=pytest.mark.all),
        pytest.param(FULL, 30, marks=pytest.mark.all),
    ],
)
def test_pieces_are_the_first_row_of_what_is_sampled(model, prompt, length):
    flat = Sampling(temperature=50.0, top_k=9)
    pieces = pieces_of(model, prompt, length, seed=3, sampling=flat)
    expected = draw(model, 2, prompt, length, seed=3, sampling=flat)[0]
    np.testing.assert_array_equal([*prompt, *(t for piece in pieces for t in piece)], expected)
    assert all(len(piece) for piece in pieces)


def test_pieces_end_with_the_first_stop_in_whichever_window(model):
    flat = Sampling(temperature=50.0)
    free = np.concatenate(pieces_of(model, [0], 60, sampling=flat))
    firsts = {int(token): i for i, token in reversed([*enumerate(free)])}
    early, late = (kind(firsts, key=firsts.get) for kind in (min, max))
    assert firsts[early] < CONTEXT < firsts[late]
    for stop in (early, (late,)):
        stopped = np.concatenate(pieces_of(model, [0], 60, sampling=flat, stop=stop))
        end = firsts[early if stop == early else late] + 1
        np.testing.assert_array_equal(stopped, free[:end])


def test_a_second_text_is_written_by_the_programs_of_the_first(model):
    networks, state = model
    traces = []

    def extend(*arguments):
        traces.append(None)
        return networks.extend(*arguments)

    counting = networks._replace(extend=extend)
    pieces_of((counting, state), [0, 1], 20)
    first = len(traces)
    pieces_of((counting, state), [4, 2], 20, seed=1)
    assert len(traces) == first > 0


def test_prompts_of_different_lengths_are_completed_as_if_alone(model):
    networks, state = model
    complete = jax.jit(
        transformer.complete, static_argnames=("length", "networks", "sampling", "stop")
    )
    keys = parallel.example_keys(jax.random.key(0), 3)
    prompts, lengths = np.array([[1, 2, 3], [4, 9, 9], [0, 5, 9]]), np.array([3, 1, 2])

    def completed(rows, columns):
        how = {"sampling": Sampling(temperature=5.0), "stop": (6,), "length": CONTEXT}
        own = prompts[rows, :columns], lengths[rows], keys[rows]
        return jax.device_get(complete(state.params, *own, networks=networks, **how))

    tokens, ends = completed(slice(None), 3)
    for i, length in enumerate([3, 1, 2]):
        (row,), (end,) = completed(slice(i, i + 1), length)
        np.testing.assert_array_equal(row, tokens[i])
        np.testing.assert_array_equal(row[:length], prompts[i, :length])
        assert end == ends[i] == np.max(np.flatnonzero(row)) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": jnp.array([1, 2])}, r"prompts must be of shape \[B, P\], got \(2,\)"),
        ({"prompts": jnp.full((2, 3), V)}, f"prompts must be from 0 to {V - 1}, got {V}"),
        ({"lengths": jnp.array([1])}, r"lengths must be of shape \(2,\), got \(1,\)"),
        ({"keys": jax.random.key(0)}, r"keys must be of shape \(2,\), got \(\)"),
        ({"length": 2}, "prompts of 3 tokens do not fit a length of 2"),
        ({"length": CONTEXT + 2}, f"rows of {CONTEXT + 2} tokens do not fit context={CONTEXT}"),
    ],
)
def test_what_cannot_be_completed_is_refused(model, change, message):
    networks, state = model
    given = {"prompts": jnp.ones((2, 3), int), "lengths": jnp.ones(2, int), "length": CONTEXT}
    given |= {"keys": jax.random.split(jax.random.key(0), 2), **change}
    with pytest.raises(ValueError, match=message):
        transformer.complete(state.params, **given, networks=networks)


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
        draw((networks, averaged), 2, [0], 8, sampling=GREEDY),
        draw(model, 2, [0], 8, sampling=GREEDY),
    )


@pytest.mark.parametrize(
    ("prompt", "length"),
    [([], 4), ([1, 2, 3], 2), ([1] * 9, 20)],
)
def test_prompts_that_do_not_fit_are_refused(model, prompt, length):
    with pytest.raises(ValueError, match="does not fit"):
        draw(model, 1, prompt, length)


@pytest.mark.parametrize(
    ("n", "prompt", "message"),
    [
        (0, [1], "n must be at least 1, got 0"),
        (2, [[1, 2], [3, 4]], r"prompt must be of shape \[P\], got \(2, 2\)"),
        (2, [V], f"prompt must be from 0 to {V - 1}, got {V}"),
        (2, [-1], f"prompt must be from 0 to {V - 1}, got -1"),
        (2, [1.0], "prompt must be integers, got float32"),
    ],
)
def test_a_prompt_that_is_none_of_the_model_s_is_refused(model, n, prompt, message):
    networks, state = model
    with pytest.raises(ValueError, match=message):
        transformer.sample(state, jax.random.key(0), n, jnp.array(prompt), 6, networks=networks)


def test_a_prefix_that_is_attended_both_ways_is_generated_from(model):
    networks, state = model
    prompt, prefix = np.array([[1, 2, 3, 4]]), np.array([4])

    @jax.jit
    def written(params, prompt, prefix):
        extend = transformer.extender(params, networks, prefix)
        cache = networks.start(params, 1, CONTEXT)
        lengths, keys = jnp.array([4]), jax.random.split(jax.random.key(0), 1)
        return generate(extend, cache, prompt, lengths, CONTEXT, keys, sampling=GREEDY)

    tokens = np.asarray(written(state.params, prompt, prefix)[0])
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


SOURCE = transformer.Source(
    jnp.array([[1, 2, 3], [4, 5, 0], [6, 7, 8]]), jnp.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]])
)
TOKENS = {"begin": 1, "stop": 2}


def translating(algorithm, **how):
    return jax.jit(partial(algorithm.translate, **TOKENS, **how))


class TestTranslate:
    def test_each_row_is_translated_from_its_own_source(self, translator):
        algorithm, state = translator
        translate, source = translating(algorithm, beams=3), jax.device_get(SOURCE)
        together = jax.device_get(translate(state, source))
        assert together.tokens.shape == (3, 3, CONTEXT + 1)
        for i in range(3):
            own = jax.tree.map(lambda x, i=i: x[i : i + 1], source)
            alone = jax.device_get(translate(state, own))
            np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])
            np.testing.assert_allclose(alone.scores[0], together.scores[i], rtol=1e-5)
        assert len({tuple(row) for row in together.tokens[:, 0]}) > 1
        assert (together.tokens[:, :, 0] == 1).all()
        assert (np.diff(together.scores) <= 0).all()

    def test_one_beam_is_greedy_decoding_by_the_average(self, translator):
        algorithm, state = translator
        networks = algorithm.translate.keywords["networks"]
        translate = translating(algorithm, beams=1, alpha=0.0, length=CONTEXT)
        found = jax.device_get(translate(state, SOURCE))

        @jax.jit
        def greedy(params):
            cache, ones = networks.start(params, 3, CONTEXT, SOURCE), jnp.ones(3, int)
            extend, keys = transformer.extender(params, networks), jax.random.split(state.key, 3)
            begun = extend, cache, ones[:, None], ones
            return generate(*begun, CONTEXT, keys, sampling=GREEDY, stop=2)

        tokens, lengths = greedy(state.ema)
        np.testing.assert_array_equal(found.tokens[:, 0], tokens)
        np.testing.assert_array_equal(found.lengths[:, 0], lengths)

    def test_padding_of_a_source_changes_nothing(self, translator):
        algorithm, state = translator
        tokens = jnp.array([[4, 5, 9]])
        padded = transformer.padded_source(tokens, jnp.array([2]))
        bare = transformer.padded_source(tokens[:, :2], jnp.array([2]))
        found = [translating(algorithm, length=6)(state, source) for source in (padded, bare)]
        np.testing.assert_array_equal(found[0].tokens, found[1].tokens)

    @pytest.mark.parametrize(
        ("source", "told", "message"),
        [
            (None, {}, r"^source is missing: .*transformer\.Source$"),
            (jnp.ones((2, 3), int), {}, r"source must be .*Source, got an array of shape \(2, 3\)"),
            ([[1, 2]], {}, r"source must be a transformer\.Source, got list"),
            (SOURCE, {"begin": V}, f"begin must be from 0 to {V - 1}, got {V}"),
            (SOURCE, {"stop": -1}, f"stop must be from 0 to {V - 1}, got -1"),
            (SOURCE, {"length": 1}, f"length must be from 2 to {CONTEXT + 1}, got 1"),
            (SOURCE, {"length": CONTEXT + 2}, f"length must be from 2 to {CONTEXT + 1}"),
        ],
    )
    def test_what_cannot_be_translated_is_refused(self, translator, source, told, message):
        algorithm, state = translator
        with pytest.raises(ValueError, match=message):
            algorithm.translate(state, source, **{**TOKENS, **told})

    @pytest.mark.parametrize(
        ("told", "message"),
        [
            ({"beams": 0}, "beams must be at least 1, got 0"),
            ({"alpha": -1.0}, "alpha must not be negative"),
        ],
    )
    def test_no_search_of_that_kind_is_refused(self, translator, told, message):
        """After the source has been encoded, hence traced alone."""
        algorithm, state = translator
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda: algorithm.translate(state, SOURCE, **TOKENS, **told))

    def test_a_source_must_be_given(self, translator):
        algorithm, state = translator
        with pytest.raises(TypeError, match="source"):
            algorithm.translate(state, **TOKENS)

    def test_neither_algorithm_has_what_it_cannot_do(self, translator, model):
        algorithm, state = translator
        assert algorithm._fields == ("init", "step", "translate")
        assert transformer.make(transformer.nano(V))._fields == ("init", "step", "sample")
        networks, key = algorithm.translate.keywords["networks"], jax.random.key(0)
        with pytest.raises(ValueError, match=r"^source is missing"):
            transformer.sample(state, key, 2, jnp.array([1]), 5, networks=networks)
        networks, state = model
        with pytest.raises(ValueError, match=r"^source is for models with an encoder"):
            transformer.translate(state, SOURCE, networks=networks, **TOKENS)


class TestSource:
    """What an encoder reads: asked for where there is one, and refused where there is none."""

    def test_a_translator_without_a_source_is_refused(self, translator):
        algorithm, state = translator
        tokens = jnp.zeros((2, CONTEXT + 1), int)
        with pytest.raises(ValueError, match=r"^source is missing"):
            algorithm.step(state, transformer.next_tokens(tokens))
        networks = transformer.networks_of(transformer.tiny_mt(V, context=CONTEXT, width=8))
        with pytest.raises(ValueError, match=r"^source is missing"):
            transformer.heldout_nll({}, np.arange(9), networks=networks)
        with pytest.raises(ValueError, match=r"^source is missing"):
            networks.start({}, 1, 4)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"tokens": jnp.zeros((2, 0), int)}, r"source.tokens must be of shape \[B, S\], S at"),
            ({"tokens": jnp.zeros(2, int)}, r"source.tokens must be of shape .*, got \(2,\)"),
            ({"segments": jnp.ones((1, 3), int)}, r"source.segments must be of shape \(2, 3\)"),
            ({"positions": jnp.ones((2, 2), int)}, r"source.positions must be of shape \(2, 3\)"),
            ({"tokens": jnp.full((2, 3), V)}, rf"source.tokens must be from 0 to {V - 1}, got {V}"),
            ({"tokens": jnp.zeros((2, 3))}, "source.tokens must be integers, got float32"),
        ],
    )
    def test_a_source_that_cannot_be_read_is_refused(self, translator, changes, message):
        algorithm, state = translator
        source = transformer.Source(jnp.zeros((2, 3), int), jnp.ones((2, 3), int))
        with pytest.raises(ValueError, match=message):
            algorithm.translate(state, source._replace(**changes), **TOKENS)

    def test_a_source_that_nothing_reads_is_refused(self, model):
        networks, state = model
        rows = jnp.zeros((3, 4), int)
        with pytest.raises(ValueError, match=r"^source is for models with an encoder"):
            networks.hidden(state.params, Batch(rows, rows, rows, source=SOURCE))
