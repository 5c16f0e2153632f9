"""The Transformers: causality by gradient, counts, the cache, and two families' blocks in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer
from aigc_jax.transformer import (
    LLAMA_BLOCKS,
    TEXTBOOK_BLOCKS,
    Architecture,
    Batch,
    Positions,
    Source,
)

V, T, L, N, D = 11, 8, 2, 4, 16
SIZES = {"context": T, "layers": L, "heads": N, "width": D}
VARIANTS = {
    "gpt2": {},
    "textbook": TEXTBOOK_BLOCKS,
    "llama": {**LLAMA_BLOCKS, "num_kv_heads": 2, "hidden": 24},
    "query-key-norm": {"query_key_norm": True, "positions": Positions.ROTARY},
    "window": {"window": 3},
    "caps": {"score_cap": 0.5, "logit_cap": 2.0},
    "grid": {"axes": (3, 2)},
    "stacked": {"scan": True, "remat": True},
    "translator": {"encoder_layers": 2, "source_context": 5},
    "stacked-translator": {"encoder_layers": 2, "source_context": 5, "scan": True},
}


def drawn(init, seed=2, size=0.3):
    """Parameters none of which are 0 or 1, by NumPy: compiled, `init` takes longer than most tests.

    As in those of `init`, scales are about 1 and all else about 0.
    """
    rng, shapes = np.random.default_rng(seed), jax.eval_shape(init, jax.random.key(0))

    def leaf(path, p):
        about = 1.0 if path[-1].key == "scale" else 0.0
        return np.asarray(about + size * rng.normal(size=p.shape), p.dtype)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def made(**changes):
    """A network, its functions compiled, and parameters."""
    plain = transformer.networks_of(Architecture(V, **{**SIZES, **changes}))
    networks = plain._replace(
        hidden=jax.jit(plain.hidden),
        logits=jax.jit(plain.logits),
        start=jax.jit(plain.start, static_argnums=(1, 2)),
        extend=jax.jit(plain.extend),
    )
    return networks, drawn(plain.init)


@pytest.fixture(params=VARIANTS, scope="module")
def model(request):
    networks, params = made(**VARIANTS[request.param])
    source = None
    if "translator" in request.param:
        rng = np.random.default_rng(5)
        segments = np.arange(5)[None] < np.array([5, 3, 1])[:, None]
        source = Source(rng.integers(0, V, (3, 5)), np.int32(segments))
    return networks, params, source


def logits_of(networks, params, tokens, **more):
    batch = Batch(tokens, tokens, np.ones(np.shape(tokens), np.float32), **more)
    return jax.device_get(networks.logits(params, networks.hidden(params, batch)))


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).integers(0, V, (3, T))


def test_logits_are_float32_and_one_for_each_symbol(model, tokens):
    networks, params, source = model
    logits = logits_of(networks, params, tokens, source=source)
    assert logits.shape == (3, T, V)
    assert logits.dtype == jnp.float32


def test_later_tokens_do_not_change_earlier_logits(model, tokens):
    networks, params, source = model
    before = logits_of(networks, params, tokens, source=source)
    changed = np.where(np.arange(T) == 4, V - tokens, tokens)
    after = logits_of(networks, params, changed, source=source)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert not np.allclose(before[:, 4:], after[:, 4:])


def test_shorter_inputs_are_prefixes(model, tokens):
    networks, params, source = model
    whole = logits_of(networks, params, tokens, source=source)
    short = logits_of(networks, params, tokens[:, :3], source=source)
    np.testing.assert_allclose(whole[:, :3], short, rtol=1e-4, atol=1e-5)


# Pieces of few sizes, and those that the next test has too: each size is a program.
@pytest.mark.parametrize("parts", [[8], [3, 1, 1, 1, 1, 1], [1] * 8, [3, 3, 1, 1]])
def test_logits_with_a_cache_equal_those_of_the_whole_pass_at_every_position(model, tokens, parts):
    networks, params, source = model
    whole = logits_of(networks, params, tokens, source=source)
    cache = networks.start(params, 3, T, source)
    found, at = [], 0
    for part in parts:
        positions = np.broadcast_to(np.arange(at, at + part), (3, part))
        states, cache = networks.extend(params, cache, tokens[:, at : at + part], positions)
        found.append(np.asarray(states))
        at += part
    logits = networks.logits(params, np.concatenate(found, 1))
    np.testing.assert_allclose(logits, whole, rtol=1e-4, atol=1e-5)


def test_rows_of_different_lengths_share_a_cache(model, tokens):
    """What pads wrote lies in slots that a row's own tokens take before it can see them."""
    networks, params, source = model
    whole = logits_of(networks, params, tokens, source=source)
    lengths = np.array([3, 1, 2])
    padded = np.where(np.arange(3) < lengths[:, None], tokens[:, :3], V - 1)
    cache = networks.start(params, 3, T, source)
    order = np.broadcast_to(np.arange(3), (3, 3))
    _, cache = networks.extend(params, cache, padded, order)
    for i in range(5):
        positions = (lengths + i)[:, None]
        new = np.take_along_axis(tokens, positions, 1)
        states, cache = networks.extend(params, cache, new, positions)
        expected = np.take_along_axis(whole, positions[..., None], 1)
        np.testing.assert_allclose(networks.logits(params, states), expected, rtol=1e-4, atol=1e-5)


