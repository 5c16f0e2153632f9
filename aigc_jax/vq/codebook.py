"""Vector quantisation: a codebook that follows the features by moving averages.

Dimensions: B batch, h w the grid, M = B·h·w positions, D features, K codes.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aigc_jax import parallel
from aigc_jax.algorithm import Key
from aigc_jax.density import sum_per_example, wide
from aigc_jax.errors import InputError
from aigc_jax.vq.model import Quantised, Quantiser, straight_through

_EPSILON = 1e-5  # of the Laplace smoothing, as in Sonnet


class Codebook(NamedTuple):
    """K vectors, and the averages over batches that they are quotients of."""

    vectors: jax.Array  # e [K, D]
    counts: jax.Array  # N [K]: features of a batch whose code is k
    sums: jax.Array  # m [K, D]: the sum of those features


def init(key: Key, codes: int, features: int) -> Codebook:
    """Vectors of length about 1, and averages of 0.

    By averages of 0 a code is dead unless the first batch uses it often, and the first `update`
    that revives takes the vectors from features: the codebook starts where they are.
    """
    vectors = jax.random.normal(key, (codes, features), jnp.float32) / math.sqrt(features)
    return Codebook(
        vectors, jnp.zeros(codes, jnp.float32), jnp.zeros((codes, features), jnp.float32)
    )


def nearest(vectors: jax.Array, features: jax.Array) -> jax.Array:
    """argmin_k ‖f − e_k‖² = argmin_k ‖e_k − ē‖² − 2 (f − ē)·(e_k − ē), the first of equals.

    About the mean ē of the vectors, so that an offset they share, which features in a trained
    encoder may well have, costs no digits. Codes that differ by less than float32's rounding of
    ‖e_k − ē‖² are still treated as equal.

    Args:
      vectors: e, `[K, D]`.
      features: f, `[..., D]`.

    Returns:
      int32 `[...]`. Distances are taken in float32 at least, whatever a backend prefers.
    """
    mean = jnp.mean(wide(vectors), axis=0, keepdims=True)
    e, f = wide(vectors) - mean, wide(features).reshape(-1, vectors.shape[-1]) - mean
    products = jnp.matmul(f, e.T, precision=lax.Precision.HIGHEST)
    distances = jnp.sum(jnp.square(e), axis=-1)[None] - 2.0 * products
    # The first of the least: XLA:CPU takes five times as long for argmin.
    size = len(vectors)
    beyond = distances > jnp.min(distances, axis=-1, keepdims=True)
    codes = jnp.min(jnp.where(beyond, size, jnp.arange(size, dtype=jnp.int32)), axis=-1)
    return codes.reshape(features.shape[:-1])


def commitment(features: jax.Array, vectors: jax.Array) -> jax.Array:
    """Σ_position Σ_d (f − sg(e))²: what keeps the features near the vectors chosen for them.

    A sum, as −log p(x|z) is one, so that β weighs the same whatever the size of grid and features.
    Beside a Gaussian's −log p = Σ (x − μ)² / 2σ² + …, β times this is the −log density of f under
    N(e, I / 2β). Implementations that average both, (1/X) Σ (x − μ)² / v + β' (1/PD) Σ (f − e)²
    with X values of pixels of variance v and P positions, weigh it as β = β' X / 2PD does here at
    σ² = v: their ¼ on MNIST with 7 × 7 positions and D = 64 is 0.031.

    Args:
      features: f, `[B, h, w, D]`.
      vectors: e, `[B, h, w, D]`; no gradient reaches it.

    Returns:
      `[B]`.
    """
    squares = jnp.square(wide(features) - lax.stop_gradient(wide(vectors)))
    return sum_per_example(squares)


def quantise(book: Codebook, features: jax.Array) -> Quantised:
    """Each feature vector of `[B, h, w, D]` replaced by the nearest code's."""
    codes = nearest(book.vectors, lax.stop_gradient(features))
    vectors = book.vectors[codes]
    return Quantised(straight_through(vectors, features), codes, commitment(features, vectors))


