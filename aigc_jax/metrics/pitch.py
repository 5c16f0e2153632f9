"""The pitch of sounds, and how far one is from another.

Dimensions: N sounds, T time, L lags.
"""

import numpy as np

_NEARLY = 0.03  # a dip counts that is so little above the deepest
_NEAR = 1.25  # times its lag, within which a deeper dip takes its place
_APERIODIC = 0.5  # a sound whose deepest dip is above has no pitch
_BLOCK = 64  # sounds transformed at once, which bounds the memory
_TAPS = 24  # neighbours on either side from which a correlation is interpolated
_KAISER = 10.0  # their window's β: errors near 1e-5 up to 0.85 of half the rate
_STEPS = 8  # to a sample


def cents(f: np.ndarray | float, g: np.ndarray | float) -> np.ndarray:
    """How far f is above g: 1200 log₂(f / g), 100 to a semitone; both in one unit, and positive."""
    return 1200 * np.log2(np.asarray(f, np.float64) / np.asarray(g, np.float64))


def pitch_of(
    sounds: np.ndarray, rate: float, lowest: float = 60.0, highest: float = 1200.0
) -> np.ndarray:
    """The fundamental frequency of sounds that hold one steady pitch, by YIN.

    Over a window of W = T − L samples, with energies E_τ = Σ_(j<W) x²_(j+τ):

        d(τ) = 1 − Σ_(j<W) x_j x_(j+τ) / √(E_0 E_τ)        d'(τ) = d(τ) / mean_(1≤s≤τ) d(s)

    both at every eighth of a sample, by a windowed sinc. The period is the first dip of d' that is
    at most 0.03 above the deepest one, or the deepest within a quarter behind it, where ripples
    make several, refined by a parabola through d.

    Args:
      sounds: floating point or integers `[N, T]`; what follows a sound may be zeros. A constant is
        taken off.
      rate: samples per second.
      lowest, highest: Hz, between which the pitch is looked for.

    Returns:
      Hz, float64 `[N]`; nan where no dip of d' is below 0.5: silence and noise have no pitch.

    Raises:
      ValueError: a number is not finite, T is less than two periods of `lowest`, or `highest` is
        not above `lowest` or above a quarter of the rate.

    Source: de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music"
    (2002). Their d is the sum of (x_j − x_(j+τ))², at whole samples. Divided by the energies it is
    left as it is by a decay e^(−kt), which would shift its dips. Their threshold is 0.1, of d'.
    """
    sounds = np.asarray(sounds)
    if not 0 < lowest < highest <= rate / 4:
        raise ValueError(f"pitches from {lowest} to {highest} Hz at {rate} samples per second")
    length, longest = sounds.shape[1], int(np.ceil(rate / lowest)) + 1
    if length < 2 * longest:
        raise ValueError(f"{length} samples are less than two periods of {lowest} Hz")
    periods = [
        _periods(sounds[i : i + _BLOCK].astype(np.float64), rate / highest, longest)
        for i in range(0, len(sounds), _BLOCK)
    ]
    return rate / np.concatenate([np.empty(0), *periods])


def _periods(x: np.ndarray, shortest: float, longest: int) -> np.ndarray:
    """In samples, `[N]`; nan where there is none."""
    if not np.isfinite(x).all():
        raise ValueError("sounds that are not finite have no pitch")
    x = x - x.mean(axis=1, keepdims=True)
    similar = _correlation(x / np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-300), longest)
    d = 1 - _interpolated(similar)
    lags = np.arange(1, d.shape[1])
    mean = np.maximum(np.cumsum(d[:, 1:], axis=1), 1e-12) / lags
    normalised = d[:, 1:] / mean
    left, middle, right = normalised[:, :-2], normalised[:, 1:-1], normalised[:, 2:]
    dips = (middle < left) & (middle <= right) & (lags[1:-1] >= shortest * _STEPS)
    depths = np.where(dips, middle, np.inf)
    deepest = depths.min(axis=1)
    inner = lags[1:-1]
    first = inner[(depths <= deepest[:, None] + _NEARLY).argmax(axis=1), None]
    near = (first <= inner) & (inner <= first * _NEAR)
    first = inner[np.where(near, depths, np.inf).argmin(axis=1)]
    before, at, after = (d[np.arange(len(d)), first + side] for side in (-1, 0, 1))
    curvature = np.maximum(before - 2 * at + after, 1e-300)
    periods = (first + np.clip((before - after) / (2 * curvature), -1, 1)) / _STEPS
    return np.where(deepest < _APERIODIC, periods, np.nan)


def _correlation(x: np.ndarray, longest: int) -> np.ndarray:
    """Σ x_j x_(j+τ) / √(E_0 E_τ), for lags τ from −TAPS to `longest` + TAPS, `[N, ·]`."""
    last = longest + _TAPS
    window = x.shape[1] - min(last, x.shape[1] // 2)
    size = 2 ** int(np.ceil(np.log2(x.shape[1] + last + 1)))
    whole = np.fft.rfft(x, size)
    part = np.fft.rfft(x[:, :window], size)
    products = np.fft.irfft(whole * part.conj(), size)
    sums = np.cumsum(np.pad(x**2, ((0, 0), (1, last + 1))), axis=1)
    energies = sums[:, window : window + last + 1] - sums[:, : last + 1]
    # Of what is nearly silent, differences of sums leave rounding alone.
    energies = np.maximum(energies, 1e-12 * sums[:, -1:])
    scale = np.sqrt(np.maximum(energies[:, :1] * energies, 1e-300))
    found = products[:, : last + 1] / scale
    return np.concatenate([found[:, _TAPS:0:-1], found], axis=1)  # it is nearly even


def _interpolated(similar: np.ndarray) -> np.ndarray:
    """From lags −TAPS … `longest` + TAPS to every eighth of one from 0 on, by a windowed sinc.

    A dip between two samples would else look shallower than one at a multiple of its lag.
    """
    distance = np.arange(_STEPS) / _STEPS - np.arange(-_TAPS, _TAPS + 1)[:, None]
    inside = np.clip(distance / (_TAPS + 1), -1, 1)
    kernel = np.sinc(distance) * np.i0(_KAISER * np.sqrt(1 - inside**2))
    around = np.lib.stride_tricks.sliding_window_view(similar, 2 * _TAPS + 1, axis=1)
    return (around @ (kernel / kernel.sum(axis=0))).reshape(len(similar), -1)
