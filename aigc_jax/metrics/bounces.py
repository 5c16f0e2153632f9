"""How far what moves in a video is from the nearest path of gliding and bouncing.

Dimensions: N videos, T frames, P starts, V velocities.
"""

import numpy as np

ANGLES = 720  # directions that are tried
STARTS = 73  # places on either axis that are tried
_BLOCK = 64  # videos at once, which bounds the memory


def bounce_error(centroids: np.ndarray, free: float, step: float = 0.1) -> np.ndarray:
    """The root mean squared distance from the nearest path that moving digits can take, in pixels.

        min over θ, p_0 and o of  (1/T Σ_t ‖c_t − o − F q_t‖²)^½

    q is a path on the unit square as `data.moving_digits` makes it: at every frame and along either
    axis q ← q + b s (sin θ, cos θ), and where that leaves [0, 1], q ← 0 or 1 and b ← −b. So speed
    and direction are kept but for turns at the borders. The offset o is free, as the centroid of a
    digit is anywhere within its square: of a path its shape counts.

    A path that is off by σ pixels on either axis in each frame has an error of 1.3 to 1.4 σ. Digits
    of real videos are drawn at whole pixels and have one of .41 ± .04 (500 videos of 20 frames),
    the floor. As θ and p_0 are sought on a grid, paths without rounding have .08 (their mean).

    Args:
      centroids: `[N, T, 2]`, finite; see `motion.track`.
      free: F, in pixels: the side of the frame less that of the digit.
      step: s, the length of a step as a share of F.

    Returns:
      float64 `[N]`.

    Raises:
      ValueError: they are of another shape, or not finite.

    Source: ours.
    """
    centroids = np.asarray(centroids, np.float64)
    if centroids.ndim != 3 or centroids.shape[-1] != 2 or not np.isfinite(centroids).all():
        raise ValueError(f"bounces need finite centroids [N, T, 2], got {centroids.shape}")
    angles = 2 * np.pi * np.arange(ANGLES) / ANGLES
    starts = np.linspace(0.0, 1.0, STARTS)
    axes = [
        _centred(free * _paths(starts, step * component, centroids.shape[1]))
        for component in (np.sin(angles), np.cos(angles))
    ]
    found = [
        _nearest(_centred(np.moveaxis(centroids[i : i + _BLOCK], -1, 0)), axes)
        for i in range(0, len(centroids), _BLOCK)
    ]
    return np.sqrt(np.concatenate([np.zeros(0), *found]))


def _paths(starts: np.ndarray, velocities: np.ndarray, frames: int) -> np.ndarray:
    """Of one axis, from each start at each velocity: `[P, V, T]`."""
    place = np.repeat(starts[:, None], len(velocities), axis=1)
    velocity = np.repeat(velocities[None], len(starts), axis=0)
    found = np.empty((*place.shape, frames))
    for t in range(frames):
        place = place + velocity
        velocity = np.where((place <= 0) | (place >= 1), -velocity, velocity)
        place = found[..., t] = place.clip(0, 1)
    return found


def _centred(paths: np.ndarray) -> np.ndarray:
    """Less their mean over time, which leaves what no offset changes."""
    return paths - paths.mean(-1, keepdims=True)


def _nearest(tracks: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Mean squared distances from the nearest path: `[2, N, T]` and two of `[P, V, T]` → `[N]`.

    The axes share θ, and each has a start of its own.
    """
    total: np.ndarray | float = 0.0
    for track, paths in zip(tracks, axes, strict=True):
        cross = np.tensordot(track, paths, axes=(-1, -1))  # [N, P, V]
        squares = np.square(track).sum(-1)[:, None, None] + np.square(paths).sum(-1)
        total = total + (squares - 2 * cross).min(axis=1)
    return np.maximum(total, 0.0).min(axis=1) / tracks.shape[-1]
