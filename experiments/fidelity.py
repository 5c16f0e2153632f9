"""Judging generated images by a classifier's features, beside a floor and a ceiling.

Everything is quantised to uint8 first, and as many images are drawn as are held out, up to 10,000,
since the figures depend on the number.
"""

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from aigc_jax.data.images import Images
from aigc_jax.data.stacked_mnist import MODES
from aigc_jax.errors import InputError
from aigc_jax.metrics.classes import class_histogram_kl, mode_coverage
from aigc_jax.metrics.frechet import frechet_distance, moments
from aigc_jax.metrics.kid import kid
from aigc_jax.metrics.neighbours import nearest
from aigc_jax.metrics.pixels import shuffled_pixels
from aigc_jax.metrics.prdc import prdc
from experiments.features import FeatureNetwork

JUDGED = 10_000  # images on either side at most
NEIGHBOURS = 5
SEARCHED = 60_000  # training images in which a sample's nearest is looked for
STACKED, MODE_SAMPLES = "stacked_mnist", 26_000  # the one data set whose modes are counted


def quantise(images: np.ndarray) -> np.ndarray:
    """[0, 1] → uint8, by rounding."""
    return np.clip(np.rint(np.asarray(images) * 255), 0, 255).astype(np.uint8)


def pixels(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as features: uint8 `[N, H, W, C]` → float32 `[N, H·W·C]` in [0, 1], of one class."""
    features = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return features, np.zeros(len(images), np.int64)


PIXELS = FeatureNetwork("pixels", 0, "", math.nan, pixels)
"""What judges where there is nothing to learn features from: no classes, so no FCD either."""


def count_of(images: Images) -> int:
    """How many images are judged on either side.

    Raises:
      InputError: too few are held out.
    """
    if len(images.heldout) <= NEIGHBOURS:
        raise InputError(
            f"{images.name} has {len(images.heldout)} held-out images; the figures need "
            f"{NEIGHBOURS + 1}"
        )
    return min(JUDGED, len(images.heldout), len(images.train))


class Judge:
    """The figures of images, against the held-out ones of a data set.

    Args:
      images: the data set.
      network: its feature network, or `PIXELS`, or one of your own: all it needs is `describe` and
        the number of classes.

    Raises:
      InputError: too few images are held out.
    """

    def __init__(self, images: Images, network: FeatureNetwork):
        self.images, self.network = images, network
        self.count = count_of(images)

    @cached_property
    def _heldout(self) -> tuple[np.ndarray, np.ndarray]:
        return self.network.describe(self.images.heldout[: self.count])

    def figures(self, generated: np.ndarray) -> dict[str, float]:
        """By name, for uint8 images `[N, H, W, C]`, N the number held out."""
        (real, real_labels), (features, labels) = self._heldout, self.network.describe(generated)
        found = {"kid": kid(real, features).value, **prdc(real, features, NEIGHBOURS)._asdict()}
        if not self.network.classes:
            return found
        distance = frechet_distance(moments(real), moments(features))
        histogram = class_histogram_kl(labels, real_labels, self.network.classes)
        return {"fcd": distance, **found, "class_kl_nats": histogram}

    def costly(self, draw: Callable[[int], np.ndarray]) -> dict[str, float]:
        """The figures that take longer, for images that `draw(n)` gives as uint8."""
        found = {"nearest_train_distance": self.distance(draw(min(self.count, 1000)))}
        if self.images.name == STACKED:
            _, labels = self.network.describe(draw(MODE_SAMPLES))
            modes = mode_coverage(labels, MODES)
            found |= {"modes": float(modes.found), "modes_kl_nats": modes.kl_nats}
        return found

    def distance(self, generated: np.ndarray) -> float:
        """The mean distance to the nearest training image, pixels in [0, 1]."""
        return float(nearest(self.images.train[:SEARCHED], generated).distance.mean() / 255)

    def references(self, seed: int) -> dict[str, dict[str, float]]:
        """The floor, training images in place of samples, and the ceiling, noise without shape."""
        train, heldout = self.images.train, self.images.heldout
        chosen = np.random.default_rng(seed).choice(len(train), self.count, replace=False)
        floor = self.figures(train[np.sort(chosen)])
        # Training images are at distance 0 from themselves; held-out ones are as far as new ones.
        floor["nearest_train_distance"] = self.distance(heldout[: min(self.count, 1000)])
        noise = shuffled_pixels(train, seed, self.count)
        ceiling = self.figures(noise)
        ceiling["nearest_train_distance"] = self.distance(noise[: min(self.count, 1000)])
        if self.images.name == STACKED:
            shapeless = shuffled_pixels(train, seed, MODE_SAMPLES)
            for found, source in ((floor, train[:MODE_SAMPLES]), (ceiling, shapeless)):
                modes = mode_coverage(self.network.describe(source)[1], MODES)
                found |= {"modes": float(modes.found), "modes_kl_nats": modes.kl_nats}
        return {"training images": floor, "shuffled pixels": ceiling}
