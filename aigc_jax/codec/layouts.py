"""Codes on a grid as sequences of tokens, and back: exact bijections.

The codes of stage i are the tokens i K … i K + K − 1, so that a token says which stage it is of.

Dimensions: B batch, G the grid's sides, P its positions, N stages, K codes, L tokens, R sequences
side by side.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Layout(NamedTuple):
    """An order of the codes of a grid.

    Attributes:
      tokens_of: codes int `[B, *G, N]` → int32 `[B, R, L]`.
      codes_of: the inverse.
      first: int `[R, L]`, the least token that can stand at a place; there are `choices[r, l]` of
        them.
      choices: int `[R, L]`: K, or 1 for padding.
      sequences: R.
      length: L.
      shape: of an example's codes, (*G, N).
      codes: K.
      vocabulary_size: N K, and 1 for padding where there is some.
      prefix: `(leading) -> l`: how many tokens the first `leading` positions of G's first axis are.
    """

    tokens_of: Callable[[jax.Array], jax.Array]
    codes_of: Callable[[jax.Array], jax.Array]
    first: np.ndarray
    choices: np.ndarray
    sequences: int
    length: int
    shape: tuple[int, ...]
    codes: int
    vocabulary_size: int
    prefix: Callable[[int], int]


def raster(grid: Sequence[int], stages: int, codes: int) -> Layout:
    """One sequence in the order of reading: rows of an image, frames of a video or of a sound.

    The stages of a position stand together, the coarsest first. A video's frames follow each other,
    each in the order of an image, so that no code comes before one of an earlier frame.

    Args:
      grid: G.
      stages: N.
      codes: K.
    """
    shape, size = (*grid, stages), math.prod(grid) * stages
    offsets = np.tile(np.arange(stages) * codes, math.prod(grid)).astype(np.int32)

    def spread(tokens: jax.Array) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(offsets), tokens.shape)

    def tokens_of(found: jax.Array) -> jax.Array:
        flat = found.astype(jnp.int32).reshape(-1, 1, size)
        return flat + spread(flat)

    def codes_of(tokens: jax.Array) -> jax.Array:
        return (tokens - spread(tokens)).reshape(-1, *shape)

    per_position = size // grid[0]
    return Layout(
        tokens_of,
        codes_of,
        offsets[None],
        np.full((1, size), codes),
        1,
        size,
        shape,
        codes,
        stages * codes,
        lambda leading: leading * per_position,
    )


def delay(grid: Sequence[int], stages: int, codes: int) -> Layout:
    """A sequence for each stage, side by side: that of stage i begins i steps later.

    token of stage i at l = code of stage i at position l − i, so that at each step all stages are
    drawn at once, each knowing the coarser ones of its own position. Positions are in the order of
    reading, as in `raster`. The L = P + N − 1 steps for P positions take the place of P N. What is
    not a code, at both ends, is the token N K.

    Args:
      grid: G.
      stages: N.
      codes: K.

    Source: Copet et al. 2023 (MusicGen), https://arxiv.org/abs/2306.05284, section 2.2, who have
    positions in time alone.
    """
    times = math.prod(grid)
    length, padding = times + stages - 1, stages * codes
    steps, stage = np.arange(length)[None], np.arange(stages)[:, None]
    real = (steps >= stage) & (steps < stage + times)

    def tokens_of(found: jax.Array) -> jax.Array:
        own = found.astype(jnp.int32).reshape(-1, times, stages).swapaxes(1, 2)
        offsets = jnp.arange(stages, dtype=jnp.int32)[None, :, None] * codes
        own = own + jnp.broadcast_to(offsets, own.shape)
        rows = [
            jnp.pad(own[:, i], ((0, 0), (i, stages - 1 - i)), constant_values=padding)
            for i in range(stages)
        ]
        return jnp.stack(rows, axis=1)

    def codes_of(tokens: jax.Array) -> jax.Array:
        rows = [tokens[:, i, i : i + times] - i * codes for i in range(stages)]
        return jnp.stack(rows, axis=-1).reshape(-1, *grid, stages)

    return Layout(
        tokens_of,
        codes_of,
        np.where(real, stage * codes, padding),
        np.where(real, codes, 1),
        stages,
        length,
        (*grid, stages),
        codes,
        padding + 1,
        lambda leading: leading * (times // grid[0]),
    )


LAYOUTS = {"raster": raster, "delay": delay}
