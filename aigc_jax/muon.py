"""Muon: matrices are moved along the nearest orthogonal matrix of their momentum."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers, MuonState

from aigc_jax.algorithm import Params

RMS = 0.2  # of an update's elements, where its singular values are 1: Adam's

ITERATIONS = (
    (8.1337, -23.7793, 17.5724),
    (3.6880, -2.7590, 0.5408),
    (2.7391, -2.0405, 0.4597),
)
"""a, b, c of each iteration: each p(x) = a x + b x³ + c x⁵ is the nearest to 1 on the interval that
the ones before it make of [0.009, 1], so that all of them together make [0.697, 1.310] of it."""


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

    orth(N) is X after three iterations, whose a, b, c are `ITERATIONS`, from N / ‖N‖₈:

        X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X

    ‖N‖₈ = (Σ σ⁸)^⅛, the norm of Schatten's that (X Xᵀ)² gives for nothing, is closer to the largest
    singular value than Frobenius' norm, so that for matrices of full rank three iterations do what
    five do from there: they leave singular values above 0.009 ‖N‖₈ between 0.7 and 1.31. The factor
    gives an update the size of Adam's, so that one learning rate serves both. A matrix of k times
    as many columns as rows costs 6 k + 3 products of its rows' size, or 2 k + 9 where k > 1.5:
    expensive at small batches, cheap at a thousand examples. Matrices of equal shape are multiplied
    in one batch, and exist at the same time. Products have TF32's precision at least, since the
    iterations are not stable with bfloat16's, which is a TPU's default.

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
    and values separately, and iterate five times from Frobenius' norm; the factor is that of Liu et
    al. 2025, https://arxiv.org/abs/2502.16982, equation 4; how to choose iterations: Amsel et al.
    2025, https://arxiv.org/abs/2505.16932. The state is optax's, whose momentum is averaged and its
    bias corrected.
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
        # Not used here, but in the checkpoints. Optax makes them from Python's numbers: 64-bit ones
        # under x64.
        return state._replace(ns_coeffs=jnp.float32(state.ns_coeffs))

    def update(updates, state, params=None):
        del params
        t = optax.safe_increment(state.count)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        ahead = jax.tree.map(
            lambda m, g: b1 * m + (1 - b1) * g,
            optax.tree.bias_correction(mu, b1, optax.safe_increment(t)),
            optax.tree.bias_correction(updates, b1, t),
        )
        leaves, structure = jax.tree.flatten(ahead)
        axes = jax.tree.leaves(matrices(updates), is_leaf=_is_axes)
        widths = [None] * len(leaves)
        if parts is not None:
            widths = jax.tree.leaves(parts(updates), is_leaf=_is_widths)
        cut = [_cut(leaf, own) for leaf, own in zip(leaves, widths, strict=True)]
        every = [(m, a) for own, a in zip(cut, axes, strict=True) for m in own]
        moved = iter(_each_orthogonal(every))
        whole = [jnp.concatenate(list(islice(moved, len(own))), -1) for own in cut]
        return jax.tree.unflatten(structure, whole), MuonState(t, mu, state.ns_coeffs)

    return optax.GradientTransformation(init, update)


def _cut(leaf: jax.Array, widths: tuple[int, ...] | None) -> list[jax.Array]:
    """The matrices that lie side by side on a leaf's last axis."""
    if widths is None:
        return [leaf]
    if sum(widths) != leaf.shape[-1]:
        raise ValueError(f"parts of widths {widths} do not make up {leaf.shape[-1]}")
    return jnp.split(leaf, list(accumulate(widths))[:-1], axis=-1)


def _each_orthogonal(
    matrices: Iterable[tuple[jax.Array, MuonDimensionNumbers]],
) -> list[jax.Array]:
    """0.2 √max(m, n) · orth of each, with those of equal sides in one batch."""
    flat = [_flat(matrix, axes) for matrix, axes in matrices]
    by_shape: dict[tuple[Any, ...], list[int]] = {}
    for i, (stack, _) in enumerate(flat):
        by_shape.setdefault((stack.dtype, *stack.shape[1:]), []).append(i)
    found: dict[int, jax.Array] = {}
    for (*_, longer), members in by_shape.items():
        stacks = [flat[i][0] for i in members]
        moved = RMS * longer**0.5 * orthogonal(jnp.concatenate(stacks))
        ends = list(accumulate(len(stack) for stack in stacks))[:-1]
        found.update(zip(members, jnp.split(moved, ends), strict=True))
    return [back(found[i]) for i, (_, back) in enumerate(flat)]


def _flat(
    matrix: jax.Array, axes: MuonDimensionNumbers
) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """The matrices `[N, m, n]`, m ≤ n, of a leaf, and the function that puts them back."""
    sides = [
        tuple(a % matrix.ndim for a in (side if isinstance(side, Sequence) else (side,)))
        for side in axes
    ]
    sides.sort(key=lambda side: math.prod(matrix.shape[a] for a in side))
    rest = tuple(a for a in range(matrix.ndim) if a not in (*sides[0], *sides[1]))
    order = (*rest, *sides[0], *sides[1])
    moved = matrix.transpose(order)
    shape = [math.prod(matrix.shape[a] for a in group) for group in (rest, *sides)]
    return moved.reshape(shape), lambda stack: stack.reshape(moved.shape).transpose(
        sorted(range(matrix.ndim), key=order.__getitem__)
    )


def orthogonal(x: jax.Array) -> jax.Array:
    """orth(X) of `muon`, in float32 at least.

    A wide matrix is multiplied twice only, by X Xᵀ's polynomials: with Y = X Xᵀ / ‖X‖₈² and the
    polynomials P = a + b Y + c Y² of each iteration,

        Y ← P Y P,  Q ← P Q,  orth(X) = Q X / ‖X‖₈

    which are the same iterations, as P and Y commute.

    Args:
      x: `[N, m, n]`, N matrices of m ≤ n.

    Returns:
      `[N, m, n]` in x's dtype. Where ‖X‖ is below 1e-12 or so it fades to 0.
    """
    with jax.default_matmul_precision("tensorfloat32"):
        return _orthogonal(x)


def _orthogonal(x: jax.Array) -> jax.Array:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    wide /= jnp.linalg.norm(wide, axis=(1, 2), keepdims=True) + 1e-8  # squares must not underflow
    gram = jnp.einsum("bij,bkj->bik", wide, wide)
    square = gram @ gram
    scale = jnp.maximum(jnp.linalg.norm(square, axis=(1, 2), keepdims=True), 1e-16) ** -0.5
    wide, gram, square = wide * scale**0.5, gram * scale, square * scale**2
    identity = jnp.eye(gram.shape[-1], dtype=gram.dtype)[None]
    product = None
    for k, (a, b, c) in enumerate(ITERATIONS):
        last = k == len(ITERATIONS) - 1
        p = a * identity + b * gram + c * square
        if 3 * wide.shape[1] < 2 * wide.shape[2]:
            product = p if product is None else p @ product
            if not last:
                gram = p @ (p @ gram)
        else:
            wide = p @ wide
            if not last:
                gram = jnp.einsum("bij,bkj->bik", wide, wide)
        if not last:
            square = gram @ gram
    return (wide if product is None else product @ wide).astype(x.dtype)
