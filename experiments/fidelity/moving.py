"""How digits move in generated videos, and whether they stay what they are.

Dimensions: N videos, T frames, H W C frame.
"""

import numpy as np

from aigc_jax.data.moving_digits import STEP, MovingDigits
from aigc_jax.metrics.bounces import bounce_error
from aigc_jax.metrics.motion import identity_persistence, motion, track, windows
from experiments.fidelity.features import FeatureNetwork

CLASSIFIED = 28  # pixels, the side of the digits that the classifier of images knows


def is_alone(source: object) -> bool:
    """Whether videos are of one digit, whose place and kind can be told in each frame."""
    if not isinstance(source, MovingDigits):
        return False
    return source.count == 1 and source.train.shape[1] == CLASSIFIED


def motion_of(videos: np.ndarray, source: MovingDigits) -> dict[str, float]:
    """Statistics of the light's centroid; of one digit also the error of its path.

    Args:
      videos: uint8 `[N, T, H, W, C]`, as those of `source` are.
      source: of the real ones.
    """
    if videos.shape[1] < 3:
        return {}
    found = motion(videos)
    known = {
        "speed_px": found.speed,
        "speed_deviation_px": found.speed_deviation,
        "jumps": found.jumps,
        "mass_change": found.mass_change,
        "black_frames": found.black,
    }
    if is_alone(source):
        known["path_error_px"] = path_error(videos, source)
    return known


def path_error(videos: np.ndarray, source: MovingDigits) -> float:
    """The mean `bounce_error`; in black frames a digit counts as in the middle."""
    middle = (np.array(videos.shape[2:4]) - 1) / 2
    centroids = track(videos).centroids
    centroids = np.where(np.isfinite(centroids), centroids, middle)
    free = source.size - source.train.shape[1]
    return float(bounce_error(centroids, free, STEP).mean())


def digits_of(videos: np.ndarray, network: FeatureNetwork) -> np.ndarray:
    """What a classifier of images takes the one digit of each frame for: int `[N, T]`."""
    seen = windows(videos, CLASSIFIED)
    _, labels = network.describe(seen.reshape(-1, *seen.shape[2:]))
    return labels.reshape(seen.shape[:2])


def persistence(videos: np.ndarray, network: FeatureNetwork) -> float:
    """See `identity_persistence`."""
    return identity_persistence(digits_of(videos, network))
