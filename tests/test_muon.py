"""Muon against its formula in NumPy, float64, of each matrix alone, and the states of optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers

from aigc_jax import optim, transformer
from aigc_jax.muon import ITERATIONS, orthogonal

RATE, B1, B2, DECAY = 0.02, 0.9, 0.97, 0.3


def by_singular_values(n):
    """orth(N): divided by the eighth root of their eighth powers' sum, then iterated."""
    u, sigma, v = np.linalg.svd(n, full_matrices=False)
    sigma = sigma / (sigma**8).sum() ** (1 / 8)
    for a, b, c in ITERATIONS:
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    return (u * sigma) @ v


def muon_by_hand(matrix, gradients):
    """Where W ends after the gradients, one update each, at rates 0.02, 0.01, 0.02 / 3, …"""
    w, momentum = np.float64(matrix), 0.0
    for t, g in enumerate(np.float64(gradients), 1):
        momentum = B1 * momentum + (1 - B1) * g
        ahead = B1 * momentum / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
        w = w - RATE / t * (0.2 * np.sqrt(max(w.shape)) * by_singular_values(ahead) + DECAY * w)
    return w


@pytest.mark.parametrize("shape", [(6, 6), (6, 8), (6, 40)])
def test_singular_values_above_a_hundredth_come_to_1(shape):
    """And smaller ones nearer to it, of matrices of any size, each by itself."""
    m = shape[0]
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(side, side)))[0] for side in shape)
    sigma = np.geomspace(1, 0.01, m)
    sizes = np.array([1.0, 1e-10, 1e8, 0.0])
    x = sizes[:, None, None] * ((left * sigma) @ right[:m])
    found = np.float64(jax.jit(orthogonal)(np.float32(x)))
    assert not found[3].any()
    for one in found[:3]:
        values = np.diag(left.T @ one @ right[:m].T)
        assert values.min() > 0.69
        assert values.max() < 1.31
        np.testing.assert_allclose(one, (left * values) @ right[:m], atol=2e-4)
    np.testing.assert_allclose(found[1:3], found[[0, 0]], atol=2e-3)


def nadam_by_hand(leaf, gradients):
    x, m, v = np.float64(leaf), 0.0, 0.0
    for t, g in enumerate(np.float64(gradients), 1):
        m, v = 0.9 * m + 0.1 * g, B2 * v + (1 - B2) * g**2
        ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
        x = x - RATE / t * ahead / (np.sqrt(v / (1 - B2**t)) + 1e-8)
    return x


def run(tx, params, gradients):
    """Where the parameters end; gradients have the updates on their first axis."""

    def update(carry, grads):
        params, state = carry
        moved, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, moved), state), None

    return jax.jit(lambda p, g: jax.lax.scan(update, (p, tx.init(p)), g)[0])(params, gradients)


def drawn(shapes, updates=4):
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return params, {n: rng.normal(size=(updates, *s)).astype(np.float32) for n, s in shapes.items()}


CLOSE = {"rtol": 1e-4, "atol": 2e-6}


def rate(step):
    return RATE / (step + 1)


def test_matrices_follow_muons_formula_and_other_leaves_nadams():
    params, grads = drawn({"wide": (5, 8), "tall": (9, 4), "bias": (7,), "grid": (3, 3, 2, 2)})
    tx = optim.muon(rate, b1=B1, b2=B2, weight_decay=DECAY)
    found, _ = run(tx, params, grads)
    for name in params:
        by_hand = muon_by_hand if name in ("wide", "tall") else nadam_by_hand
        np.testing.assert_allclose(found[name], by_hand(params[name], grads[name]), **CLOSE)


@pytest.mark.parametrize("widths", [(6, 2, 2), (4, 4, 4), (3, 3), (1, 12), None])
@pytest.mark.parametrize("stacked", [False, True])
def test_matrices_side_by_side_are_moved_each_as_if_alone(widths, stacked):
    shape = (2,) * stacked + (6, sum(widths or (10,)))
    params, grads = drawn({"kernel": shape, "other": (4, 3)})
    axes = MuonDimensionNumbers(-2, -1)
    tx = optim.muon(
        rate,
        b1=B1,
        weight_decay=DECAY,
        matrices=lambda p: {"kernel": axes, "other": MuonDimensionNumbers()},
        parts=lambda p: {"kernel": widths, "other": None},
    )
    found, _ = run(tx, params, grads)
    ends = np.cumsum(widths or (10,))[:-1]
    for layer in range(2) if stacked else [...]:
        whole = params["kernel"][layer]
        by_update = grads["kernel"][:, layer]
        each = zip(np.split(whole, ends, -1), np.split(by_update, ends, -1), strict=True)
        expected = np.concatenate([muon_by_hand(*part) for part in each], -1)
        np.testing.assert_allclose(found["kernel"][layer], expected, **CLOSE)
    np.testing.assert_allclose(
        found["other"], muon_by_hand(params["other"], grads["other"]), **CLOSE
    )


