"""Trains a Transformer to continue text and reports its loss on the whole held-out part.

    python -m experiments.lm                                # the default preset, on Python's own documentation
    python -m experiments.lm --preset=textbook              # the blocks of the source article
    python -m experiments.lm --text=FILE --tokenizer=byte   # any UTF-8 text

Run the same command again to continue a run that was stopped.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.batches import windows
from aigc_jax.data.text import DATASETS, Text, load_text
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from aigc_jax.errors import InputError
from aigc_jax.metrics.ngrams import bigram_nll, unigram_nll
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.options import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class LmOptions(Options):
    """The options of every experiment, and the language model's own."""

    dataset: str = option("python_docs", "What to train on.", choices=DATASETS)
    text: str | None = option(None, "A UTF-8 file to train on instead.", changeable=True)
    tokenizer: str = option("char", "What a token is.", choices=("char", "byte"))
    context: int = option(64, "Tokens that the model sees at once.")
    layers: int = option(4, "Transformer blocks.")
    heads: int = option(4, "Attention heads in a block.")
    width: int = option(128, "Width of the model, a multiple of the heads.")


_DEFAULT = LmOptions(
    steps=2000, batch_size=12, learning_rate=1e-3, eval_every=500, checkpoint_every=500, steps_per_dispatch=20
)
PRESETS = {
    "default": _DEFAULT,
    "textbook": dataclasses.replace(_DEFAULT, preset="textbook", learning_rate=3e-4),
}

CHUNK = 64  # held-out windows judged at a time
SAMPLE_LENGTH = 500  # tokens


def load(options: LmOptions) -> Text:
    """The text that the options name.

    Raises:
      InputError: a part of it is shorter than one context.
    """
    text = load_text(options.dataset, options.text)
    coder = _tokenizer_of(options, text)
    for part, content in (("training", text.train), ("held-out", text.heldout)):
        tokens = len(coder.encode(content))
        if tokens <= options.context:
            message = f"the {part} part of {text.name} has {tokens} tokens"
            raise InputError(f"{message}, too few for a context of {options.context}")
    return text


def _tokenizer_of(options: LmOptions, text: Text) -> Tokenizer:
    if options.tokenizer == "byte":
        return ByteTokenizer()
    return CharTokenizer.of(text.train + text.heldout)


def facts(options: LmOptions, text: Text) -> dict:
    """The alphabet, with which a finished run can be sampled from without its text."""
    tokenizer = _tokenizer_of(options, text)
    return {"alphabet": tokenizer.alphabet if isinstance(tokenizer, CharTokenizer) else None}


def tokenizer(facts: dict) -> Tokenizer:
    """The tokeniser of a run."""
    return ByteTokenizer() if facts["alphabet"] is None else CharTokenizer(facts["alphabet"])


def _config(options: LmOptions, facts: dict) -> transformer.Config:
    sizes = dict(
        context=options.context,
        layers=options.layers,
        heads=options.heads,
        width=options.width,
        learning_rate=options.learning_rate,
    )
    vocabulary_size = tokenizer(facts).vocabulary_size
    if options.preset == "textbook":
        return transformer.textbook(vocabulary_size, **sizes)
    return transformer.Config(vocabulary_size, decay_steps=options.steps, **sizes)


def _networks(config: transformer.Config) -> transformer.Networks:
    sizes = (config.context, config.layers, config.heads, config.width)
    return transformer.decoder(config.module, config.vocabulary_size, *sizes)


def algorithm(options: LmOptions, facts: dict) -> Algorithm:
    """The Transformer that the options describe.

    Raises:
      InputError: the width is not a multiple of the heads.
    """
    try:
        return transformer.make(_config(options, facts))
    except ValueError as error:
        raise InputError(str(error)) from error


def task(options: LmOptions, text: Text, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on random windows; judges by the loss of every held-out token but the first."""
    coder, networks = tokenizer(facts), _networks(_config(options, facts))
    train, heldout = coder.encode(text.train), coder.encode(text.heldout)
    tokens, weights = windows(heldout, options.context)
    bits_per_byte = (len(heldout) - 1) / len(text.heldout.encode()) / math.log(2)
    losses = jax.jit(lambda params, batch: transformer.token_losses(params, batch, networks=networks)[0])

    def gather(data, starts):
        span = starts[:, None] + jnp.arange(options.context + 1)[None]
        return transformer.Batch(data[span], jnp.ones((starts.shape[0], options.context)))

    def figures(nll):
        return {"nll_nats": nll, "bits_per_byte": nll * bits_per_byte}

    def evaluate(state, thorough):
        total = 0.0
        for i in range(0, len(tokens), CHUNK):
            part = slice(i, i + CHUNK)
            batch = transformer.Batch(jnp.asarray(tokens[part]), jnp.asarray(weights[part]))
            total += (np.asarray(losses(state.params, batch), np.float64) * weights[part]).sum()
        return figures(total / weights.sum())

    def references():
        size = coder.vocabulary_size
        counts = {"unigram baseline": unigram_nll, "bigram baseline": bigram_nll}
        return {name: figures(count(train, heldout, size)) for name, count in counts.items()}

    def pictures(state):
        texts = sample(options, facts, algorithm, state, 3, options.seed + 1)
        return {"samples": "\n\n――――――――\n\n".join(texts)}

    return Task(train, gather, len(train) - options.context, evaluate, references, pictures)


def sample(options: LmOptions, facts: dict, algorithm: Algorithm, state, num: int, seed: int):
    """`num` texts of 500 tokens that begin with a line break (or, lacking one, with the first character)."""
    coder = tokenizer(facts)
    start = "\n" if facts["alphabet"] is None or "\n" in facts["alphabet"] else facts["alphabet"][0]
    draw = jax.jit(algorithm.sample, static_argnames=("n", "length"))
    prompt = jnp.asarray(coder.encode(start))
    rows = draw(state, jax.random.key(seed), n=num, prompt=prompt, length=SAMPLE_LENGTH + 1)
    return [coder.decode(row[1:]) for row in np.asarray(rows)]


EXPERIMENT = Experiment(
    name="lm",
    title="Transformer language model",
    presets=PRESETS,
    load=load,
    facts=facts,
    algorithm=algorithm,
    task=task,
    sample=sample,
    figures={
        "nll_nats": "−log p of the next token, nats per token; held-out: every token but the first, in "
        "windows of one context. Baselines: counts of tokens, and of pairs of tokens",
        "bits_per_byte": "the same, in bits per byte of UTF-8",
        "tokens": "tokens in an update",
        "gradient_norm": "global norm of the gradient before clipping",
    },
    # The default preset's learning rate follows a cosine that ends where --steps says.
    extendable=lambda options: options.preset == "textbook",
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
