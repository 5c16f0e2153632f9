"""An experiment, as the training command takes it."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from aigc_jax.algorithm import State
from aigc_jax.artefacts import Artefact
from aigc_jax.loop import Fetch
from experiments.cli.options import Options


class Task(NamedTuple):
    """A data set made ready for training and evaluation."""

    data: Any  # arrays that are put on the device
    gather: Callable[[Any, Any], Any]  # (data, indices [B] or fetched) -> batch, on the device
    examples: int  # indices run from 0 to examples − 1
    evaluate: Callable[[State], dict[str, float]]  # held-out metrics
    baselines: Callable[[], dict[str, dict[str, float]]]  # the same metrics of trivial models
    artefacts: Callable[[State], Mapping[str, Artefact]]  # by name: what goes to samples/
    final_metrics: Callable[[State], dict[str, float]] = lambda state: {}  # of the last state alone
    score: str | None = None  # the held-out metric whose lowest value the best state has
    batches_per_step: int = 1  # of batch_size examples each
    goal: float | None = None  # training ends at the first evaluation whose score is not above it
    vectors: Callable[[State], dict[str, np.ndarray]] = lambda state: {}  # metrics of many numbers
    fetch: Fetch = lambda indices: indices  # of K steps [K, B], on the host: see `loop.train`


class Experiment(NamedTuple):
    """What one launcher trains, as functions.

    `metadata` is what a model needs to know about its data: it is stored in config.json, so that a
    finished run can be sampled from without the data. `captions`, `descriptions` and the sentences
    of `warnings` are stored there too, so that a page needs the folder alone.
    """

    name: str
    title: str
    presets: Mapping[str, Options]
    load: Callable[[Any], Any]  # (options) -> data set, with a name and a fingerprint()
    metadata: Callable[[Any, Any], dict[str, Any]]  # (options, data set) -> JSON
    algorithm: Callable[[Any, dict[str, Any]], Any]  # (options, metadata) -> init, step, …
    task: Callable[
        [Any, Any, dict[str, Any], Any], Task
    ]  # (options, data set, metadata, algorithm)
    # (options, metadata) -> by name, what each metric of such a run means
    descriptions: Callable[[Any, Mapping[str, Any]], dict[str, str]]
    # by name, of the artefacts, in the order of the page
    captions: Mapping[str, str] = MappingProxyType({})
    # (held-out metrics with their step, evaluations planned) -> sentences about the run so far
    warnings: Callable[[Sequence[Mapping[str, float]], int], list[str]] = lambda *_: []
    sample: Callable[..., Any] | None = None  # (options, metadata, algorithm, state, num, seed, …)
    extendable: Callable[[Any], bool] = lambda options: True  # may --steps grow later?
    begin: Callable[[Any, State], State] = lambda options, state: state  # at the first step
    formerly: str | None = None  # the launcher that had its presets before