def test_every_array_of_a_cache_has_the_rows_first(model):
    networks, params, source = model
    assert {len(x) for x in jax.tree.leaves(networks.start(params, 3, T, source))} == {3}


def influence(networks, params, **more):
    """∂ logits[t] / ∂ (what enters at position s), summed up to whether there is any: `[T, T]`."""
    inputs = np.arange(T)[None] % V
    batch = Batch(inputs, inputs, np.ones((1, T), np.float32), **more)

    def response(positions):
        changed = {"params": {**params["params"], "positions": positions}}
        return jnp.sum(jnp.sin(networks.hidden(changed, batch)[0]), axis=-1)

    jacobian = jax.jit(jax.jacrev(response))(params["params"]["positions"])
    return (np.asarray(jacobian) != 0).any(-1)


def test_causality_by_gradient():
    np.testing.assert_array_equal(influence(*made()), np.tri(T, dtype=bool))


def test_a_prefix_is_attended_both_ways():
    seen = influence(*made(), prefix=np.array([3]))
    np.testing.assert_array_equal(seen, np.tri(T, dtype=bool) | (np.arange(T) < 3))


def test_a_window_of_one_layer_hides_what_is_further_back():
    seen = influence(*made(layers=1, window=3))
    np.testing.assert_array_equal(seen, np.tri(T, dtype=bool) & ~np.tri(T, k=-3, dtype=bool))


def test_a_prefix_is_attended_both_ways_through_the_cache(tokens):
    networks, params = made()
    prefix = np.array([3, 0, 5])
    whole = logits_of(networks, params, tokens, prefix=prefix)
    order = np.broadcast_to(np.arange(5), (3, 5))
    cache = networks.start(params, 3, T)
    states, cache = networks.extend(params, cache, tokens[:, :5], order, prefix)
    last, _ = networks.extend(params, cache, tokens[:, 5:6], np.full((3, 1), 5), prefix)
    found = networks.logits(params, np.concatenate(jax.device_get([states, last]), 1))
    np.testing.assert_allclose(found, whole[:, :6], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "textbook", "llama", "translator"])
