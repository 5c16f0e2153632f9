"""Trains a Transformer to continue text and reports its loss on the whole held-out part.

    python -m experiments.lm                        # the default preset, on Python's documentation
    python -m experiments.lm --preset=textbook      # the blocks of the source article
    python -m experiments.lm --text=FILE --tokenizer=bpe --vocabulary=8000

Run the same command again to continue a run that was stopped.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.text import DATASETS, Text
from aigc_jax.errors import InputError
from experiments import launch, texts
from experiments.experiment import Experiment, Task
from experiments.options import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class LmOptions(Options):
    """The options of every experiment, and the language model's own."""

    dataset: str = option("python_docs", "What to train on.", choices=DATASETS)
    text: str | None = option(None, "A UTF-8 file to train on instead.", changeable=True)
    tokenizer: str = option("char", "What a token is.", choices=texts.TOKENIZERS)
    vocabulary: int | None = option(
        None, f"Tokens of --tokenizer=bpe; without it {texts.VOCABULARY}.", least=256
    )
    context: int = option(64, "Tokens that the model sees at once.")
    layers: int = option(4, "Transformer blocks.")
    heads: int = option(4, "Attention heads in a block.")
    width: int = option(128, "Width of the model, a multiple of the heads.")


_DEFAULT = LmOptions(
    steps=2000, batch_size=12, eval_every=500, checkpoint_every=500, steps_per_dispatch=20
)
_TEXTBOOK = dataclasses.replace(_DEFAULT, preset="textbook", learning_rate=3e-4)
PRESETS = {"default": _DEFAULT, "textbook": _TEXTBOOK}
SIZES = ("context", "layers", "heads", "width", "learning_rate")


def _config(options: LmOptions, facts: dict) -> transformer.Config:
    sizes: dict[str, Any] = {name: getattr(options, name) for name in SIZES}
    symbols = texts.tokenizer(facts).vocabulary_size
    if options.preset == "textbook":
        return transformer.textbook(symbols, **sizes)
    return transformer.Config(symbols, decay_steps=options.steps, **sizes)


def algorithm(options: LmOptions, facts: dict) -> Algorithm:
    """The Transformer that the options describe.

    Raises:
      InputError: the sizes do not fit each other.
    """
    try:
        made = transformer.make(_config(options, facts))
        jax.eval_shape(made.init, jax.random.key(0))
        return made
    except ValueError as error:
        raise InputError(str(error)) from error


def task(options: LmOptions, text: Text, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on random windows; judges by the loss of every held-out token but the first."""
    coder, networks = texts.tokenizer(facts), transformer.networks_of(_config(options, facts))
    train, heldout = texts.tokens(options, facts, text)
    figures = texts.figures_of(heldout, text.heldout)
    data, fetch, rows = texts.windows_of(train, options.context + 1)

    def gather(data, examples):
        tokens = rows(data, examples)
        return transformer.Batch(tokens, jnp.ones((len(tokens), options.context)))

    def evaluate(state):
        return figures(transformer.heldout_nll(state.params, heldout, networks=networks))

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
    # The default preset's learning rate follows a cosine that ends where --steps says.
    extendable=lambda options: options.preset == "textbook",
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
