"""What a launcher tells the training command about its experiment."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from aigc_jax.algorithm import State
from aigc_jax.loop import Fetch
from experiments.cli.options import Options

Artefact = np.ndarray | str  # images [rows, columns, H, W, C] in [0, 1], or text


class Task(NamedTuple):
    """A data set made ready for training and for judging a model."""

    data: Any  # arrays that are put on the device
    gather: Callable[[Any, Any], Any]  # (data, indices [B] or fetched) -> batch, on the device
    examples: int  # indices run from 0 to examples − 1
    evaluate: Callable[[State], dict[str, float]]  # held-out metrics
    baselines: Callable[[], dict[str, dict[str, float]]]  # the same metrics of trivial models
    pictures: Callable[[State], Mapping[str, Artefact]]  # by name: what goes to samples/
    costly: Callable[[State], dict[str, float]] = lambda state: {}  # more, of the last state alone
    score: str | None = None  # the held-out figure, the lower the better, of the best state
    batches_per_step: int = 1  # of batch_size examples each
    goal: float | None = None  # training ends at the first evaluation whose score is not above it
    lists: Callable[[State], dict[str, np.ndarray]] = lambda state: {}  # metrics of many numbers
    fetch: Fetch = lambda indices: indices  # of K steps [K, B], on the host: see `loop.train`


class Experiment(NamedTuple):
    """One launcher, as functions.

    `metadata` is the little that a model needs to know of its data: it is stored in config.json, so
    that a finished run can be sampled from without the data.
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
    descriptions: Callable[
        [Any, Mapping[str, Any]], dict[str, str]
    ]  # (options, metadata): metrics'
    # meanings by name, in the words of such a run
    sample: Callable[..., Any] | None = None  # (options, metadata, algorithm, state, num, seed, …)
    extendable: Callable[[Any], bool] = lambda options: True  # may --steps grow later?
    begin: Callable[[Any, State], State] = lambda options, state: state  # at the first step
    formerly: str | None = None  # the launcher that had its presets before
