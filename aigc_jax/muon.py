"""Muon: matrices are moved along the nearest orthogonal matrix of their momentum."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate, islice
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers

from aigc_jax.algorithm import Params

RMS = 0.2  # of an update's elements, where its singular values are 1: Adam's


def muon(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.999,
    weight_decay: float = 0.0,
    matrices: Callable[[Params], Any] | None = None,
    parts: Callable[[Params], Any] | None = None,
) -> optax.GradientTransformation:
    """Muon with Nesterov's momentum on matrices; NAdam on other leaves.

    For update t = 1, 2, … and a matrix W of m inputs and n outputs, with its gradient G:

        M ← β₁ M + (1 − β₁) G
        N = β₁ M / (1 − β₁ᵗ⁺¹) + (1 − β₁) G / (1 − β₁ᵗ)
        W ← W − η (0.2 √max(m, n) · orth(N) + λ W)

    orth(N) is X after five Newton-Schulz iterations from X = N / (‖N‖ + 1e-8), Frobenius' norm:

        X ← 3.4445 X − 4.775 (X Xᵀ) X + 2.0315 (X Xᵀ)² X

    which leave singular values between 0.7 and 1.2 or so. The factor gives an update the size of
    Adam's, so that one learning rate serves both. The iterations are 10 to 30 products of the
    matrix's size: expensive at small batches, cheap at a thousand examples.

    Args:
      learning_rate: η.
      b1: β₁, of the momentum of matrices; NAdam's is 0.9.
      b2: of NAdam, whose ε is 1e-8.
      weight_decay: λ, on matrices; NAdam's leaves have none.
      matrices: `(params) -> ` a tree of `optax.contrib.MuonDimensionNumbers`, with None at other
        leaves; None takes every leaf of two dimensions.
      parts: `(params) -> ` a tree with a tuple of widths at leaves whose last axis holds several
        matrices side by side, each of which is treated separately, and None at others.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon, who treat queries, keys
    and values separately; the factor is that of Liu et al. 2025, https://arxiv.org/abs/2502.16982,
    equation 4. The sums are optax's, whose momentum is averaged and its bias corrected.
    """
    found = _of_two_dimensions if matrices is None else matrices
    return optax.partition(
        {
            "muon": optax.chain(
                _orthogonalised(b1, found, parts),
                optax.identity(),  # in place of optax's factor: checkpoints stay the same
                optax.add_decayed_weights(weight_decay),
                optax.scale_by_learning_rate(learning_rate),
            ),
            "adam": optax.adamw(learning_rate, b1=0.9, b2=b2, weight_decay=0.0, nesterov=True),
        },
        lambda params: jax.tree.map(
            lambda axes, _: "adam" if axes is None else "muon",
            found(params),
            params,
            is_leaf=_is_axes,
        ),
    )


def _of_two_dimensions(params: Params) -> Any:
    return jax.tree.map(lambda p: MuonDimensionNumbers() if p.ndim == 2 else None, params)


def _is_axes(node: Any) -> bool:
    return node is None or isinstance(node, MuonDimensionNumbers)


def _is_widths(node: Any) -> bool:
    return node is None or (type(node) is tuple and all(type(width) is int for width in node))


def _orthogonalised(
    b1: float, matrices: Callable[[Params], Any], parts: Callable[[Params], Any] | None
) -> optax.GradientTransformation:
    """0.2 √max(m, n) · orth(N) for each matrix; the state is optax's, of whole leaves."""

    def init(params):
        state = optax.contrib.scale_by_muon(beta=b1).init(params)
        # Optax makes these from Python's numbers: 64-bit ones under x64.
        return state._replace(ns_coeffs=jnp.float32(state.ns_coeffs))

    def update(updates, state, params=None):
        del params
        leaves, structure = jax.tree.flatten(updates)
        widths = [None] * len(leaves)
        if parts is not None:
            widths = jax.tree.leaves(parts(updates), is_leaf=_is_widths)
        counts = [1 if own is None else len(own) for own in widths]
        of_leaves = jax.tree.leaves(matrices(updates), is_leaf=_is_axes)
        axes = [a for a, count in zip(of_leaves, counts, strict=True) for _ in range(count)]

        def split(leaves):
            return [m for leaf, own in zip(leaves, widths, strict=True) for m in _cut(leaf, own)]

        def join(split):
            rest = iter(split)
            whole = [jnp.concatenate(list(islice(rest, count)), -1) for count in counts]
            return jax.tree.unflatten(structure, whole)

        each = optax.contrib.scale_by_muon(beta=b1, weight_dimension_numbers=axes)
        mu = split(jax.tree.leaves(state.mu))
        moved, state = each.update(split(leaves), state._replace(mu=mu))
        moved = [m * (RMS * _longer_side(m, a) ** 0.5) for m, a in zip(moved, axes, strict=True)]
        return join(moved), state._replace(mu=join(state.mu))

    return optax.GradientTransformation(init, update)


def _cut(leaf: jax.Array, widths: tuple[int, ...] | None) -> list[jax.Array]:
    """The matrices that lie side by side on a leaf's last axis."""
    if widths is None:
        return [leaf]
    if sum(widths) != leaf.shape[-1]:
        raise ValueError(f"parts of widths {widths} do not make up {leaf.shape[-1]}")
    return jnp.split(leaf, list(accumulate(widths))[:-1], axis=-1)


def _longer_side(matrix: jax.Array, axes: MuonDimensionNumbers) -> int:
    """max(m, n), where a side may have several axes."""
    sides = (side if isinstance(side, Sequence) else (side,) for side in axes)
    return max(math.prod(matrix.shape[axis] for axis in side) for side in sides)
