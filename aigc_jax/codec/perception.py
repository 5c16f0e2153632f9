"""In what signals are compared beyond their samples: features of a frozen classifier, or log-mels.

Dimensions: B batch, H W C image, T samples.
"""

import jax
from jax import lax

from aigc_jax import classifier, spectral
from aigc_jax.algorithm import Params
from aigc_jax.codec.model import Perception
from aigc_jax.codec.perceptual import perceptual_distance

_FLOOR = 1e-3


def of_classifier(networks: classifier.Networks) -> Perception:
    """Distances of images `[B, H, W, C]` in the maps of a classifier's convolutions.

    It is to be another one than the evaluator's, of another seed and architecture, or a codec
    would be evaluated by what it was trained on.

    Raises:
      ValueError: the classifier tells no maps.
    """
    maps = networks.maps
    if maps is None:
        raise ValueError("this classifier tells no maps of its layers")

    def distance(params: Params, estimate: jax.Array, x: jax.Array) -> jax.Array:
        return perceptual_distance(maps(params, estimate), lax.stop_gradient(maps(params, x)))

    return Perception(networks.init, distance)


def of_sounds(rate: int, window: int) -> Perception:
    """Distances of sounds `[B, T, 1]` in log-mels of windows W and 2W; see `mel_distance`.

    W is the decoder's: what shorter windows see depends on phases, which Griffin-Lim finds and no
    gradient reaches. Sums of magnitudes below 0.001 count as silence.

    Args:
      rate: samples per second.
      window: W, samples.
    """
    windows = window, 2 * window

    def distance(params: Params, estimate: jax.Array, x: jax.Array) -> jax.Array:
        return spectral.mel_distance(
            estimate[..., 0],
            x[..., 0],
            rate,
            windows=windows,
            bands=[max(5 * size // 32, 1) for size in windows],  # as Kumar et al. 2023
            floor=_FLOOR,
        )

    return Perception(lambda key: (), distance)
