"""How well waveforms are reconstructed.

Dimensions: N clips, T samples.
"""

import numpy as np

from aigc_jax.errors import InputError

BOUND_DB = 100.0  # beyond what 16 bits resolve, 96 dB


def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The scale-invariant signal-to-distortion ratio of each clip, in dB.

        SI-SDR = 10 log₁₀(‖α s‖² / ‖ŝ − α s‖²),   α = ⟨ŝ, s⟩ / ‖s‖²

    with s the reference and ŝ the estimate, both minus their means over time. α s is the part of
    the estimate that is the reference, at any gain, be it negative. Noise that is uncorrelated with
    the reference and of 1/10 of its energy makes 10 dB. Shifted by a sample, a reconstruction may
    sound the same and score badly.

    Args:
      estimate: ŝ, `[N, T]`, of any unit and dtype.
      reference: s, `[N, T]`, of any unit and dtype.

    Returns:
      float64 `[N]` dB in [−100, 100]: what is beyond is cut. It is −100 where the reference or the
      estimate is silent, that is constant: leave silent references out of a mean.

    Raises:
      InputError: shapes differ or are not `[N, T]`, or a sample is not finite.

    Source: Le Roux et al. 2019, https://arxiv.org/abs/1811.02508; means are removed in
    most implementations.
    """
    s, found = np.asarray(reference), np.asarray(estimate)
    if s.ndim != 2 or s.shape != found.shape or not s.shape[1]:
        message = f"SI-SDR needs two sets of clips [N, T]; got shapes {found.shape} and {s.shape}"
        raise InputError(message)
    if not (np.isfinite(s).all() and np.isfinite(found).all()):
        raise InputError("SI-SDR needs finite samples; the estimate or the reference has others")
    s, found = _normalised(s), _normalised(found)
    target = (found * s).sum(axis=1, keepdims=True) * s
    signal, noise = (np.square(x).sum(axis=1) for x in (target, found - target))
    bound = 10.0 ** (BOUND_DB / 10)
    # Where both are 0, the estimate is silent.
    loud = signal > 0
    floored = np.maximum(noise, signal / bound)
    ratio = np.divide(signal, floored, out=np.zeros_like(signal), where=loud)
    return 10.0 * np.log10(np.maximum(ratio, 1.0 / bound))


def _normalised(x: np.ndarray) -> np.ndarray:
    """Minus the mean and of norm 1, in float64; 0 where x is constant: `[N, T]`."""
    x = x.astype(np.float64)
    # In units of the largest sample a constant is 1, whose mean is exact.
    largest = np.abs(x).max(axis=1, keepdims=True)
    x = np.divide(x, largest, out=np.zeros_like(x), where=largest > 0)
    x -= x.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.square(x).sum(axis=1, keepdims=True))
    return np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)
