"""Texts from a language model, many at a time; `streaming` gives one as it is written."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Algorithm, State
from aigc_jax.data.documents import END, until_end
from aigc_jax.data.text import check_prompt
from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments.data import texts
from experiments.families.lm.options import LmOptions

ROWS_AT_ONCE = 8  # on a CPU; see `transformer.sample`


def begun(options: LmOptions, metadata: dict[str, Any], prompt: str) -> np.ndarray:
    """The tokens that a text with this prompt begins with, int32 `[P]`.

    A document begins with the end of the one before, which comes in front of its prompt; so does
    what all unprompted texts begin after where there is no prompt.

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
    """The tokens that a text ends with: of documents there is one."""
    return (int(texts.tokenizer(metadata).encode(END)[0]),) if options.documents else ()


@lru_cache(maxsize=4)
def _drawing(sample: Callable, sampling: Sampling, stop: tuple[int, ...]) -> Callable:
    """`sample` compiled, the same one each time, so that evaluations in training compile once."""
    at_once = ROWS_AT_ONCE if jax.default_backend() == "cpu" else None
    how = partial(sample, sampling=sampling, stop=stop, rows_at_once=at_once)
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
    """`num` continuations of a prompt; the first is that of `streaming.stream`.

    Args:
      options, metadata, algorithm, state: of a run.
      prompt: what the texts begin with; see `begun`.
      num: how many.
      length: tokens to add to each; a document may end before.
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
