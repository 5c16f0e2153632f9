"""Optimisers that distinguish the kinds of a Transformer's leaves."""

from typing import Any

import jax
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Params


def adamw(
    rate: optax.ScalarOrSchedule, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """AdamW that decays only the matrices of linear layers."""
    return optim.adam(rate, b2=b2, weight_decay=weight_decay, mask=optim.is_kernel)


def muon(
    rate: optax.ScalarOrSchedule, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """Muon on the matrices of blocks; NAdam on embeddings, the output layer, norms and biases.

    Queries, keys and values are separate matrices, though one leaf holds them.
    """
    return optim.muon(
        rate, b2=b2, weight_decay=weight_decay, matrices=block_matrices, parts=projections
    )


def block_matrices(params: Params) -> Any:
    """Which leaves are matrices of blocks, and which of their axes are inputs and outputs.

    A stack of blocks holds one matrix for each on its first axis, and each is orthogonalised.

    Returns:
      A tree of `optax.contrib.MuonDimensionNumbers`, or None.
    """

    def dimensions(path, leaf):
        names = [entry.key for entry in path]
        if names[-1] != "kernel" or not any(name.startswith("block") for name in names):
            return None
        return optax.contrib.MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)

    return jax.tree_util.tree_map_with_path(dimensions, params)


def projections(params: Params) -> Any:
    """How wide the matrices are that lie side by side in a leaf: queries, keys and values of
    attention to itself; keys and values of attention to a memory.

    Returns:
      A tree of tuples of widths, with None at leaves that hold one.
    """

    def widths(path, leaf):
        names = [entry.key for entry in path]
        if names[-1] != "kernel" or names[-2] not in ("qkv", "memory"):
            return None
        inputs, outputs = leaf.shape[-2:]
        queries = inputs if names[-2] == "qkv" else 0  # as wide as the model, all heads together
        half = (outputs - queries) // 2
        return (queries, half, half) if queries else (half, half)

    return jax.tree_util.tree_map_with_path(widths, params)
