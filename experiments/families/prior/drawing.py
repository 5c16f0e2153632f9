"""Signals from codes that a prior writes.

Dimensions: N signals, S a signal's sides, C channels, A attributes, n stages.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from aigc_jax import codec
from aigc_jax.algorithm import Key, State
from aigc_jax.codec import prior_config
from aigc_jax.transformer import Source
from experiments.data.captions import rows_of
from experiments.data.signals import integers

ROWS = {"image": 250, "audio": 50, "video": 8}  # signals written at once


@lru_cache(maxsize=8)
def _writing(sample: Callable, decode: Callable, names: tuple, rows: int, sides: tuple) -> Callable:
    """Codes written and decoded, compiled for `rows` signals, the same each time."""

    def write(state, key, labels, captions, prompt):
        told = {"labels": labels, "captions": captions, "prompt": prompt}
        codes = sample(state, key, rows, **told, **dict(names))
        return decode(state.coder, codes, sides)

    return jax.jit(write)


def draw(
    state: State,
    key: Key,
    num: int,
    made: prior_config.Prior,
    coding: codec.Codec,
    medium: str,
    sides: tuple[int, ...],
    labels: np.ndarray | None = None,
    captions: Source | None = None,
    prompt: np.ndarray | None = None,
    **how: Any,
) -> np.ndarray:
    """`num` signals, integers `[num, *S, C]`.

    Args:
      state: of a trained prior.
      key: signal i depends on it and on i alone.
      num: how many.
      made, coding: the prior, and the codec whose parameters are in its state.
      medium, sides: of the signals.
      labels: int `[num, A]`, −1 for unknown; None: all values of each attribute in turn.
      captions: of `num` rows; None: all unknown.
      prompt: codes `[num, P, …, n]` that the signals begin with; see `prior.sample`.
      how: guidance, passes, temperature and sampling; see `prior.sample`.
    """
    sizes = made.of.conditions.sizes
    if labels is None and sizes:
        labels = in_turn(num, sizes)
    if not sizes:
        labels = None
    if not made.of.told:
        how = {**how, "guidance": 1.0}
    rows, found = ROWS[medium], []
    write = _writing(made.sample, coding.decode, tuple(sorted(how.items())), rows, sides)
    for i in range(0, num, rows):
        own = np.resize(np.arange(i, min(i + rows, num)), rows)
        told = None if labels is None else labels[own]
        begun = None if prompt is None else prompt[own]
        part = rows_of(captions, own)
        signals = write(state, jax.random.fold_in(key, i), told, part, begun)
        found.append(integers(signals, medium)[: num - i])
    return np.concatenate(found)


def in_turn(num: int, sizes: tuple[int, ...]) -> np.ndarray:
    """All combinations of values, the first attribute the fastest: int32 `[num, A]`."""
    index, columns = np.arange(num), []
    for size in sizes:
        columns.append(index % size)
        index = index // size
    return np.stack(columns, axis=1).astype(np.int32)