def update(
    book: Codebook,
    features: jax.Array,
    codes: jax.Array,
    key: Key,
    axis_name: str | None = None,
    *,
    decay: float = 0.95,
    revive_below: float = 0.03,
) -> tuple[Codebook, jax.Array]:
    """The averages take in a batch, the vectors become their quotients, dead codes are revived.

        n_k = #{i: code_i = k},  s_k = Σ_{i: code_i = k} f_i         over all devices
        N ← γ N + (1 − γ) n,     m ← γ m + (1 − γ) s
        e_k = m_k / Ñ_k,         Ñ_k = (N_k + ε) / (Σ N + K ε) · Σ N

    A code whose N_k is below τ M / K, τ of the mean, takes a feature vector f of the batch, with
    N_k = 2 τ M / K and m_k = N_k f: so it has log ½ / log γ steps in which to be used. With the old
    N_k it would be dead again at the next step; with the old m_k it would go back to where it was.

    Args:
      book: see `Codebook`.
      features: f, `[B, h, w, D]`; no gradient passes.
      codes: int `[B, h, w]`.
      key: decides, with an index in the whole batch, which features are taken; one for all devices.
      axis_name: the mapped axis that splits the batch, if any.
      decay: γ.
      revive_below: τ, a share of the mean use of a code; 0 revives none.

    Returns:
      The codebook, and how many codes were revived, float32 [].

    Source: van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, appendix A.1; the smoothing
    is Sonnet's. Revival: Dhariwal et al. 2020, https://arxiv.org/abs/2005.00341,
    "random restarts".
    """
    size, width = book.vectors.shape
    flat = lax.stop_gradient(wide(features)).reshape(-1, width)
    n, s = parallel.psum(_totals(flat, codes.reshape(-1), size), axis_name)
    counts = decay * book.counts + (1.0 - decay) * n
    sums = decay * book.sums + (1.0 - decay) * s
    total = jnp.sum(counts)
    smoothed = (counts + _EPSILON) / (total + size * _EPSILON) * total
    vectors = sums / smoothed[:, None]
    usual = parallel.psum(len(flat), axis_name) / size  # M / K
    dead = counts < revive_below * usual
    taken = _take_features(flat, size, key, axis_name)
    begun = 2.0 * revive_below * usual
    revived = Codebook(taken, jnp.full(size, begun, jnp.float32), begun * taken)
    found = jax.tree.map(
        lambda new, old: jnp.where(dead.reshape(-1, *(1,) * (new.ndim - 1)), new, old),
        revived,
        Codebook(vectors, counts, sums),
    )
    return found, jnp.sum(dead, dtype=jnp.float32)


def _totals(flat: jax.Array, codes: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """How many features each code has `[K]`, and their sums `[K, D]`."""
    return lax.platform_dependent(
        flat, codes, cpu=partial(_by_addition, size=size), default=partial(_by_product, size=size)
    )


def _by_addition(flat: jax.Array, codes: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """In order on the CPU: 0.02 ms there, where the product takes 1.7 (M 3,136, K 512, D 16)."""
    counts, sums = jnp.zeros(size, flat.dtype), jnp.zeros((size, flat.shape[-1]), flat.dtype)
    return counts.at[codes].add(1.0), sums.at[codes].add(flat)


def _by_product(flat: jax.Array, codes: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """A product of matrices, since GPUs scatter in an order that changes from run to run."""
    chosen = jax.nn.one_hot(codes, size, dtype=flat.dtype)
    sums = jnp.matmul(chosen.T, flat, precision=lax.Precision.HIGHEST)
    return jnp.sum(chosen, axis=0), sums


def _take_features(flat: jax.Array, size: int, key: Key, axis_name: str | None) -> jax.Array:
    """K feature vectors of the whole batch, at K different positions where it has as many.

    One from each of K equal parts of the batch, which begin at a random position.
    """
    positions = parallel.psum(len(flat), axis_name)
    bounds = np.arange(size + 1) * positions // size
    key_start, key_within = jax.random.split(key)
    start = jax.random.randint(key_start, (), 0, positions, jnp.int32)
    within = jax.random.randint(key_within, (size,), 0, np.maximum(np.diff(bounds), 1), jnp.int32)
    index = (jnp.asarray(bounds[:-1]) + within + start) % positions
    # Every device contributes those that it holds.
    local = index - parallel.first_index(len(flat), axis_name)
    held = (local >= 0) & (local < len(flat))
    rows = jnp.where(held[:, None], flat[jnp.clip(local, 0, len(flat) - 1)], 0.0)
    return parallel.psum(rows, axis_name)


def vector_quantiser(
    codes: int = 512, features: int = 16, decay: float = 0.95, revive_below: float = 0.03
) -> Quantiser:
    """K vectors in D dimensions, learned by `update`.

    Args:
      codes: K.
      features: D.
      decay, revive_below: see `update`.

    Raises:
      InputError: fewer than 2 codes, or no features.
    """
    if codes < 2 or features < 1:
        raise InputError(f"{codes} codes of {features} features; take at least 2 codes of 1")
    return Quantiser(
        init=lambda key: init(key, codes, features),
        quantise=quantise,
        look_up=lambda book, chosen: book.vectors[chosen],
        update=partial(update, decay=decay, revive_below=revive_below),
        codes=codes,
        features=features,
    )
