"""Which leaves of a Transformer an optimiser treats in which way."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import transformer

SIZES = {"context": 4, "layers": 2, "heads": 2, "width": 8}


def is_leaf(x):
    return x is None or isinstance(x, optax.contrib.MuonDimensionNumbers)


def by_name(tree):
    return {
        "/".join(entry.key for entry in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)
    }


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 2 * 4),  # queries to values, out; in, out
        ({"scan": True}, 4),
        ({"tied": False}, 2 * 4),
        ({"encoder_layers": 2}, 2 * 4 + 2 * (4 + 3)),
    ],
)
def test_muon_takes_the_matrices_of_blocks_and_nothing_else(changes, count):
    config = transformer.nano(7, **SIZES, **changes)
    params = jax.eval_shape(transformer.networks_of(config).init, jax.random.key(0))
    shapes, dimensions = by_name(params), by_name(transformer.block_matrices(params))
    matrices = {name for name, found in dimensions.items() if found is not None}
    assert matrices == {n for n in shapes if "/block" in n and n.endswith("kernel")}
    assert len(matrices) == count
    for name in matrices:
        axes = dimensions[name]
        rank = shapes[name].ndim
        assert (axes.reduction_axis, axes.output_axis) == (rank - 2, rank - 1)


def test_stacked_matrices_are_each_orthogonalised():
    """Muon leaves leaves of three dimensions to Adam unless told otherwise."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(2, 6, 4)).astype(np.float32)
    params = {"blocks": {"in": {"kernel": jnp.zeros_like(g)}}}
    tx = transformer.muon(0.1, 0.95, 0.0)
    grads = {"blocks": {"in": {"kernel": g}}}
    updates, _ = jax.jit(lambda g, p: tx.update(g, tx.init(p), p))(grads, params)
    for matrix in np.asarray(updates["blocks"]["in"]["kernel"]):
        values = np.linalg.svd(matrix, compute_uv=False) / (0.1 * 0.2 * np.sqrt(6))
        assert values.min() > 0.6
        assert values.max() < 1.3


@pytest.mark.parametrize("optimiser", [transformer.adamw, transformer.muon])
@pytest.mark.parametrize("scan", [False, True])
def test_embeddings_norms_and_biases_do_not_decay(optimiser, scan):
    config = transformer.llama_small(
        7, **SIZES | {"num_kv_heads": 1, "hidden": 8, "scan": scan, "bias": True}
    )
    shapes = jax.eval_shape(transformer.networks_of(config).init, jax.random.key(0))
    params = jax.tree.map(lambda s: np.ones(s.shape, s.dtype), shapes)
    grads = jax.tree.map(np.zeros_like, params)
    tx = optimiser(0.1, 0.95, 0.5)
    updates, _ = jax.jit(lambda g, p: tx.update(g, tx.init(p), p))(grads, params)
    decayed = {name for name, moved in by_name(updates).items() if np.any(moved)}
    kernels = {name for name in by_name(params) if name.endswith("kernel")}
    if optimiser is transformer.muon:  # whose part for other leaves decays nothing
        kernels = {name for name in kernels if "/block" in name}
    assert decayed == kernels


def test_the_textbooks_optimiser_is_adam_as_published():
    """No warm-up, decay, schedule or bound: a gradient of 1,000 is not clipped."""
    tx = transformer.optimizer(transformer.TEXTBOOK.configured(vocabulary_size=7))
    params = {"block_0": {"dense": {"kernel": jnp.full((2, 2), 5.0)}}}
    state, m, v, x = tx.init(params), 0.0, 0.0, 5.0
    for t, g in enumerate((1000.0, 1.0, -3.0), start=1):
        updates, state = tx.update(jax.tree.map(lambda p, g=g: g + 0 * p, params), state, params)
        params = optax.apply_updates(params, updates)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x -= 3e-4 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(params["block_0"]["dense"]["kernel"], x, rtol=1e-6)
