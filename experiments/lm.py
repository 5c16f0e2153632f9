"""Trains a Transformer to continue text and reports its loss on the whole held-out part.

    python -m experiments.lm                        # the default preset, on Python's documentation
    python -m experiments.lm --preset=textbook      # the blocks of the source article
    python -m experiments.lm --text=FILE --tokenizer=bpe --vocabulary=8000
    python -m experiments.lm --text=FILE --documents        # parted by blank lines
    python -m experiments.lm --preset=char --text=FILE      # larger: llama_small, gpt2

Run the same command again to continue a run that was stopped.
"""

from functools import partial

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.documents import END, cut
from aigc_jax.data.text import Text
from experiments import launch, texts
from experiments.experiment import Experiment, Task
from experiments.figures import of_lm
from experiments.lm_options import PRESETS, LmOptions, thrift, to_config
from experiments.readings import rows_of, windows_of
from experiments.writing import write


def algorithm(options: LmOptions, facts: dict) -> Algorithm:
    """The Transformer that the options describe.

    Raises:
      InputError: the sizes do not fit each other.
    """
    return transformer.make(to_config(options, facts))


def task(options: LmOptions, text: Text, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on random windows, or on rows of documents; judges by the loss of every held-out token
    but the first, of whole documents where there are some.
    """
    coder, networks = texts.tokenizer(facts), transformer.networks_of(to_config(options, facts))
    train, heldout = texts.tokens(options, facts, text)
    figures = texts.figures_of(heldout, text.heldout)
    if options.documents:
        end = int(coder.encode(END)[0])
        reading = rows_of(train, end, options.context)
        nll = partial(transformer.documents_nll, documents=cut(heldout, end))
    else:
        reading = windows_of(train, options.context)
        nll = partial(transformer.heldout_nll, tokens=heldout)

    rows, positions = thrift(options)

    def evaluate(state):
        measured = nll(state.judged, networks=networks, chunk=rows, positions=positions)
        return figures(measured)

    def references():
        counting = texts.counting_nlls(train, heldout, coder.vocabulary_size)
        return {name: figures(nll) for name, nll in counting.items()}

    def pictures(state):
        drawn = sample(options, facts, algorithm, state, 3, options.seed + 1)
        return {"samples": texts.SEPARATOR.join(drawn)}

    data, examples, gather, fetch = reading
    return Task(data, gather, examples, evaluate, references, pictures, fetch=fetch)


def sample(options: LmOptions, facts: dict, algorithm: Algorithm, state, num: int, seed: int):
    """`num` texts of 500 tokens; documents of at most so many."""
    return write(options, facts, algorithm, state, "", num, 500, seed)


EXPERIMENT = Experiment(
    name="lm",
    title="Transformer language model",
    presets=PRESETS,
    load=texts.load,
    facts=texts.facts,
    algorithm=algorithm,
    task=task,
    sample=sample,
    # A schedule ends where --steps says.
    extendable=lambda options: options.schedule == "constant",
    meanings=of_lm,
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
