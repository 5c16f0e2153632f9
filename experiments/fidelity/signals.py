"""In what features signals of each medium are evaluated: classifiers of what their labels say.

Dimensions: N signals, S a signal's sides, C channels, A attributes.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from aigc_jax.data.moving_digits import MovingDigits
from aigc_jax.errors import InputError
from aigc_jax.metrics.frechet import enough, expected_distance, frechet_distance, moments
from experiments.data.signals import Signals
from experiments.data.sounds import mel_images
from experiments.data.videos import LabelledDigits, part_accuracies
from experiments.fidelity import moving
from experiments.fidelity.evaluator import EVALUATED
from experiments.fidelity.features import (
    FeatureNetwork,
    feature_network,
    frame_network,
    sound_networks,
    video_networks,
)

FRAME = "digit in a frame"  # what the classifier of still images tells apart


def networks_of(options: Any, signals: Signals) -> dict[str, FeatureNetwork]:
    """By attribute, the classifier of it, trained first if it has not been; without --judges, none.

    Moving digits, which have no attributes that a prior is told, have one classifier of what they
    show: see `video_networks`.
    """
    if not options.judges:
        return {}
    if signals.medium == "image" and signals.attributes:
        return {signals.attributes[0].name: feature_network(options, signals.source)}
    if signals.medium == "audio":
        return sound_networks(options, signals.source)
    if signals.medium == "video":
        return video_networks(options, signals.source)
    return {}


def frame_networks_of(options: Any, signals: Signals) -> dict[str, FeatureNetwork]:
    """The classifier of the one digit in each frame of videos; none of other signals."""
    if not options.judges or not moving.is_alone(signals.source):
        return {}
    return {FRAME: frame_network(options, signals.source)}


def sha256_of(networks: Mapping[str, FeatureNetwork]) -> dict[str, str]:
    """By attribute, the hash of a classifier: metrics under two are not comparable."""
    return {name: network.sha256 for name, network in networks.items()}


def judges_sha256(options: Any, signals: Signals) -> dict[str, str]:
    """Of all classifiers that judge such signals, trained first if they have not been."""
    return sha256_of(networks_of(options, signals) | frame_networks_of(options, signals))


class Judges:
    """The classifiers of a data set, and what they say of its held-out signals.

    Signals are integers `[N, *S, C]`, as files would hold them.

    Args:
      options: see `feature_network` and `sound_networks`.
      signals: the data set.
      sha256: of the classifiers by which a run was evaluated before; None: of any.

    Raises:
      InputError: they are others now.
    """

    def __init__(self, options: Any, signals: Signals, sha256: Mapping[str, str] | None = None):
        self._signals = signals
        self.networks = networks_of(options, signals)
        self.frames = frame_networks_of(options, signals).get(FRAME)
        every = self.networks | ({FRAME: self.frames} if self.frames else {})
        for name, found in sha256_of(every).items():
            if sha256 is not None and sha256.get(name) != found:
                raise InputError(
                    f"the classifier of the {name} is not the one that this run was evaluated with "
                    "(its weights' SHA-256 differs)"
                    + ("; name that one with --classifier" if signals.medium == "image" else "")
                )
        self.count = min(EVALUATED, len(signals.heldout))
        self.heldout = signals.heldout[: self.count]

    def images(self, found: np.ndarray) -> np.ndarray:
        """What the classifiers see of signals: uint8 images, of sounds their log-mels."""
        if self._signals.medium == "audio":
            assert self._signals.rate is not None
            return mel_images(found[..., 0], self._signals.rate)
        return found

    def describe(self, found: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By attribute, features `[N, D]` and log p(value | signal) `[N, K]`, float64."""
        seen, said = self.images(found), {}
        for name, network in self.networks.items():
            assert network.classify is not None
            one = network.classify(seen)
            logits = one.logits.astype(np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            said[name] = one.features, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return said

    @cached_property
    def real(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """What they say of held-out signals."""
        return self.describe(self.heldout)

    def distance(self, said: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """`fcd`, the Fréchet distance to held-out signals in the first attribute's features."""
        name = next(iter(self.networks), None)
        if name is None:
            return {}
        a, b = self.real[name][0], said[name][0]
        if not enough(min(len(a), len(b)), a.shape[1]):
            return {}
        return {"fcd": frechet_distance(moments(a), moments(b))}

    def expected_fcd(self, count: int) -> dict[str, float]:
        """`fcd` expected of `count` signals of the held-out ones' distribution."""
        name = next(iter(self.networks), None)
        if name is None or not enough(min(count, self.count), self.real[name][0].shape[1]):
            return {}
        return {"fcd": expected_distance(self.real[name][0], self.count, count)}

    def accuracies(
        self, said: dict[str, tuple[np.ndarray, np.ndarray]], asked: np.ndarray | None
    ) -> dict[str, float]:
        """By `ATTRIBUTE_accuracy`, the share of signals that are taken for what was asked.

        Args:
          said: of `describe`.
          asked: int `[N, A]`, −1 for what was not asked; None: nothing.
        """
        if asked is None:
            return {}
        found = {}
        for column, attribute in enumerate(self._signals.attributes):
            known = asked[:, column] >= 0
            if attribute.name in said and known.any():
                labels = said[attribute.name][1].argmax(-1)
                right = labels[known] == asked[known, column]
                found[f"{attribute.name}_accuracy"] = float(np.mean(right))
        return found

    def recognised(self, said: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """The same of held-out signals, or of what they became: are they taken for what they are?

        Of moving digits `digits_accuracy` and `motion_accuracy`, see `part_accuracies`.
        """
        labels, source = self._signals.heldout_labels, self._signals.source
        found = self.accuracies(said, None if labels is None else labels[: self.count])
        if isinstance(source, MovingDigits) and said:
            classes = LabelledDigits(source).heldout_labels[: self.count]
            (_, log_p), *_ = said.values()
            found |= part_accuracies(log_p.argmax(-1), classes, source.count)
        return found

    def motion(self, found: np.ndarray) -> dict[str, float]:
        """Of videos of moving digits, how they move; of one digit also whether it stays the same.

        Args:
          found: uint8 `[N, T, H, W, C]`.
        """
        source = self._signals.source
        if not isinstance(source, MovingDigits) or not self.networks:
            return {}
        known = moving.motion_of(found, source)
        if self.frames:
            known["identity_persistence"] = moving.persistence(found, self.frames)
        return known
