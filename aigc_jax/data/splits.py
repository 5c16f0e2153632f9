"""How examples that nobody has split are split."""

import numpy as np


def tenth_held_out(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of M examples are trained on, and which ⌊M / 10⌋ are held out, as their indices.

    They are the two parts of a permutation that depends on M alone.
    """
    order = np.random.default_rng(count).permutation(count)
    train, heldout = np.split(order, [-(count // 10)])
    return train, heldout
