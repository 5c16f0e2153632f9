"""Evaluates generated images in a classifier's features, beside what a perfect sampler would reach.

All images are quantised to uint8 first. As many are generated as are held out, up to 10,000, since
the metrics depend on the number.
"""

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from aigc_jax.data.images import Images
from aigc_jax.data.stacked_mnist import MODES
from aigc_jax.errors import InputError
from aigc_jax.metrics.classes import (
    class_histogram_kl,
    expected_class_histogram_kl,
    expected_mode_kl,
    mode_coverage,
)
from aigc_jax.metrics.frechet import (
    enough,
    expected_distance,
    frechet_distance,
    mean_distance_by_class,
    moments,
)
from aigc_jax.metrics.kid import kid
from aigc_jax.metrics.neighbours import nearest
from aigc_jax.metrics.pixels import shuffled_pixels
from aigc_jax.metrics.prdc import expected_coverage, prdc
from experiments.fidelity.features import FeatureNetwork

EVALUATED = 10_000  # generated and held-out images each, at most
NEIGHBOURS = 5
SEARCHED = 60_000  # training images among which a sample's nearest is sought
STACKED, MODE_SAMPLES = "stacked_mnist", 26_000  # the one data set whose modes are counted


def quantise(images: np.ndarray) -> np.ndarray:
    """[0, 1] → uint8, by rounding."""
    return np.clip(np.rint(np.asarray(images) * 255), 0, 255).astype(np.uint8)


