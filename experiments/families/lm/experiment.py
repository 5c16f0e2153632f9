"""The language model, as an experiment."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.artefacts import Text as TextArtefact
from aigc_jax.data.documents import END, cut
from aigc_jax.data.text import Text, count_bytes
from experiments.data import texts
from experiments.families.lm.batching import rows_of, windows_of
from experiments.families.lm.descriptions import DRAWS, of_lm
from experiments.families.lm.options import PRESETS, LmOptions, to_config
from experiments.families.lm.writing import write
from experiments.families.transformer.options import extendable, thrift
from experiments.runs.experiment import Experiment, Task


def algorithm(options: LmOptions, metadata: dict) -> Algorithm:
    """The Transformer that the options describe.

    Raises:
      InputError: the sizes do not fit each other.
    """
    return transformer.make(to_config(options, metadata))


def task(options: LmOptions, text: Text, metadata: dict, algorithm: Algorithm) -> Task:
    """Trains on random windows, or on rows of documents; evaluates the loss of every held-out token
    but the first, of whole documents where there are some, or a bound on that of every token.
    """
    coder = texts.tokenizer(metadata)
    train, heldout = texts.tokens(options, metadata, text)
    evaluate, metrics = evaluation(options, text, metadata, heldout)
    if options.documents:
        batching = rows_of(train, int(coder.encode(END)[0]), options.context)
    else:
        batching = windows_of(train, options.context, options.masked)

    def baselines():
        counting = texts.counting_nlls(train, heldout, coder.vocabulary_size)
        return {name: metrics(nll) for name, nll in counting.items()}

    def artefacts(state):
        drawn = sample(options, metadata, algorithm, state, 3, options.seed + 1)
        return {"samples": TextArtefact(texts.SEPARATOR.join(drawn))}

    data, examples, gather, fetch = batching
    return Task(data, gather, examples, evaluate, baselines, artefacts, fetch=fetch)


def evaluation(
    options: LmOptions, text: Text, metadata: dict, heldout: np.ndarray
) -> tuple[Callable[[State], dict[str, float]], Callable[[float], dict[str, float]]]:
    """The held-out metrics of a state, and those of a loss in nats per token."""
    networks = transformer.networks_of(to_config(options, metadata))
    rows, positions = thrift(options)
    how: dict[str, Any] = {"networks": networks, "chunk": rows, "positions": positions}
    if options.masked:
        bits = len(heldout) / count_bytes(text.heldout) / math.log(2)
        key = jax.random.key(options.seed + 1)

        def bounds(nats: float) -> dict[str, float]:
            return {"nll_bound_nats": nats, "bits_per_byte_bound": nats * bits}

        def bounded(state: State) -> dict[str, float]:
            found = transformer.heldout_nelbo(state.eval_params, heldout, key, samples=DRAWS, **how)
            return {**bounds(found.nats), "nll_bound_error_nats": found.error}

        return bounded, bounds
    metrics = texts.metrics_of(heldout, text.heldout)
    if options.documents:
        end = int(texts.tokenizer(metadata).encode(END)[0])
        nll = partial(transformer.documents_nll, documents=cut(heldout, end))
    else:
        nll = partial(transformer.heldout_nll, tokens=heldout)
    return lambda state: metrics(nll(state.eval_params, **how)), metrics


def sample(options: LmOptions, metadata: dict, algorithm: Algorithm, state, num: int, seed: int):
    """`num` texts of 500 tokens; documents may be shorter."""
    return write(options, metadata, algorithm, state, "", num, 500, seed)


EXPERIMENT = Experiment(
    name="lm",
    title="Transformer language model",
    presets=PRESETS,
    load=texts.load,
    metadata=texts.metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_lm,
    captions={"samples": "Samples"},
    sample=sample,
    extendable=extendable,
)
