"""The codec of images, sounds or videos, as an experiment."""

from typing import Any

import jax.numpy as jnp

from aigc_jax import codec
from aigc_jax.algorithm import State
from experiments.data import signals as shared
from experiments.data.signals import Signals
from experiments.families.codec.descriptions import CAPTIONS, of_codec
from experiments.families.codec.evaluator import Evaluator
from experiments.families.codec.options import PRESETS, CodecOptions, to_config
from experiments.fidelity.features import perception, weights_sha256
from experiments.fidelity.signals import judges_sha256
from experiments.runs.experiment import Experiment, Task


def load(options: CodecOptions) -> Signals:
    """The signals that the options name."""
    return shared.load(options, options.medium)


def metadata(options: CodecOptions, signals: Signals) -> dict[str, Any]:
    """What the networks need to know about the signals, and the hashes of the classifiers."""
    known = {
        **shared.metadata(signals),
        "perceived_classes": perceived_classes(options, signals),
    }
    shared.check_batch(options, signals)
    to_config(options, known)  # unusable options are found before a classifier is trained
    if known["perceived_classes"]:
        known["perception_sha256"] = weights_sha256(perception(options, signals.source))
    known["classifier_sha256"] = judges_sha256(options, signals)
    return known


def perceived_classes(options: CodecOptions, signals: Signals) -> int:
    """Of the classifier in whose layers signals are compared; 0 where there is none."""
    if signals.medium != "image" or not signals.attributes:
        return 0
    return len(signals.attributes[0].values) if options.config.perceptual_weight else 0


def algorithm(options: CodecOptions, metadata: dict[str, Any]) -> codec.Codec:
    """The codec that the options describe."""
    return codec.make(to_config(options, metadata))


def task(
    options: CodecOptions, signals: Signals, metadata: dict[str, Any], made: codec.Codec
) -> Task:
    """Trains on the signals; evaluates how well held-out ones are reconstructed."""
    evaluator = Evaluator(options, signals, made, metadata.get("classifier_sha256"))

    def gather(data: Any, indices: Any) -> Any:
        return shared.floats(signals.gather(data, indices))

    return Task(
        data=jnp.asarray(signals.train),
        gather=gather,
        examples=signals.examples,
        evaluate=lambda state: evaluator.metrics(codec.coder_of(state)),
        baselines=evaluator.baselines,
        artefacts=lambda state: evaluator.artefacts(codec.coder_of(state)),
    )


def begin(options: CodecOptions, state: State) -> State:
    """The state with the trained parameters of the frozen classifier, where there is one."""
    if not state.perception:
        return state
    return state._replace(perception=perception(options))


EXPERIMENT = Experiment(
    name="codec",
    title="Codec",
    presets=PRESETS,
    load=load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_codec,
    captions=CAPTIONS,
    extendable=lambda options: not options.decay,
    begin=begin,
)