def test_sequences_packed_into_a_row_are_as_if_alone(name, tokens):
    networks, params = made(**VARIANTS[name])
    first, second = tokens[0, :3], tokens[1, :4]
    packed = np.concatenate([first, second, [0]])[None]
    segments = np.array([[1, 1, 1, 2, 2, 2, 2, 0]])
    positions = np.array([[0, 1, 2, 0, 1, 2, 3, 0]])
    sources = [None] * 3
    if name == "translator":
        a, b = np.array([[4, 5]]), np.array([[6, 7, 8]])
        one, two = np.ones((1, 2), int), np.ones((1, 3), int)
        sources = [
            Source(a, one),
            Source(b, two),
            Source(
                np.concatenate([a, b], 1),
                np.concatenate([one, 2 * two], 1),
                np.array([[0, 1, 0, 1, 2]]),
            ),
        ]
    alone = [
        logits_of(networks, params, part[None], source=source)
        for part, source in zip((first, second), sources, strict=False)
    ]
    together = logits_of(
        networks, params, packed, segments=segments, positions=positions, source=sources[2]
    )
    np.testing.assert_allclose(together[:, :3], alone[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together[:, 3:7], alone[1], rtol=1e-4, atol=1e-5)


def test_the_source_is_seen_and_its_padding_is_not(tokens):
    networks, params = made(encoder_layers=1)
    source = Source(np.array([[1, 2, 3]] * 3), np.array([[1, 1, 0]] * 3))
    before = logits_of(networks, params, tokens, source=source)
    padded = source._replace(tokens=np.array([[1, 2, 9]] * 3))
    np.testing.assert_array_equal(before, logits_of(networks, params, tokens, source=padded))
    other = source._replace(tokens=np.array([[1, 9, 3]] * 3))
    assert not np.allclose(before, logits_of(networks, params, tokens, source=other))


def test_stacked_and_recomputed_blocks_are_the_plain_ones(tokens):
    plain, params = made()
    stacked, _ = made(scan=True, remat=True)
    blocks = [params["params"]["decoder"][f"block_{i}"] for i in range(L)]
    decoder = {
        "blocks": jax.tree.map(lambda *x: np.stack(x), *blocks),
        "norm": params["params"]["decoder"]["norm"],
    }
    moved = {"params": {**params["params"], "decoder": decoder}}

    batch = Batch(tokens, tokens, np.ones(tokens.shape, np.float32))

    def loss(networks):
        return lambda p: jnp.sum(jnp.sin(networks.logits(p, networks.hidden(p, batch))))

    value, grads = jax.jit(jax.value_and_grad(loss(plain)))(params)
    other, others = jax.jit(jax.value_and_grad(loss(stacked)))(moved)
    grads, others = jax.device_get((grads, others))
    assert float(other) == pytest.approx(float(value), rel=1e-5)
    np.testing.assert_allclose(
        others["params"]["decoder"]["blocks"]["attention"]["qkv"]["kernel"][1],
        grads["params"]["decoder"]["block_1"]["attention"]["qkv"]["kernel"],
        rtol=1e-4,
        atol=1e-5,
    )


def test_half_precision_computes_in_it_and_keeps_parameters_and_logits_in_float32(tokens):
    networks, params = made(dtype=jnp.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    batch = Batch(tokens, tokens, np.ones(tokens.shape, np.float32))
    states = networks.hidden(params, batch)
    assert states.dtype == jnp.bfloat16
    logits = networks.logits(params, states)
    assert logits.dtype == jnp.float32
    exact = logits_of(made()[0], params, tokens)
    assert np.abs(logits - exact).max() < 0.05 * np.abs(exact).max()
    assert jax.tree.leaves(networks.start(params, 1, 2))[0].dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["gpt2", "textbook", "llama", "caps"])
@pytest.mark.parametrize("rows", [3, 40])  # which are few, and many, for layers.linear
def test_logits_of_half_precision_are_float32_sums_of_its_products(name, rows):
    """Rounded to bfloat16 by the way, logits near 8 would be off by up to 0.016."""
    config = Architecture(V, **{**SIZES, **VARIANTS[name], "layers": 1, "dtype": jnp.bfloat16})
    networks = transformer.networks_of(config)
    params = drawn(networks.init)
    states = jnp.asarray(np.random.default_rng(3).normal(size=(rows, T, D)), jnp.bfloat16)
    p = params["params"]
    output = p.get("output", {"kernel": p["embedding"]["embedding"].T})
    half = np.float64(jnp.asarray(output["kernel"], jnp.bfloat16))
    expected = np.float64(states) @ half + np.float64(output.get("bias", 0.0))
    if config.logit_cap is not None:
        expected = config.logit_cap * np.tanh(expected / config.logit_cap)
    np.testing.assert_allclose(networks.logits(params, states), expected, rtol=1e-5, atol=1e-5)


class TestDropout:
    """Masks are seen in the states of a network whose blocks add nothing but their dropout."""

    def states(self, seeds, **changes):
        networks, params = made(dropout=0.5, **changes)
        same = np.broadcast_to(np.arange(T) % V, (len(seeds), T))
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        batch = Batch(same, same, np.ones(same.shape, np.float32))
        return np.asarray(networks.hidden(params, batch, keys))

    def test_examples_have_masks_of_their_own_and_a_key_decides_them(self):
        first, second, again = self.states([1, 2, 1])
        np.testing.assert_allclose(first, again, rtol=1e-5, atol=1e-6)
        assert not np.allclose(first, second)

    @pytest.mark.parametrize("stacked", [False, True])
    def test_each_place_in_each_layer_draws_with_keys_of_its_own(self, stacked, monkeypatch):
        drawn = []

        def note(key_data):
            drawn.append(tuple(np.ravel(key_data)))
            return np.float32(0)

        def noted(x, keys, rate):
            if keys is None:
                return x
            # Not a debug callback, an effect, which Flax's scan refuses from jax 0.12 on.
            data, nothing = jax.random.key_data(keys), jax.ShapeDtypeStruct((), np.float32)
            return x + jax.pure_callback(note, nothing, data)

        monkeypatch.setattr("aigc_jax.nn.block.dropout", noted)
        monkeypatch.setattr("aigc_jax.transformer.networks.transformer.dropout", noted)
        self.states([3], scan=stacked, encoder_layers=0)
        # The embedding, and in each layer the weights, what attention adds, what the rest adds.
        assert len(drawn) == len(set(drawn)) == 1 + 3 * L

    def test_without_keys_nothing_is_dropped(self, tokens):
        networks, params = made(dropout=0.5)
        plain, _ = made()
        np.testing.assert_array_equal(
            logits_of(networks, params, tokens), logits_of(plain, params, tokens)
        )


def count(config):
    init = transformer.networks_of(config).init
    shapes = jax.eval_shape(init, jax.random.key(0))
    return sum(x.size for x in jax.tree.leaves(shapes))


def test_parameter_counts():
    block = (D * 3 * D + 3 * D) + (D * D + D) + (D * 4 * D + 4 * D) + (4 * D * D + D) + 2 * 2 * D
    nano = V * D + T * D + L * block + 2 * D
    textbook = V * D + L * block + (D * V + V)
    assert count(Architecture(V, **SIZES)) == nano
    assert count(Architecture(V, **SIZES, **TEXTBOOK_BLOCKS)) == textbook


def test_gpt2_has_the_published_number_of_parameters():
    assert count(transformer.gpt2()) == 124_439_808  # 12 layers, 768, 50,257 symbols


def test_a_llama_of_the_published_sizes_has_the_published_number_of_parameters():
    """Llama 2 7B: 6,738,415,616, https://huggingface.co/meta-llama/Llama-2-7b."""
    sizes = {"layers": 32, "heads": 32, "width": 4096, "hidden": 11008, "scan": True}
    assert count(Architecture(32_000, **sizes, **LLAMA_BLOCKS)) == 6_738_415_616


def test_sinusoidal_positions():
    table = transformer.sinusoidal_positions(50, 6)
    assert table.shape == (50, 6)
    assert table[7, 0] == pytest.approx(np.sin(7))
    assert table[7, 1] == pytest.approx(np.cos(7))
    assert table[7, 4] == pytest.approx(np.sin(7 / 10000 ** (4 / 6)), rel=1e-6)


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def capped(x, cap):
    return x if cap == np.inf else cap * np.tanh(x / cap)


def test_the_textbook_network_is_its_formulas():
    """Vaswani et al.'s blocks written out in NumPy, float64."""
    networks, params = made(**TEXTBOOK_BLOCKS)
    p = jax.tree.map(np.float64, params)["params"]
    tokens = np.array([3, 1, 4, 1, 5])

    def dense(layer, x):
        return x @ layer["kernel"] + layer["bias"]

    def norm(layer, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * layer["scale"] + layer["bias"]

    def attend(layer, x):
        q, k, v = np.split(dense(layer["qkv"], x), 3, axis=-1)
        heads = []
        for q_n, k_n, v_n in zip(*(np.split(a, N, axis=-1) for a in (q, k, v)), strict=True):
            scores = np.where(np.tri(len(x), dtype=bool), q_n @ k_n.T / np.sqrt(D / N), -np.inf)
            heads.append(softmax(scores) @ v_n)
        return dense(layer["out"], np.concatenate(heads, -1))

    table = p["embedding"]["embedding"]
    x = table[tokens] * np.sqrt(D) + transformer.sinusoidal_positions(T, D)[:5]
    for i in range(L):
        block = p["decoder"][f"block_{i}"]
        x = norm(block["attention_norm"], x + attend(block["attention"], x))
        inner = np.maximum(dense(block["feed_forward"]["in"], x), 0)
        x = norm(block["feed_forward_norm"], x + dense(block["feed_forward"]["out"], inner))
    expected = dense(p["output"], x)
    np.testing.assert_allclose(
        logits_of(networks, params, tokens[None])[0], expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("caps", [(np.inf, np.inf), (0.5, np.inf), (np.inf, 2.0)])
def test_the_llama_network_is_its_formulas(caps):
    """Rotary positions as complex numbers, shared key heads, SwiGLU, RMSNorm; NumPy, float64.

    And soft caps on the scores or on the logits, x ← c tanh(x / c).
    """
    given = {n: c for n, c in zip(("score_cap", "logit_cap"), caps, strict=True) if c < np.inf}
    networks, params = made(**{**VARIANTS["llama"], "hidden": 24, **given})
    p = jax.tree.map(np.float64, params)["params"]
    tokens, size, groups = np.array([3, 1, 4, 1, 5]), D // N, 2

    def norm(layer, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * layer["scale"]

    def turn(x):
        half = size // 2
        angles = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(half) / half)
        turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], -1)

    def attend(layer, x):
        y = x @ layer["qkv"]["kernel"]
        q, k, v = np.split(y, [N * size, (N + groups) * size], axis=-1)
        heads = []
        for n in range(N):
            g = n * groups // N
            q_n = turn(q[:, n * size : (n + 1) * size])
            k_n, v_n = (a[:, g * size : (g + 1) * size] for a in (k, v))
            scores = capped(q_n @ turn(k_n).T / np.sqrt(size), caps[0])
            scores = np.where(np.tri(len(x)) > 0, scores, -np.inf)
            heads.append(softmax(scores) @ v_n)
        return np.concatenate(heads, -1) @ layer["out"]["kernel"]

    x = p["embedding"]["embedding"][tokens]
    for i in range(L):
        block = p["decoder"][f"block_{i}"]
        x = x + attend(block["attention"], norm(block["attention_norm"], x))
        layer = block["feed_forward"]
        h = norm(block["feed_forward_norm"], x)
        inner = h @ layer["in"]["kernel"]
        gated = inner / (1 + np.exp(-inner)) * (h @ layer["gate"]["kernel"])
        x = x + gated @ layer["out"]["kernel"]
    expected = capped(norm(p["decoder"]["norm"], x) @ p["output"]["kernel"], caps[1])
    np.testing.assert_allclose(
        logits_of(networks, params, tokens[None])[0], expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 10}, "width 10 is not a multiple of 4 heads"),
        ({"num_kv_heads": 3}, "4 heads are not a multiple of 3 key-value heads"),
        ({"positions": Positions.ROTARY, "width": 12}, "heads of an even size, got 3"),
        ({"positions": Positions.SINUSOIDAL, "width": 9, "heads": 3}, "need an even width"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"window": 0}, "window must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Architecture(V, **SIZES), **changes)


