"""The prior over a codec's codes, as an experiment."""

import dataclasses
import hashlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import codec
from aigc_jax.algorithm import State
from aigc_jax.codec import prior, prior_config
from aigc_jax.errors import InputError
from aigc_jax.settings import to_json
from experiments.data import captions as texts
from experiments.data import signals as shared
from experiments.data.captions import Captions
from experiments.data.signals import Signals
from experiments.families.codec.experiment import EXPERIMENT as CODEC
from experiments.families.codec.filing import coder_sha256
from experiments.families.codec.options import CodecOptions
from experiments.families.codec.options import to_config as codec_config
from experiments.families.prior.descriptions import CAPTIONS, of_prior
from experiments.families.prior.drawing import draw
from experiments.families.prior.evaluator import Evaluator
from experiments.families.prior.options import PRESETS, PriorOptions, codec_of, to_config
from experiments.fidelity.signals import judges_sha256
from experiments.runs.experiment import Experiment, Task
from experiments.runs.restore import Restored, restore

_DATA = ("dataset", "data_dir", "images", "sounds", "videos", "digits", "judges")


class Coded(NamedTuple):
    """Signals with what they are called, and the codec's run whose codes a prior learns."""

    signals: Signals
    run: Restored
    chosen: CodecOptions  # of the run, with the data that the prior is trained on
    captions: Captions | None = None

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.signals.name

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return self.signals.unit

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See `Signals`."""
        return self.signals.classes

    @property
    def examples(self) -> int:
        """How many there are to train on."""
        return self.signals.examples

    @property
    def train(self) -> Any:
        """What is trained on."""
        return self.signals.train

    @property
    def heldout(self) -> np.ndarray:
        """What is held out."""
        return self.signals.heldout

    def fingerprint(self) -> str:
        """Of the signals and their captions; the codec's is `codec_sha256`."""
        own = self.signals.fingerprint()
        if self.captions is None:
            return own
        return hashlib.sha256((own + self.captions.fingerprint()).encode()).hexdigest()


def load(options: PriorOptions) -> Coded:
    """The codec's run, and its data or what the options name instead.

    Raises:
      InputError: there is no such run, or the data or their captions cannot be loaded.
    """
    if options.codec is None:
        raise InputError(
            "--codec is required: the folder of a run of experiments.codec; see --help"
        )
    run = restore(CODEC, options.codec)
    changes = {name: getattr(options, name) for name in _DATA}
    changes |= {"classifier": options.classifier, "workdir": options.workdir}
    changes = {name: value for name, value in changes.items() if value is not None}
    if options.dataset is not None:  # in place of the codec's, even of its user's own
        changes = {"images": None, "sounds": None, "videos": None, **changes}
    chosen = dataclasses.replace(run.options, **changes)
    signals = shared.load(chosen, chosen.medium)
    kind = options.captions
    told = texts.load(kind, chosen, signals, options.seed) if kind else None
    return Coded(signals, run, chosen, told)


def metadata(options: PriorOptions, coded: Coded) -> dict[str, Any]:
    """What is needed to write codes and to decode them, which codec that is, and who judges.

    Raises:
      InputError: the signals have another number of channels than the codec, or see `to_config`.
    """
    run, known = coded.run, shared.metadata(coded.signals)
    if known["channels"] != run.metadata["channels"]:
        raise InputError(
            f"--codec={options.codec} is for {run.metadata['channels']} channels, and "
            f"{coded.name} has {known['channels']}"
        )
    found = {
        "codec_sha256": coder_sha256(codec.coder_of(run.state)),
        "codec_config": to_json(codec_config(run.options, run.metadata)),
        **known,
        **({"captions": coded.captions.metadata()} if coded.captions else {}),
    }
    shared.check_batch(options, coded.signals)
    to_config(options, found)
    judges = judges_sha256(coded.chosen, coded.signals)
    return {**found, "classifier_sha256": judges}


def algorithm(options: PriorOptions, metadata: dict[str, Any]) -> prior_config.Prior:
    """The prior that the options describe, with a place for the codec in its state."""
    made = prior_config.make(to_config(options, metadata))
    coding = codec_of(metadata)

    def init(key: jax.Array) -> prior.State:
        shapes = jax.eval_shape(lambda key: codec.coder_of(coding.init(key)), key)
        blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return made.init(key, blank)

    return made._replace(init=init)


def task(
    options: PriorOptions, coded: Coded, metadata: dict[str, Any], made: prior_config.Prior
) -> Task:
    """Trains on the codes of the signals; evaluates codes and signals."""
    signals, coding = coded.signals, codec_of(metadata)
    judged = metadata.get("classifier_sha256")
    captions = coded.captions
    heldout = captions.heldout if captions else None
    evaluator = Evaluator(options, coded.chosen, signals, made, coding, judged, heldout)
    labels = signals.train_labels if options.labelled else None
    told = texts.source_of(captions.train, made.of.captions.length) if captions else None
    coder = codec.coder_of(coded.run.state)

    def gather(data: Any, indices: jax.Array) -> prior.Codes:
        train, labels, told, coder = data
        found = coding.encode(coder, shared.floats(signals.gather(train, indices)))
        own = None if labels is None else labels[indices]
        return prior.Codes(found, own, texts.rows_of(told, indices))

    return Task(
        data=(signals.train, labels, told, coder),
        gather=gather,
        examples=signals.examples,
        evaluate=evaluator.metrics,
        baselines=evaluator.baselines,
        artefacts=evaluator.artefacts,
        final_metrics=evaluator.final_metrics,
    )


def begin(options: PriorOptions, state: State) -> State:
    """The state with the codec of the run that --codec names."""
    assert options.codec is not None
    return state._replace(coder=codec.coder_of(restore(CODEC, options.codec).state))


def sample(
    options: PriorOptions,
    metadata: dict[str, Any],
    made: prior_config.Prior,
    state: State,
    num: int,
    seed: int,
    **how: Any,
) -> np.ndarray:
    """`num` signals, as integers `[num, *S, C]`; see `draw`."""
    usual = {
        "guidance": options.guidance,
        "passes": options.passes,
        "temperature": options.noise,
    }
    how = {**usual, **{name: value for name, value in how.items() if value is not None}}
    shape = metadata["medium"], tuple(metadata["sides"])
    return draw(state, jax.random.key(seed), num, made, codec_of(metadata), *shape, **how)


EXPERIMENT = Experiment(
    name="prior",
    title="Prior over codes",
    presets=PRESETS,
    load=load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_prior,
    captions=CAPTIONS,
    sample=sample,
    extendable=lambda options: options.config.network.schedule is None,
    begin=begin,
)
