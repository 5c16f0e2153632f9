"""Losses of a language model, per token, in nats, in float32.

Dimensions: B batch, T positions, D width, V vocabulary.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class Losses(NamedTuple):
    """What is minimised, and what is reported."""

    loss: jax.Array  # [B, T]
    nll: jax.Array  # [B, T], −log p of the label, nats


def next_token_nll(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """−log p(x_{t+1} | x_{≤t}) = logsumexp(l_t) − l_t[x_{t+1}].

    Args:
      logits: l, `[B, T, V]` of any float dtype; the softmax is taken in float32.
      targets: int `[B, T]`, in [0, V).

    Returns:
      `[B, T]` nats.
    """
    return optax.softmax_cross_entropy_with_integer_labels(jnp.float32(logits), targets)


def regularised_nll(
    logits: jax.Array, targets: jax.Array, smoothing: float = 0.0, z_weight: float = 0.0
) -> Losses:
    """(1 − ε) nll + ε / V Σ_v −log p_v + ζ (logsumexp l)².

    Implementations differ in what they call smoothing: here ε is spread over all V symbols, the
    label included, as in PyTorch and optax; the entropy of the smoothed labels is not subtracted.

    Args:
      logits: l, `[B, T, V]`.
      targets: int `[B, T]`.
      smoothing: ε in [0, 1).
      z_weight: ζ, of the penalty that keeps the softmax's normaliser near 1.

    Returns:
      See `Losses`.

    Source: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7; ζ: Chowdhery et al.
    2022, https://arxiv.org/abs/2204.02311, section 5.
    """
    logits = jnp.float32(logits)
    nll = next_token_nll(logits, targets)
    loss = nll
    if smoothing or z_weight:
        normaliser = jax.nn.logsumexp(logits, axis=-1)
        uniform = normaliser - logits.mean(axis=-1)
        loss = (1.0 - smoothing) * nll + smoothing * uniform + z_weight * jnp.square(normaliser)
    return Losses(loss, nll)


def in_chunks(
    losses: Callable[[jax.Array, jax.Array], Losses],
    states: jax.Array,
    targets: jax.Array,
    chunk: int,
) -> Losses:
    """`losses(states, targets)`, a chunk of positions at a time, in either direction.

    The logits of a whole batch, `[B, T, V]`, are often the largest array of a step: four gigabytes
    for 8,192 tokens of a vocabulary of 128,000. Here those of `chunk` positions exist at once; the
    backward pass computes them again.

    Args:
      losses: of states `[B, c, D]` and targets `[B, c]`.
      states: `[B, T, D]`.
      targets: int `[B, T]`.
      chunk: c.

    Returns:
      What `losses` would, `[B, T]`.
    """
    batch, length, width = states.shape
    chunk = min(chunk, length)
    count = -(-length // chunk)
    short = count * chunk - length
    states = jnp.pad(states, ((0, 0), (0, short), (0, 0)))
    targets = jnp.pad(targets, ((0, 0), (0, short)))
    pieces = (
        states.reshape(batch, count, chunk, width).swapaxes(0, 1),
        targets.reshape(batch, count, chunk).swapaxes(0, 1),
    )
    _, found = jax.lax.scan(lambda _, piece: ((), jax.checkpoint(losses)(*piece)), (), pieces)
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(batch, -1)[:, :length], found)
