"""In what signals are compared beyond their samples: features of a frozen classifier, or log-mels.

Dimensions: B batch, H W C image, T samples.
"""

import math

import jax
from jax import lax

from aigc_jax import classifier, spectral
from aigc_jax.algorithm import Params
from aigc_jax.codec.model import Perception
from aigc_jax.codec.perceptual import perceptual_distance

_FLOOR = 1e-3
_BANDS = 40, 80


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


def of_sounds(rate: int) -> Perception:
    """Distances of sounds `[B, T, 1]` in log-mels of two windows; see `mel_distance`.

    Of about 32 and 64 ms, powers of 2, in which a decoder's magnitudes tell most. What shorter
    ones see depends on phases, which Griffin-Lim finds and no gradient reaches. Sums of magnitudes
    below 0.001 count as silence.

    Args:
      rate: samples per second.
    """
    shorter = 2 ** max(round(math.log2(0.032 * rate)), 2)
    windows = shorter, 2 * shorter

    def distance(params: Params, estimate: jax.Array, x: jax.Array) -> jax.Array:
        return spectral.mel_distance(
            estimate[..., 0], x[..., 0], rate, windows=windows, bands=_BANDS, floor=_FLOOR
        )

    return Perception(lambda key: (), distance)