def test_widths_that_do_not_make_up_the_leaf_are_refused():
    params, grads = drawn({"kernel": (4, 6)})
    tx = optim.muon(0.1, parts=lambda p: {"kernel": (4, 3)})
    with pytest.raises(ValueError, match=r"widths \(4, 3\) do not make up 6"):
        run(tx, params, grads)


def test_the_state_is_that_of_optax_so_that_old_checkpoints_go_on():
    config = transformer.llama_small(7, context=4, layers=2, heads=4, width=8, hidden=8)
    params = jax.eval_shape(transformer.networks_of(config).init, jax.random.key(0))
    theirs = optax.contrib.muon(
        0.1, consistent_rms=0.2, muon_weight_dimension_numbers=transformer.block_matrices
    )
    ours = transformer.muon(0.1, 0.95, 0.1)
    states = [jax.eval_shape(tx.init, params) for tx in (ours, theirs)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert jax.tree.leaves(states[0]) == jax.tree.leaves(states[1])


@pytest.mark.parametrize(
    "changes", [{}, {"scan": True}, {"encoder_layers": 1}, {"num_kv_heads": 1}]
)
def test_queries_keys_and_values_of_a_transformer_are_moved_each_as_if_alone(changes):
    sizes = {"context": 4, "layers": 2, "heads": 4, "width": 8, "hidden": 12}
    config = transformer.llama_small(7, **{**sizes, "num_kv_heads": 2, **changes})
    networks = transformer.networks_of(config)
    shapes = jax.eval_shape(networks.init, jax.random.key(0))
    rng = np.random.default_rng(0)

    def normal(*before):
        return jax.tree.map(
            lambda s: rng.normal(size=(*before, *s.shape)).astype(np.float32), shapes
        )

    params, grads = normal(), normal(2)

    def with_rate(factory):
        return factory(
            rate,
            b1=B1,
            weight_decay=DECAY,
            matrices=transformer.block_matrices,
            parts=transformer.projections,
        )

    (found, _) = run(with_rate(optim.muon), params, grads)
    d, h = 8, 2
    keys = config.kv_heads * h
    cuts = {"qkv": [d, d + keys], "memory": [keys]}
    seen = set()
    leaves = zip(
        *(jax.tree_util.tree_leaves_with_path(t) for t in (params, grads, found)), strict=True
    )
    for (path, w), (_, g), (_, end) in leaves:
        names = [entry.key for entry in path]
        if names[-1] != "kernel" or "output" in names:
            continue
        ends = cuts.get(names[-2], [])
        seen |= {names[-2]} & set(cuts)
        for layer in range(2) if config.scan and "decoder" in names else [...]:
            each = zip(np.split(w[layer], ends, -1), np.split(g[:, layer], ends, -1), strict=True)
            expected = np.concatenate([muon_by_hand(*part) for part in each], -1)
            np.testing.assert_allclose(end[layer], expected, **CLOSE)
    assert seen == ({"qkv", "memory"} if config.encoder_layers else {"qkv"})


def test_a_translators_muon_is_the_one_with_parts():
    """By its preset: an update of one leaf is that of its parts."""
    rng = np.random.default_rng(1)
    params = {"block_0": {"attention": {"qkv": {"kernel": jnp.zeros((8, 12))}}}}
    g = rng.normal(size=(1, 8, 12)).astype(np.float32)
    tx = transformer.muon(RATE, B2, 0.0)
    grads = jax.tree.map(lambda p: g[0], params)
    moved, _ = jax.jit(lambda g, p: tx.update(g, tx.init(p), p))(grads, params)
    kernel = jax.device_get(moved)["block_0"]["attention"]["qkv"]["kernel"]
    for part, own in zip(np.split(kernel, [8, 10], -1), np.split(g[0], [8, 10], -1), strict=True):
        # The first update goes along the gradient, whatever β₁.
        expected = -RATE * 0.2 * np.sqrt(8) * by_singular_values(np.float64(own))
        np.testing.assert_allclose(part, expected, **CLOSE)


def test_x64_changes_neither_dtypes_nor_numbers():
    params, grads = drawn({"wide": (5, 8), "bias": (7,)})
    tx = optim.muon(rate, b1=B1, weight_decay=DECAY)
    expected, state = run(tx, params, grads)
    with jax.enable_x64(True):
        found, wide = run(tx, params, grads)
    assert [x.dtype for x in jax.tree.leaves(wide)] == [x.dtype for x in jax.tree.leaves(state)]
    for name in params:
        np.testing.assert_allclose(found[name], expected[name], **CLOSE)
