"""How things move in videos: whether they stay what they are, and whether they glide and bounce.

Dimensions: N videos, T frames, H W C frame.
"""

from typing import NamedTuple

import numpy as np

JUMP = 1.5  # pixels; truncation to whole pixels alone changes a step by one


class Track(NamedTuple):
    """Where the light of each frame is, and how much of it there is."""

    centroids: np.ndarray  # float64 [N, T, 2], row and column in pixels; nan where a frame is black
    mass: np.ndarray  # float64 [N, T], the sum over pixels of [0, 1]


class Motion(NamedTuple):
    """Statistics of videos in which one thing moves."""

    speed: float  # pixels a frame, the mean over all steps
    speed_deviation: float  # its standard deviation over all steps
    jumps: float  # share of axis-steps whose second difference is above `JUMP`
    mass_change: float  # the mean over frames of |mass / mean mass of its video − 1|
    black: float  # share of frames without light, of which the others know nothing


def identity_persistence(labels: np.ndarray) -> float:
    """The share of later frames that are labelled as the first is.

        1/N Σ_i 1/(T − 1) Σ_{t ≥ 2} [label_it = label_i1]

    The first frame is not counted, as it always agrees. A classifier that errs on real frames
    lowers the figure too, so the real videos' own is the ceiling to report beside it.

    Args:
      labels: int `[N, T]`, T ≥ 2, a classifier's label of each frame.

    Raises:
      ValueError: not a matrix of integers, or fewer than two frames.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not len(labels) or labels.shape[1] < 2:
        found = f"{labels.dtype} {labels.shape}"
        raise ValueError(f"persistence needs integer labels [N, T] with T >= 2, got {found}")
    return float((labels[:, 1:] == labels[:, :1]).mean())


def track(videos: np.ndarray) -> Track:
    """The centroid of each frame's light, Σ_pixels x · (row, column) / Σ_pixels x, in float64.

    A grey background draws it to the middle: measure real videos that went through the same
    decoder beside those of a model.

    Args:
      videos: `[N, T, H, W, C]` in [0, 1], or uint8, of which 255 counts as 1. Channels are
        averaged, and what is negative counts as black.

    Raises:
      ValueError: not five dimensions.
    """
    videos = np.asarray(videos)
    if videos.ndim != 5:
        raise ValueError(f"a track needs videos [N, T, H, W, C], got shape {videos.shape}")
    top = 255.0 if videos.dtype == np.uint8 else 1.0
    parts = [_track_of(np.maximum(video, 0).mean(-1, dtype=np.float64) / top) for video in videos]
    return Track(*map(np.stack, zip(*parts, strict=True)))


def _track_of(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = frames.sum(2), frames.sum(1)
    mass = rows.sum(1)
    moments = np.stack([side @ np.arange(side.shape[1]) for side in (rows, columns)], -1)
    lit = np.where(mass > 0, mass, np.nan)
    return moments / lit[:, None], mass


def windows(videos: np.ndarray, side: int) -> np.ndarray:
    """The square around the light of each frame, as a classifier of still images is to see it.

    Its corner is the centroid less side / 2, to whole pixels, so that the middle of MNIST's digits,
    at (14, 14) of 28 pixels, comes to where it was. Beyond the frame there is black; of a black
    frame it is the square in the middle.

    Args:
      videos: `[N, T, H, W, C]`; see `track`.
      side: in pixels.

    Returns:
      `[N, T, side, side, C]`, of the same type.
    """
    videos = np.asarray(videos)
    middle = (np.array(videos.shape[2:4]) - 1) / 2
    centroids = track(videos).centroids
    centroids = np.where(np.isfinite(centroids), centroids, middle)
    corners = np.rint(centroids - side / 2).astype(int) + side
    bordered = np.pad(videos, ((0, 0), (0, 0), (side, side), (side, side), (0, 0)))
    found = np.empty((*videos.shape[:2], side, side, videos.shape[-1]), videos.dtype)
    for i, t in np.ndindex(*videos.shape[:2]):
        row, column = corners[i, t]
        found[i, t] = bordered[i, t, row : row + side, column : column + side]
    return found


def motion(videos: np.ndarray) -> Motion:
    """Statistics of the centroid's path, c_t, for videos in which one thing moves.

        speed ‖c_{t+1} − c_t‖;  second difference |c_{t+2} − 2 c_{t+1} + c_t| along either axis

    Real ones of Moving MNIST (one digit, 64 pixels): speed 3.48 ± .66, and 8.9 % of second
    differences above 1.5 pixels, the bounces; the mass is constant. With two digits the centroid is
    of both, and the speed 2.4.

    Args:
      videos: see `track`; T ≥ 3. Steps from or to a black frame are left out.

    Returns:
      Shares and pixels; nan where no frames are left.

    Raises:
      ValueError: not five dimensions, or fewer than three frames.
    """
    if np.ndim(videos) == 5 and (np.shape(videos)[1] < 3 or not len(videos)):
        raise ValueError(f"motion needs videos of three frames at least, got {np.shape(videos)}")
    centroids, mass = track(videos)
    speeds = np.linalg.norm(np.diff(centroids, axis=1), axis=-1)
    speeds = speeds[np.isfinite(speeds)]
    second = np.abs(np.diff(centroids, n=2, axis=1))
    second = second[np.isfinite(second)]
    lit = mass > 0
    usual = mass.sum(1) / np.maximum(lit.sum(1), 1)
    changes = np.abs(mass / np.where(usual > 0, usual, 1.0)[:, None] - 1.0)[lit]
    nan = float("nan")
    return Motion(
        float(speeds.mean()) if speeds.size else nan,
        float(speeds.std()) if speeds.size else nan,
        float((second > JUMP).mean()) if second.size else nan,
        float(changes.mean()) if changes.size else nan,
        float(1.0 - lit.mean()),
    )
