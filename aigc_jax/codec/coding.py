"""Signals to codes and back.

Dimensions: B batch, S the signal's sides, C channels, G the grid's sides, N stages.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax.codec.model import Coder, Networks, State, check_signals
from aigc_jax.codec.residual import ResidualQuantiser
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices


def coder_of(state: State) -> Coder:
    """What is needed of a trained state: the averaged parameters, and the quantiser."""
    return Coder(state.eval_params, state.quantiser)


def encode(
    coder: Coder, signals: jax.Array, *, networks: Networks, quantiser: ResidualQuantiser
) -> jax.Array:
    """Signals `[B, *S, C]` → codes int32 `[B, *G, N]`.

    Raises:
      InputError: signals of another rank or number of channels, or of no extent.
    """
    check_signals(signals, networks)
    features = networks.encode(coder.params, signals)
    return quantiser.quantise(coder.quantiser, features).codes


def decode(
    coder: Coder,
    codes: jax.Array,
    sides: Sequence[int],
    *,
    networks: Networks,
    quantiser: ResidualQuantiser,
) -> jax.Array:
    """Codes int `[B, *G, n]`, of the first n ≤ N stages → signals `[B, *S, C]`.

    Args:
      coder: see `coder_of`.
      codes: the codes.
      sides: S; the grid of S must be G.
      networks, quantiser: what the codec is made of.

    Raises:
      InputError: one is not a code, there are more stages than the codec has, the sides are not
        those of a signal, or the grid is that of others.
    """
    codes = check_choices("codes", codes, quantiser.codes)
    if not 1 <= codes.shape[-1] <= quantiser.stages:
        raise InputError(f"codes are of 1 to {quantiser.stages} stages, got {codes.shape[-1]}")
    sides = tuple(sides)
    if len(sides) != networks.axes or min(sides) < 1:
        raise InputError(f"sides are {networks.axes} of at least 1, got {sides}")
    if codes.shape[1:-1] != networks.grid(sides):
        raise InputError(
            f"a signal of {sides} has codes on a grid of {networks.grid(sides)}, not "
            f"{codes.shape[1:-1]}"
        )
    vectors = quantiser.look_up(coder.quantiser, jnp.asarray(codes))
    return networks.decode(coder.params, vectors, sides)


def reconstruct(
    coder: Coder, signals: jax.Array, *, networks: Networks, quantiser: ResidualQuantiser
) -> jax.Array:
    """Signals → codes → signals: both `[B, *S, C]`."""
    parts: dict[str, Any] = {"networks": networks, "quantiser": quantiser}
    return decode(coder, encode(coder, signals, **parts), signals.shape[1:-1], **parts)
