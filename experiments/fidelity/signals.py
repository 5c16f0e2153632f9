"""In what features signals of each medium are evaluated: classifiers of what their labels say.

Dimensions: N signals, S a signal's sides, C channels, A attributes.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from aigc_jax.errors import InputError
from aigc_jax.metrics.frechet import enough, expected_distance, frechet_distance, moments
from experiments.data.signals import Signals
from experiments.data.sounds import mel_images
from experiments.fidelity.evaluator import EVALUATED
from experiments.fidelity.features import FeatureNetwork, feature_network, sound_networks


def networks_of(options: Any, signals: Signals) -> dict[str, FeatureNetwork]:
    """By attribute, the classifier of it; trained first if it has not been. None for videos."""
    if signals.medium == "image" and signals.attributes:
        return {signals.attributes[0].name: feature_network(options, signals.source)}
    if signals.medium == "audio":
        return sound_networks(options, signals.source)
    return {}


def sha256_of(networks: Mapping[str, FeatureNetwork]) -> dict[str, str]:
    """By attribute, the hash of a classifier: metrics under two are not comparable."""
    return {name: network.sha256 for name, network in networks.items()}


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
        for name, found in sha256_of(self.networks).items():
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
        if name is None or not enough(self.count, self.real[name][0].shape[1]):
            return {}
        a, b = self.real[name][0], said[name][0]
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
