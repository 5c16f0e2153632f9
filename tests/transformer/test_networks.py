"""The Transformers: causality by gradient, counts, positions, and the textbook block in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer

V, T, L, N, D = 11, 6, 2, 2, 8
MODULES = [transformer.NanoTransformer, transformer.TextbookTransformer]


@pytest.fixture(params=MODULES, ids=["nano", "textbook"], scope="module")
def model(request):
    networks = transformer.decoder(request.param, V, T, L, N, D)
    return networks, jax.jit(networks.init)(jax.random.key(0))


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_parameter_counts():
    block = (D * 3 * D + 3 * D) + (D * D + D) + (D * 4 * D + 4 * D) + (4 * D * D + D) + 2 * 2 * D
    nano = V * D + T * D + L * block + 2 * D
    textbook = V * D + L * block + (D * V + V)
    for module, expected in zip(MODULES, (nano, textbook), strict=True):
        networks = transformer.decoder(module, V, T, L, N, D)
        assert count(jax.eval_shape(networks.init, jax.random.key(0))) == expected


def test_logits_are_float32_and_one_for_each_symbol(model):
    networks, params = model
    logits = networks.apply(params, jnp.zeros((3, T), int))
    assert logits.shape == (3, T, V)
    assert logits.dtype == jnp.float32


def test_causality_by_gradient():
    """∂ logits[t] / ∂ (what enters at position s) is zero exactly where s > t."""
    networks = transformer.decoder(transformer.NanoTransformer, V, T, L, N, D)
    params = jax.jit(networks.init)(jax.random.key(0))
    tokens = jnp.arange(T)[None]

    @jax.jit
    def influence(positions):
        changed = {"params": {**params["params"], "positions": positions}}
        return jnp.sum(jnp.sin(networks.apply(changed, tokens)[0]), axis=-1)  # [T]

    jacobian = jax.jit(jax.jacrev(influence))(params["params"]["positions"])  # [T, T, D]
    np.testing.assert_array_equal((jacobian != 0).any(-1), np.tri(T, dtype=bool))


def test_later_tokens_do_not_change_earlier_logits(model):
    networks, params = model
    tokens = jnp.arange(T)[None]
    changed = tokens.at[0, 4].set(V - 1)
    before, after = networks.apply(params, tokens), networks.apply(params, changed)
    np.testing.assert_array_equal(before[0, :4], after[0, :4])
    assert not np.allclose(before[0, 4:], after[0, 4:])


def test_shorter_inputs_are_prefixes(model):
    networks, params = model
    tokens = jnp.arange(T)[None]
    whole, short = networks.apply(params, tokens), networks.apply(params, tokens[:, :3])
    np.testing.assert_allclose(whole[:, :3], short, rtol=1e-5, atol=1e-6)


def test_sinusoidal_positions():
    table = transformer.sinusoidal_positions(50, 6)
    assert table.shape == (50, 6)
    assert table[7, 0] == pytest.approx(np.sin(7))
    assert table[7, 1] == pytest.approx(np.cos(7))
    assert table[7, 4] == pytest.approx(np.sin(7 / 10000 ** (4 / 6)), rel=1e-6)


def test_the_textbook_network_is_its_formulas():
    """Vaswani et al.'s blocks written out in NumPy, float64."""
    networks = transformer.decoder(transformer.TextbookTransformer, V, T, L, N, D)
    params = jax.jit(networks.init)(jax.random.key(1))
    keys = iter(jax.random.split(jax.random.key(2), 100))
    params = jax.tree.map(lambda p: p + 0.3 * jax.random.normal(next(keys), p.shape), params)
    p = jax.tree.map(np.float64, params)["params"]
    tokens = np.array([3, 1, 4, 1, 5])

    def dense(layer, x):
        return x @ layer["kernel"] + layer["bias"]

    def norm(layer, x):
        centred = x - x.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * layer["scale"]
            + layer["bias"]
        )

    def attend(layer, x):
        q, k, v = np.split(dense(layer["qkv"], x), 3, axis=-1)
        heads = []
        for q_n, k_n, v_n in zip(*(np.split(a, N, axis=-1) for a in (q, k, v)), strict=True):
            scores = np.where(np.tri(len(x), dtype=bool), q_n @ k_n.T / np.sqrt(D / N), -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(weights / weights.sum(-1, keepdims=True) @ v_n)
        return dense(layer["out"], np.concatenate(heads, -1))

    x = p["Embed_0"]["embedding"][tokens] * np.sqrt(D) + transformer.sinusoidal_positions(T, D)[:5]
    for i in range(L):
        block = p[f"PostNormBlock_{i}"]
        x = norm(block["LayerNorm_0"], x + attend(block["SelfAttention_0"], x))
        inner = np.maximum(dense(block["FeedForward_0"]["in"], x), 0)
        x = norm(block["LayerNorm_1"], x + dense(block["FeedForward_0"]["out"], inner))
    np.testing.assert_allclose(
        networks.apply(params, tokens[None])[0], dense(p["logits"], x), rtol=1e-4, atol=1e-4
    )


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 10 is not a multiple of 4 heads"):
        transformer.decoder(transformer.NanoTransformer, V, width=10, heads=4)
