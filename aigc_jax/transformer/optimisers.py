"""Optimisers that know which leaves of a Transformer are what."""

from typing import Any

import jax
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Params


def adamw(
    rate: optax.ScalarOrSchedule, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """AdamW that decays the matrices of linear layers alone."""
    return optim.adam(rate, b2=b2, weight_decay=weight_decay, mask=optim.is_kernel)


def muon(
    rate: optax.ScalarOrSchedule, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """Muon on the matrices of blocks; NAdam on embeddings, the output layer, norms and biases."""
    return optim.muon(rate, b2=b2, weight_decay=weight_decay, matrices=block_matrices)


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