@pytest.mark.parametrize("positions", [Positions.LEARNED, Positions.SINUSOIDAL])
def test_more_tokens_than_a_table_has_places_for_are_refused(positions):
    """A gather from the table would take its last row for all of them."""
    config = Architecture(V, **{**SIZES, "positions": positions, "encoder_layers": 1})
    networks = transformer.networks_of(dataclasses.replace(config, source_context=5))
    params = jax.eval_shape(networks.init, jax.random.key(0))

    def hidden(length, source_length, **places):
        tokens, source = jnp.zeros((1, length), int), jnp.ones((1, source_length), int)
        batch = Batch(tokens, tokens, tokens, source=Source(source, source), **places)
        return jax.eval_shape(networks.hidden, params, batch)

    assert hidden(T, 5).shape == (1, T, D)
    with pytest.raises(ValueError, match=f"{T + 1} tokens are more than context={T}"):
        hidden(T + 1, 5, positions=jnp.zeros((1, T + 1), int))
    with pytest.raises(ValueError, match="6 tokens are more than source_context=5"):
        hidden(T, 6)
    with pytest.raises(ValueError, match=f"rows of {T + 2} tokens do not fit context={T}"):
        networks.start(params, 1, T + 2, Source(jnp.ones((1, 5), int), jnp.ones((1, 5), int)))


