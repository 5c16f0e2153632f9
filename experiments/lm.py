"""Trains a Transformer to continue text and reports its loss on the whole held-out part.

    python -m experiments.lm                        # the default preset, on Python's documentation
    python -m experiments.lm --preset=textbook      # the blocks of the source article
    python -m experiments.lm --text=FILE --tokenizer=bpe --vocabulary=8000
    python -m experiments.lm --preset=char --text=FILE      # larger: llama_small, gpt2

Run the same command again to continue a run that was stopped.
"""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.text import Text
from experiments import launch, texts
from experiments.experiment import Experiment, Task
from experiments.lm_options import PRESETS, LmOptions, to_config


def algorithm(options: LmOptions, facts: dict) -> Algorithm:
    """The Transformer that the options describe.

    Raises:
      InputError: the sizes do not fit each other.
    """
    return transformer.make(to_config(options, facts))


def task(options: LmOptions, text: Text, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on random windows; judges by the loss of every held-out token but the first."""
    coder, networks = texts.tokenizer(facts), transformer.networks_of(to_config(options, facts))
    train, heldout = texts.tokens(options, facts, text)
    figures = texts.figures_of(heldout, text.heldout)
    data, fetch, rows = texts.windows_of(train, options.context + 1)

    def gather(data, examples):
        return transformer.next_tokens(rows(data, examples))

    def evaluate(state):
        return figures(transformer.heldout_nll(state.judged, heldout, networks=networks))

    def references():
        counting = texts.counting_nlls(train, heldout, coder.vocabulary_size)
        return {name: figures(nll) for name, nll in counting.items()}

    def pictures(state):
        drawn = sample(options, facts, algorithm, state, 3, options.seed + 1)
        return {"samples": texts.SEPARATOR.join(drawn)}

    examples = len(train) - options.context
    return Task(data, gather, examples, evaluate, references, pictures, fetch=fetch)


def sample(options: LmOptions, facts: dict, algorithm: Algorithm, state, num: int, seed: int):
    """`num` texts of 500 tokens."""
    coder, draw = texts.tokenizer(facts), jax.jit(algorithm.sample, static_argnames=("n", "length"))
    prompt = jnp.asarray(coder.encode(texts.first_token(facts)))
    rows = draw(state, jax.random.key(seed), n=num, prompt=prompt, length=501)
    return [coder.decode(row[1:]) for row in np.asarray(rows)]


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
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
