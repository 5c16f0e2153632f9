"""The order of the data, as a pure function of seed and step.

Nothing is iterated, so there is no iterator to save: a run that resumes at step s asks for the
examples of step s.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from aigc_jax.errors import InputError

Order = Callable[[int], np.ndarray]

MOST_SHUFFLED = 2**26  # examples; the permutation of more takes more than 1 GB while it is drawn


def order_of(seed: int, examples: int, batch_size: int) -> Order:
    """`shuffled`, or `drawn` where there are more than `MOST_SHUFFLED` examples."""
    order = shuffled if examples <= MOST_SHUFFLED else drawn
    return order(seed, examples, batch_size)


def drawn(seed: int, examples: int, batch_size: int) -> Order:
    """Every batch is drawn independently, with replacement, and nothing is stored.

    For data of which no run sees a large share: among n draws from N examples about n² / 2N pairs
    coincide. Arguments and errors as for `shuffled`; returns `(step) -> int64 [B]`.
    """
    _check_batch_size(batch_size, examples)
    return lambda step: np.random.default_rng([seed, step]).integers(examples, size=batch_size)


def shuffled(seed: int, examples: int, batch_size: int) -> Order:
    """Every epoch visits the examples in a new random order, without replacement.

    Epoch e is a permutation drawn from (seed, e), cut into ⌊examples / batch_size⌋ batches. The
    remainder is left out of that epoch; which examples those are changes with the permutation.

    Args:
      seed: ≥ 0.
      examples: how many there are.
      batch_size: B.

    Returns:
      `(step) -> int32 [B]`, the examples of that step.

    Raises:
      InputError: the batch size is not in 1 … examples.
    """
    _check_batch_size(batch_size, examples)
    batches = examples // batch_size

    @lru_cache(maxsize=2)  # consecutive steps share an epoch, or span two
    def epoch_order(epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, epoch]).permutation(examples).astype(np.int32)

    def order(step: int) -> np.ndarray:
        epoch, batch = divmod(step, batches)
        return epoch_order(epoch)[batch * batch_size : (batch + 1) * batch_size]

    return order


def _check_batch_size(batch_size: int, examples: int) -> None:
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if batch_size > examples:
        raise InputError(f"batch_size {batch_size} is above the data set's {examples} examples")


def windows(
    tokens: np.ndarray, context: int, first: int = 0, last: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a text so that every token but the first is predicted exactly once.

    Window i holds tokens iT … iT + T, so its last token is the next window's first. The last window
    is padded with token 0, at weight 0.

    Args:
      tokens: int `[M]`, M ≥ 2. Only those of the windows asked for are read.
      context: T.
      first, last: which of the N = ⌈(M − 1) / T⌉ windows: `first` to `last` − 1; None: to N − 1.

    Returns:
      int32 `[windows, T + 1]` and the weights of its targets, float32 `[windows, T]`.
    """
    targets = len(tokens) - 1
    last = min(-(-targets // context), targets if last is None else last)
    count, begin = last - first, first * context
    read = tokens[begin : last * context + 1]
    padded = np.zeros(count * context + 1, np.int32)
    padded[: len(read)] = read
    starts = np.arange(count)[:, None] * context
    weights = (begin + np.arange(count * context) < targets).reshape(count, context)
    return padded[starts + np.arange(context + 1)[None]], weights.astype(np.float32)
