"""Continuations of held-out videos beside the truth.

Dimensions: N videos, G frames that are given, T frames in all, H W C frame.
"""

from collections.abc import Callable

import numpy as np

from aigc_jax.data.moving_digits import MovingDigits
from aigc_jax.metrics.motion import identity_persistence
from aigc_jax.metrics.video import best_of, squared_error
from experiments.families.codec.evaluator import frame_errors
from experiments.fidelity import moving
from experiments.fidelity.signals import Judges

PREDICTED = 64  # videos, at most
SAMPLES = 10  # of which the best counts, or the mean


def errors(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of frames `[N, T − G, H, W, C]`, uint8 or in [0, 1], by metric."""
    return {f"prediction_{name}": error for name, error in frame_errors(predicted, truth).items()}


def of_samples(draw: Callable[[int], np.ndarray], truth: np.ndarray) -> dict[str, float]:
    """The squared error of the best of `SAMPLES`, see `best_of`, and that of their mean.

    The mean of what may follow is the prediction of the least expected squared error, so that of
    samples is what compares with models that are trained to predict a single future.

    Args:
      draw: `(s) -> ` the s-th sample of the frames, uint8 `[N, T − G, H, W, C]`.
      truth: as many.
    """
    found, total = [], np.zeros(truth.shape)
    for s in range(SAMPLES):
        sample = draw(s)
        found.append(squared_error(sample, truth).mean(1))
        total += sample / 255
    return {
        f"prediction_mse_summed_best_of_{SAMPLES}": best_of(np.stack(found, axis=1)),
        f"prediction_mse_summed_mean_of_{SAMPLES}": float(
            squared_error(total / SAMPLES, truth).mean()
        ),
    }


def plausible(
    continued: np.ndarray, truth: np.ndarray, given: int, judges: Judges, source: object
) -> dict[str, float]:
    """Whether a digit goes on as the one that was given: its kind, and its path.

    Args:
      continued: whole videos uint8 `[N, T, H, W, C]`, of which G are as they were given or coded.
      truth: as many, the real ones.
      given: G.
      judges: of the data.
      source: the data; there are no such metrics but of videos of one digit.
    """
    if judges.frames is None or not isinstance(source, MovingDigits):
        return {}
    first = moving.digits_of(truth[:, :1], judges.frames)
    later = moving.digits_of(continued[:, given:], judges.frames)
    return {
        "prediction_persistence": identity_persistence(np.concatenate([first, later], axis=1)),
        "prediction_path_error_px": moving.path_error(continued, source),
    }
