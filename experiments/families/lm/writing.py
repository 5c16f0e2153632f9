"""Texts from a language model: many at a time, or one as it is written."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.data.documents import END, until_end
from aigc_jax.data.text import check_prompt
from aigc_jax.data.tokenizers import StreamDecoder
from aigc_jax.errors import InputError
from aigc_jax.transformer import filling
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments.data import texts
from experiments.families.lm.options import LmOptions, to_config
from experiments.runs.restore import Restored

ROWS_AT_ONCE = 8  # on a CPU; see `transformer.sample`


def begun(options: LmOptions, metadata: dict[str, Any], prompt: str) -> np.ndarray:
    """The tokens that a text with this prompt begins with, int32 `[P]`.

    Where texts are documents, the end of the previous one comes before the prompt; without a
    prompt, what all unprompted texts follow comes first.

    Raises:
      InputError: the prompt is not UTF-8, longer than the model's context, or holds a character
        that is not in its alphabet.
    """
    check_prompt(prompt)
    coder = texts.tokenizer(metadata)
    before = [] if prompt and not options.documents else [texts.first_token(options, metadata)]
    tokens = np.concatenate([coder.encode(part) for part in (*before, prompt) if part])
    if len(tokens) > options.context:
        raise InputError(
            f"the prompt has {len(tokens)} tokens, and the model sees {options.context} at once; "
            "shorten it"
        )
    return tokens


def stop_of(options: LmOptions, metadata: dict[str, Any]) -> tuple[int, ...]:
    """The tokens that end a text: one for documents, else none."""
    return (int(texts.tokenizer(metadata).encode(END)[0]),) if options.documents else ()


@lru_cache(maxsize=4)
def _drawing(sample: Callable, sampling: Sampling, stop: tuple[int, ...]) -> Callable:
    """`sample` compiled, the same one each time, so that evaluations in training compile once."""
    at_once = ROWS_AT_ONCE if jax.default_backend() == "cpu" else None
    how = partial(sample, sampling=sampling, rows_at_once=at_once)
    if stop:  # which a model that fills in tokens does not take
        how = partial(how, stop=stop)
    return jax.jit(how, static_argnums=(2, 4))


def write(
    options: LmOptions,
    metadata: dict[str, Any],
    algorithm: Algorithm,
    state: State,
    prompt: str,
    num: int,
    length: int,
    seed: int,
    sampling: Sampling = ANCESTRAL,
) -> list[str]:
    """`num` continuations of a prompt; the first is that of `stream`.

    Args:
      options, metadata, algorithm, state: of a run.
      prompt: what the texts begin with; see `begun`.
      num: how many.
      length: tokens to add to each; a document may end earlier.
      seed: decides the texts.
      sampling: how a token is chosen.

    Raises:
      InputError: see `begun`.
    """
    tokens, coder = begun(options, metadata, prompt), texts.tokenizer(metadata)
    draw = _drawing(algorithm.sample, sampling, stop_of(options, metadata))
    key, total = jax.random.key(seed), len(tokens) + length
    rows = np.asarray(draw(state, key, num, jnp.asarray(tokens), total))
    return ["".join(until_end([prompt, coder.decode(row[len(tokens) :])])) for row in rows]


def stream(
    run: Restored, prompt: str, length: int, seed: int, sampling: Sampling = ANCESTRAL
) -> Iterator[str]:
    """A continuation of a prompt, in pieces as they come; joined, they begin with the prompt.

    A model that fills in tokens has written a whole window before the first of them is shown.

    Args:
      run: of a language model.
      prompt, length, seed, sampling: see `write`.

    Raises:
      InputError: see `begun`.
    """
    tokens = begun(run.options, run.metadata, prompt)
    write = partial(transformer.stream, stop=stop_of(run.options, run.metadata))
    pieces = (filling.stream if run.options.masked else write)(
        run.state.eval_params,
        tokens,
        len(tokens) + length,
        jax.random.key(seed),
        networks=transformer.networks_of(to_config(run.options, run.metadata)),
        sampling=sampling,
    )
    decoder = StreamDecoder(texts.tokenizer(run.metadata))

    def decoded() -> Iterator[str]:
        if prompt:
            yield prompt
        for piece in pieces:
            yield "".join(decoder.push(int(token)) for token in piece)
        yield decoder.finish()

    return until_end(decoded())