def pixels(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as features: uint8 `[N, H, W, C]` → float32 `[N, H·W·C]` in [0, 1], of one class."""
    features = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return features, np.zeros(len(images), np.int64)


PIXELS = FeatureNetwork("pixels", 0, "", math.nan, pixels)
"""Stands in where there are no labels to learn features from: no classes, so no FCD either."""


def count_of(images: Images) -> int:
    """How many generated images are evaluated against as many held-out ones.

    Raises:
      InputError: too few are held out.
    """
    if len(images.heldout) <= NEIGHBOURS:
        raise InputError(
            f"{images.name} has {len(images.heldout)} held-out images; the metrics need "
            f"{NEIGHBOURS + 1}"
        )
    return min(EVALUATED, len(images.heldout), len(images.train))


class Evaluator:
    """Metrics of generated images against the held-out images of a data set.

    Args:
      images: the data set.
      network: its feature network, or `PIXELS`, or one of your own: all it needs is `describe` and
        the number of classes.
      conditional: whether the generator is given class labels, and evaluated on how well it
        follows them.

    Raises:
      InputError: too few images are held out, or `conditional` and too few of each class.
    """

    def __init__(self, images: Images, network: FeatureNetwork, conditional: bool = False):
        self.images, self.network = images, network
        self.count = count_of(images)
        self.conditional = conditional
        if conditional:
            check_classes(images, network.classes)

    @cached_property
    def _heldout(self) -> tuple[np.ndarray, np.ndarray]:
        return self.network.describe(self.images.heldout[: self.count])

    def metrics(self, generated: np.ndarray, asked: np.ndarray | None = None) -> dict[str, float]:
        """Metrics by name, for uint8 images `[N, H, W, C]`, N the number held out.

        Args:
          generated: the images.
          asked: int `[N]`, the classes that a conditional generator was given.
        """
        (real, real_labels), (features, labels) = self._heldout, self.network.describe(generated)
        found = {"kid": kid(real, features).value, **prdc(real, features, NEIGHBOURS)._asdict()}
        if not self.network.classes:
            return found
        distance = frechet_distance(moments(real), moments(features))
        histogram = class_histogram_kl(labels, real_labels, self.network.classes)
        found = {"fcd": distance, **found, "class_kl_nats": histogram}
        if asked is None:
            return found
        by_class = mean_distance_by_class(real, self._classes, features, asked)
        accuracy = float(np.mean(labels == asked))
        return {"class_fcd": by_class, "label_accuracy": accuracy, **found}

    @property
    def _classes(self) -> np.ndarray:
        """The data set's own labels of the held-out images."""
        return np.asarray(self.images.heldout_labels)[: self.count]

    def final_metrics(self, draw: Callable[[int], np.ndarray]) -> dict[str, float]:
        """The metrics that take too long for every evaluation; `draw(n)` gives images as uint8."""
        found = {"nearest_train_distance": self.distance(draw(min(self.count, 1000)))}
        return found | self._modes(draw)

    def _modes(self, draw: Callable[[int], np.ndarray]) -> dict[str, float]:
        if self.images.name != STACKED:
            return {}
        modes = mode_coverage(self.network.describe(draw(MODE_SAMPLES))[1], MODES)
        return {"modes": float(modes.found), "modes_kl_nats": modes.kl_nats}

    def distance(self, generated: np.ndarray) -> float:
        """The mean distance to the nearest training image, pixels in [0, 1]."""
        return float(nearest(self.images.train[:SEARCHED], generated).distance.mean() / 255)

    def expected(self) -> dict[str, float]:
        """The metrics expected of a perfect sampler, one that draws from the held-out images'
        distribution; those whose expectation is not known are left out.

        The classifier's training images play no part: moments and accuracy are of held-out images.
        """
        (real, real_labels), n = self._heldout, self.count
        found = {"kid": 0.0, "density": 1.0, "coverage": expected_coverage(n, n, NEIGHBOURS)}
        # As far from the training images as new images of the same kind are.
        found["nearest_train_distance"] = self.distance(self.images.heldout[: min(n, 1000)])
        if not self.network.classes:
            return found
        if enough(n, real.shape[1]):
            found["fcd"] = expected_distance(real, n, n)
        found["class_kl_nats"] = expected_class_histogram_kl(real_labels, n)
        if self.conditional:
            found["label_accuracy"] = float(np.mean(real_labels == self._classes))
            of_class = [real[self._classes == c] for c in np.unique(self._classes)]
            of_class = [x for x in of_class if len(x) > 1]
            if all(enough(len(x), x.shape[1]) for x in of_class):
                expected = [expected_distance(x, len(x), len(x)) for x in of_class]
                found["class_fcd"] = float(np.mean(expected))
        if self.images.name == STACKED:
            missed = (1 - 1 / MODES) ** MODE_SAMPLES
            found["modes"] = MODES * (1 - missed)
            found["modes_kl_nats"] = expected_mode_kl(MODE_SAMPLES, MODES)
        return found

    def baselines(self, seed: int) -> dict[str, dict[str, float]]:
        """Beside `expected`: training images in place of samples, and pixels without shape.

        The feature network was itself trained on the training images, so their features are not
        quite those of new images; and where the two parts of a data set differ, as MNIST's do,
        their metrics include that. Images of shuffled pixels are an example of poor samples, not a
        bound: a generator can do worse.
        """
        train, noise = self.images.train, shuffled_pixels(self.images.train, seed, self.count)
        chosen = np.random.default_rng(seed).choice(len(train), self.count, replace=False)
        chosen = np.sort(chosen)
        asked = None
        if self.conditional:
            asked = np.asarray(self.images.train_labels)[chosen]
        known = self.metrics(train[chosen], asked)
        known["nearest_train_distance"] = 0.0
        shapeless = self.metrics(noise, asked)
        shapeless["nearest_train_distance"] = self.distance(noise[: min(self.count, 1000)])
        known |= self._modes(lambda n: train[:n])
        shapeless |= self._modes(lambda n: shuffled_pixels(train, seed, n))
        return {
            "perfect sampler (expected)": self.expected(),
            "training images": known,
            "shuffled pixels": shapeless,
        }


def check_classes(images: Images, classes: int) -> None:
    """Refuses class-conditional training and evaluation where they are impossible.

    Raises:
      InputError: a class has no training image, or no class has the two held-out images that a
        distance takes.
    """
    if len(np.unique(np.asarray(images.train_labels))) < classes:
        raise InputError(
            f"--conditional needs training images of each of the {classes} classes "
            "(labels 0, 1, ...)"
        )
    labels = np.asarray(images.heldout_labels)[: count_of(images)]
    if np.bincount(labels).max() < 2:
        raise InputError(
            f"--conditional is evaluated per class, and no class of {images.name} has two held-out "
            "images"
        )
