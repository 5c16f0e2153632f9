"""The language model, as an experiment."""

from functools import partial

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.artefacts import Text as TextArtefact
from aigc_jax.data.documents import END, cut
from aigc_jax.data.text import Text
from experiments.data import texts
from experiments.families.lm.batching import rows_of, windows_of
from experiments.families.lm.descriptions import of_lm
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
    but the first, of whole documents where there are some.
    """
    coder, networks = (
        texts.tokenizer(metadata),
        transformer.networks_of(to_config(options, metadata)),
    )
    train, heldout = texts.tokens(options, metadata, text)
    metrics = texts.metrics_of(heldout, text.heldout)
    if options.documents:
        end = int(coder.encode(END)[0])
        batching = rows_of(train, end, options.context)
        nll = partial(transformer.documents_nll, documents=cut(heldout, end))
    else:
        batching = windows_of(train, options.context)
        nll = partial(transformer.heldout_nll, tokens=heldout)

    rows, positions = thrift(options)

    def evaluate(state):
        measured = nll(state.eval_params, networks=networks, chunk=rows, positions=positions)
        return metrics(measured)

    def baselines():
        counting = texts.counting_nlls(train, heldout, coder.vocabulary_size)
        return {name: metrics(nll) for name, nll in counting.items()}

    def artefacts(state):
        drawn = sample(options, metadata, algorithm, state, 3, options.seed + 1)
        return {"samples": TextArtefact(texts.SEPARATOR.join(drawn))}

    data, examples, gather, fetch = batching
    return Task(data, gather, examples, evaluate, baselines, artefacts, fetch=fetch)


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
