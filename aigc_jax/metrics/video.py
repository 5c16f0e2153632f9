"""Predicted videos beside true ones, frame by frame: squared error, PSNR and SSIM.

Dimensions: N videos, T frames, H W C frame, S samples of each video.
"""

from collections.abc import Callable

import numpy as np

_K1, _K2 = 0.01, 0.03  # of SSIM's constants, as in its source

_Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of two [T, H, W, C], float64 [T]


def squared_error(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Σ_pixels (p − x)², the sum over each frame, in float64.

    Its mean is what tables of Moving MNIST call MSE (blank frames: 172); `.mean(0)` is the curve
    over time.

    Args:
      prediction: `[N, T, H, W, C]` in [0, 1], or uint8, of which 255 counts as 1. It is not
        clipped.
      truth: as many, likewise.

    Returns:
      float64 `[N, T]`.

    Raises:
      ValueError: the two differ in shape, or there are no pixels.

    Source: the definition of Srivastava et al. 2015, https://arxiv.org/abs/1502.04681, and OpenSTL.
    """
    return _by_frame(lambda p, x: np.square(p - x).sum((1, 2, 3)), prediction, truth)


def psnr(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The peak signal-to-noise ratio of each frame, −10 log₁₀ mean_pixels (p − x)², in dB.

    Papers report the mean over frames and videos, which is above the ratio of the mean error.

    Args:
      prediction, truth: see `squared_error`; the prediction is clipped to [0, 1].

    Returns:
      float64 `[N, T]`; ∞ where a frame is the truth.

    Raises:
      ValueError: see `squared_error`.
    """

    def measure(p: np.ndarray, x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return -10.0 * np.log10(np.square(p.clip(0.0, 1.0) - x).mean((1, 2, 3)))

    return _by_frame(measure, prediction, truth)


def ssim(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The structural similarity of each frame, with the window and the constants of its source.

        (2 μ_p μ_x + C₁)(2 σ_px + C₂) / ((μ_p² + μ_x² + C₁)(σ_p² + σ_x² + C₂))

    with C₁ = 0.01² and C₂ = 0.03² for pixels in [0, 1], and means, variances and the covariance
    under a Gaussian window of 11×11 pixels whose standard deviation is 1.5. The mean is over all
    windows that are within the frame, and over the channels.

    Args:
      prediction, truth: see `squared_error`; the prediction is clipped to [0, 1].

    Returns:
      float64 `[N, T]`, 1 where a frame is the truth.

    Raises:
      ValueError: see `squared_error`, or a side has fewer than 11 pixels.

    Source: Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861. The table of OpenSTL is by
    another definition: see `ssim_uniform`.
    """
    offsets = np.arange(11) - 5
    weights = np.exp(-0.5 * np.square(offsets / 1.5))
    weights /= weights.sum()
    return _ssim(prediction, truth, weights, 1.0, 1.0)


def ssim_uniform(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The structural similarity that OpenSTL's table of Moving MNIST reports.

    As `ssim`, but in uniform windows of 7×7 pixels, with variances over 7² − 1, and with the
    constants of a range of 2: the defaults of scikit-image for floats, up to its version 0.19. Of
    two pairs of frames it may rank the other first; its values are not those of `ssim`.

    Args:
      prediction, truth: see `squared_error`; the prediction is clipped to [0, 1].

    Returns:
      float64 `[N, T]`.

    Raises:
      ValueError: see `squared_error`, or a side has fewer than 7 pixels.

    Source: `structural_similarity` of scikit-image, as OpenSTL's `core/metrics.py` calls it.
    """
    return _ssim(prediction, truth, np.full(7, 1 / 7), 49 / 48, 2.0)


def best_of(errors: np.ndarray) -> float:
    """The mean over videos of the least error among S samples, 1/N Σ_i min_s e_is.

    For models that sample, where a video may go on in many ways. It falls with S, so S is part of
    the figure, and it rewards spread: report the mean of all samples beside it.

    Args:
      errors: `[N, S]`, each a video's own, such as `squared_error(...).mean(1)` of one sample.
        Negate what is better where it is higher.

    Raises:
      ValueError: not a matrix, or empty.

    Source: Denton and Fergus 2018, https://arxiv.org/abs/1802.07687, who take the best of 100.
    """
    errors = np.asarray(errors, np.float64)
    if errors.ndim != 2 or not errors.size:
        raise ValueError(f"the best of samples needs errors [N, S], got shape {errors.shape}")
    return float(errors.min(axis=1).mean())


def trivial_predictions(
    given: np.ndarray, frames: int, mean: np.ndarray | float
) -> dict[str, np.ndarray]:
    """What anybody can predict: no light, the last frame again, and the mean image of all videos.

    Args:
      given: `[N, G, H, W, C]`, the frames that a model is shown.
      frames: T, how many follow.
      mean: `[H, W, C]` in the unit of `given`, the mean of the training videos' frames: of all
        predictions that are always the same it has the least squared error.

    Returns:
      `blank`, `last frame` and `mean image`, each `[N, T, H, W, C]`: views that take no memory.

    Raises:
      ValueError: nothing is given, or nothing follows.
    """
    given = np.asarray(given)
    if given.ndim != 5 or not given.shape[1] or frames < 1:
        message = f"predictions need given frames [N, G, H, W, C], got {given.shape}, and a future"
        raise ValueError(message)
    shape = given.shape[0], frames, *given.shape[2:]
    parts = {"blank": np.zeros_like(given[:1, :1]), "last frame": given[:, -1:], "mean image": mean}
    return {name: np.broadcast_to(part, shape) for name, part in parts.items()}


def _by_frame(measure: _Measure, prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The measure of each video in float64, one at a time, which bounds the memory: `[N, T]`."""
    _check_shapes(prediction, truth)
    pairs = zip(np.asarray(prediction), np.asarray(truth), strict=True)
    return np.stack([measure(_unit(p), _unit(x)) for p, x in pairs])


def _check_shapes(prediction: np.ndarray, truth: np.ndarray) -> None:
    shapes = np.shape(prediction), np.shape(truth)
    if shapes[0] != shapes[1] or len(shapes[0]) != 5 or 0 in shapes[0]:
        both = f"{shapes[0]} and {shapes[1]}"
        raise ValueError(f"prediction and truth must be [N, T, H, W, C] both, got {both}")


def _unit(frames: np.ndarray) -> np.ndarray:
    return frames / 255.0 if frames.dtype == np.uint8 else np.asarray(frames, np.float64)


def _ssim(
    prediction: np.ndarray, truth: np.ndarray, weights: np.ndarray, unbiased: float, top: float
) -> np.ndarray:
    """By separable windows `[K]`; variances times `unbiased`, and `top` the range of pixels."""
    _check_shapes(prediction, truth)
    height, width = np.shape(truth)[2:4]
    if min(height, width) < len(weights):
        raise ValueError(
            f"SSIM needs frames of {len(weights)} pixels at least, got {height, width}"
        )
    rows, columns = _windows(height, weights), _windows(width, weights)
    c1, c2 = (_K1 * top) ** 2, (_K2 * top) ** 2

    def smooth(frames: np.ndarray) -> np.ndarray:
        return rows @ np.moveaxis(frames, -1, 1) @ columns.T  # [T, C, H, W]

    def measure(p: np.ndarray, x: np.ndarray) -> np.ndarray:
        p = p.clip(0.0, 1.0)
        mean_p, mean_x = smooth(p), smooth(x)
        variances = unbiased * (smooth(p * p) - mean_p**2 + smooth(x * x) - mean_x**2)
        covariance = unbiased * (smooth(p * x) - mean_p * mean_x)
        above = (2 * mean_p * mean_x + c1) * (2 * covariance + c2)
        below = (mean_p**2 + mean_x**2 + c1) * (variances + c2)
        return (above / below).mean((1, 2, 3))

    return _by_frame(measure, prediction, truth)


def _windows(size: int, weights: np.ndarray) -> np.ndarray:
    """The matrix that takes a line to its means in all windows: `[size − K + 1, size]`."""
    free = size - len(weights)
    return np.stack([np.pad(weights, (start, free - start)) for start in range(free + 1)])