def test_equal_configurations_have_the_same_networks_and_programs():
    config = Architecture(7, context=4, layers=1, heads=1, width=4)
    same, other = (dataclasses.replace(config, heads=heads) for heads in (1, 2))
    assert transformer.networks_of(config) is transformer.networks_of(same)
    assert transformer.networks_of(config) is not transformer.networks_of(other)


def test_positions_on_a_grid_are_sums_of_a_vector_for_each_axis(rng):
    axes = 2, 1, 3
    on_axes, params = made(axes=axes)
    own = params["params"]
    assert own["positions"].shape == (T - 6, D)
    table = [*own["positions"]]
    table += [
        own["positions_0"][i] + own["positions_1"][j] + own["positions_2"][k]
        for i in range(2)
        for j in range(1)
        for k in range(3)
    ]
    rest = {name: value for name, value in own.items() if not name.startswith("positions")}
    one_each, _ = made()
    tokens = rng.integers(0, V, (2, T))
    batch = Batch(tokens, tokens, np.ones((2, T), np.float32))
    expected = one_each.hidden({"params": {**rest, "positions": np.stack(table)}}, batch)
    np.testing.assert_allclose(on_axes.hidden(params, batch), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"axes": (3, 3)}, "does not fit into 8 tokens"),
        ({"axes": (2, 0)}, "does not fit"),
        ({"axes": (2, 2), "positions": Positions.ROTARY}, "learned ones"),
    ],
)
def test_a_grid_that_has_no_positions_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Architecture(V, **{**SIZES, **changes})
