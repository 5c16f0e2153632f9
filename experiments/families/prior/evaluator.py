"""Metrics and artefacts of a prior: codes of held-out signals, and signals from codes it writes.

Dimensions: N signals, S a signal's sides, C channels, A attributes, G the grid's sides, n stages.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import codec
from aigc_jax.algorithm import Key, State
from aigc_jax.artefacts import Artefact, Text
from aigc_jax.codec import prior, prior_config
from aigc_jax.data.tones import frequency_of, key_of
from aigc_jax.metrics import ndb, scores
from aigc_jax.metrics.neighbours import nearest
from aigc_jax.metrics.pitch import cents, pitch_of
from aigc_jax.metrics.video import trivial_predictions
from aigc_jax.parallel import example_keys
from aigc_jax.transformer import Source
from experiments.data.captions import rows_of, source_of
from experiments.data.signals import Signals, floats
from experiments.families.codec import showing
from experiments.families.codec.evaluator import AT_ONCE
from experiments.families.codec.options import CodecOptions
from experiments.families.prior import predictions
from experiments.families.prior.drawing import draw
from experiments.families.prior.options import PriorOptions
from experiments.families.prior.predictions import PREDICTED
from experiments.fidelity.signals import Judges

_SHOWN = {"image": 100, "audio": 16, "video": 8}
_DRAWN = {"video": 64}  # at most: one of 1,280 codes takes 0.44 s of a CPU core
_BINS = 50  # of NDB
_SEARCHED = 60_000  # training signals among which a sample's nearest is sought


class Asked(NamedTuple):
    """What signals are drawn for; None for what is not asked."""

    labels: np.ndarray | None = None  # int [N, A]: also of what captions say, for the judges
    captions: Source | None = None  # of N rows


class Evaluator:
    """Metrics and artefacts of a prior.

    Args:
      options: of the run.
      chosen: of the codec's run, with the data that the prior is trained on.
      signals: those data.
      made: the prior.
      coding: the codec, whose parameters are in the prior's state.
      sha256: of the classifiers; see `Judges`.
      captions: of held-out signals, where the prior is told captions.

    Raises:
      InputError: see `Judges`.
    """

    def __init__(
        self,
        options: PriorOptions,
        chosen: CodecOptions,
        signals: Signals,
        made: prior_config.Prior,
        coding: codec.Codec,
        sha256: Mapping[str, str] | None = None,
        captions: Sequence[str] | None = None,
    ):
        self._options, self._signals, self._made, self._coding = options, signals, made, coding
        self._judges = Judges(chosen, signals, sha256)
        self._count = min(self._judges.count, _DRAWN.get(signals.medium, self._judges.count))
        self._key = jax.random.key(options.seed + 1)
        self._encode = jax.jit(lambda coder, x: coding.encode(coder, floats(x)))
        self._nll = jax.jit(lambda state, batch, keys: made.nll(state, batch, keys))
        self._told = bool(made.of.conditions.sizes)  # labels as they are
        self._texts = captions
        self._captions = source_of(captions, made.of.captions.length) if captions else None

    def metrics(self, state: State) -> dict[str, float]:
        """What held-out codes cost, and how signals that the prior makes compare with real ones."""
        found = self._likelihood(state)
        if self._signals.medium == "video" and self._options.given:
            found |= self._predictions(state)
        if not self._judges.networks:
            return found
        asked = self._asked(self._count)
        made = self.draw(state, self._count, asked)
        said = self._judges.describe(made)
        found |= self._judges.distance(said)
        found |= self._judges.accuracies(said, asked.labels)
        found |= self._pitches(made, asked.labels)
        return found | self._judges.motion(made) | self._scores(said)

    def draw(
        self,
        state: State,
        num: int,
        asked: Asked,
        prompt: np.ndarray | None = None,
        key: Key | None = None,
    ) -> np.ndarray:
        """Signals as integers `[num, *S, C]`, under the run's options."""
        return draw(
            state,
            self._key if key is None else key,
            num,
            self._made,
            self._coding,
            self._signals.medium,
            tuple(self._signals.heldout.shape[1:-1]),
            asked.labels,
            asked.captions,
            prompt,
            guidance=self._options.guidance,
            passes=self._options.passes,
            temperature=self._options.noise,
        )

    def final_metrics(self, state: State) -> dict[str, float]:
        """How far samples are from the nearest training signals, which memorised ones are not.

        Of videos that are continued, the errors of the best of several samples and of their mean.
        """
        if self._signals.medium == "video":
            return self._sampled_predictions(state) if self._options.given else {}
        num = min(self._judges.count, 1000)
        return {"nearest_train_distance": self._nearest(self.draw(state, num, self._asked(num)))}

    def baselines(self) -> dict[str, dict[str, float]]:
        """The held-out signals in place of samples, and of videos what anybody can predict."""
        known, found = {}, {}
        if self._judges.networks:
            real, count = self._judges.real, self._judges.count
            known = self._judges.expected_fcd(self._count) | self._scores(real)
            known |= self._judges.motion(self._judges.heldout)
            if (labels := self._own(slice(count)).labels) is not None:
                known |= self._judges.accuracies(real, labels)
                known |= self._pitches(self._judges.heldout, labels)
        if self._signals.medium != "video":
            known["nearest_train_distance"] = self._nearest(self._judges.heldout[:1000])
        if known:
            found["held-out signals"] = known
        if self._signals.medium == "video" and self._options.given:
            truth, given = self._judges.heldout[:PREDICTED], self._options.given
            rest = truth.shape[1] - given
            mean = self._mean_image()
            if likely := self._plausible(truth, truth):
                found["held-out signals"] |= likely
            for name, predicted in trivial_predictions(truth[:, :given], rest, mean).items():
                found[name] = predictions.errors(predicted, truth[:, given:])
        return found

    def _mean_image(self) -> np.ndarray:
        """Of training videos, or of held-out ones that are not predicted: `[H, W, C]` in [0, 1]."""
        train, heldout = self._signals.train, self._signals.heldout
        videos = train if train.ndim == heldout.ndim else heldout[PREDICTED:]
        return videos.mean(axis=(0, 1)) / 255

    def artefacts(self, state: State) -> dict[str, Artefact]:
        """Samples; of videos that are continued, with the truth beside them."""
        medium, rate = self._signals.medium, self._signals.rate
        shown = _SHOWN[medium]
        asked = Asked()  # all labels in turn
        if self._texts is not None:
            some = np.linspace(0, len(self._texts) - 1, shown).round().astype(int)
            asked = self._own(some)
        found = showing.samples(self.draw(state, shown, asked), medium, rate)
        if self._texts is not None:
            found["sample_captions"] = Text("\n".join(self._texts[i] for i in some) + "\n")
        if medium == "video" and self._options.given:
            truth = self._judges.heldout[:shown]
            pairs = showing.pairs(truth, self._continued(state, truth), medium, rate)
            found["predictions"] = pairs["reconstructions"]
        return found

    def _continued(self, state: State, truth: np.ndarray, key: Key | None = None) -> np.ndarray:
        """The first `given` frames coded, and what the prior has follow them."""
        parts = [self._encode(state.coder, truth[i : i + 8]) for i in range(0, len(truth), 8)]
        codes = np.concatenate([np.asarray(part) for part in parts])
        leading = self._coding.networks.grid((self._options.given, *truth.shape[2:4]))[0]
        asked = self._own(slice(len(truth)))
        return self.draw(state, len(truth), asked, codes[:, :leading], key)

    def _predictions(self, state: State) -> dict[str, float]:
        truth, given = self._judges.heldout[:PREDICTED], self._options.given
        continued = self._continued(state, truth)
        found = predictions.errors(continued[:, given:], truth[:, given:])
        return found | self._plausible(continued, truth)

    def _plausible(self, continued: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        given, source = self._options.given, self._signals.source
        return predictions.plausible(continued, truth, given, self._judges, source)

    def _sampled_predictions(self, state: State) -> dict[str, float]:
        """The first of the samples is that of `_predictions`."""
        truth, given = self._judges.heldout[:PREDICTED], self._options.given

        def sample(s: int) -> np.ndarray:
            key = jax.random.fold_in(self._key, len(truth) + s) if s else None
            return self._continued(state, truth, key)[:, given:]

        return predictions.of_samples(sample, truth[:, given:])

    def _asked(self, num: int) -> Asked:
        """Labels as frequent as in the training set; or captions of held-out signals, by chance."""
        chance = np.random.default_rng(self._options.seed)
        if self._texts is not None:
            return self._own(chance.integers(0, len(self._texts), num))
        if not self._told:
            return Asked()
        labels = np.asarray(self._signals.train_labels)
        return Asked(labels[chance.integers(0, len(labels), num)])

    def _own(self, which: slice | np.ndarray) -> Asked:
        """What the prior is told of held-out signals; where it is captions, with what they say."""
        labels = self._signals.heldout_labels
        if not self._told and self._texts is None:
            labels = None
        return Asked(None if labels is None else labels[which], rows_of(self._captions, which))

    def _likelihood(self, state: State) -> dict[str, float]:
        signals, total, count, size = self._judges.heldout, 0.0, 0, 0
        rows = AT_ONCE[self._signals.medium]
        for i in range(0, len(signals), rows):
            codes = self._encode(state.coder, signals[i : i + rows])
            own = self._own(slice(i, i + len(codes)))
            labels = jnp.asarray(own.labels) if self._told else None
            keys = example_keys(jax.random.fold_in(self._key, i), len(codes))
            nats = self._nll(state, prior.Codes(codes, labels, own.captions), keys)
            total += float(np.asarray(nats, np.float64).sum())
            count, size = count + len(codes), codes[0].size
        return {"code_nll_nats": total / count / size, "signal_bits": total / count / np.log(2)}

    def _pitches(self, sounds: np.ndarray, asked: np.ndarray | None) -> dict[str, float]:
        """The share of sounds within 50 cents of the key that was asked, where one was."""
        names = [attribute.name for attribute in self._signals.attributes]
        if asked is None or self._signals.medium != "audio" or "pitch" not in names:
            return {}
        column = names.index("pitch")
        keys = [key_of(value) for value in self._signals.attributes[column].values]
        if any(key is None for key in keys):
            return {}
        wanted = np.array([frequency_of(key or 0) for key in keys])[asked[:, column]]
        found = pitch_of(sounds[..., 0], self._signals.rate or 1)
        return {"pitch_within_50_cents": float(np.mean(np.abs(cents(found, wanted)) <= 50))}

    def _scores(self, said: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Of sounds, the scores of SC09, in the first attribute's classifier."""
        if self._signals.medium != "audio" or not said:
            return {}
        features, log_p = next(iter(said.values()))
        p = np.exp(log_p)
        bins, frequencies = self._training
        return {
            "inception_score": scores.inception_score(p),
            "modified_inception_score": scores.modified_inception_score(p),
            "am_nats": scores.am_score(frequencies, p),
            **({"ndb_share": ndb.different_bins(bins, features).share} if bins else {}),
        }

    @cached_property
    def _training(self) -> tuple[ndb.Bins | None, np.ndarray]:
        """Clusters of training features, and p(y) of training signals as they were labelled.

        There are no clusters of too few signals, or of too few that differ.
        """
        features = next(iter(self._judges.describe(self._signals.train).values()))[0]
        values = len(self._signals.attributes[0].values)
        counts = np.bincount(np.asarray(self._signals.train_labels)[:, 0], minlength=values)
        bins = min(_BINS, len(features) // 10, len(np.unique(features, axis=0)))
        clusters = ndb.fit_bins(features, bins) if bins > 1 else None
        return clusters, (counts / counts.sum())[None]

    def _nearest(self, signals: np.ndarray) -> float:
        """Of pixels in [0, 1], or of sounds' log-mels over their range."""
        train = self._judges.images(self._signals.train[:_SEARCHED])
        return float(nearest(train, self._judges.images(signals)).distance.mean() / 255)
