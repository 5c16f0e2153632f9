"""Texts from a language model, all at once; `streaming` gives one as it is written."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Algorithm, State
from aigc_jax.data.documents import END, until_end
from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments import texts
from experiments.lm_options import LmOptions


def begun(options: LmOptions, facts: dict[str, Any], prompt: str) -> np.ndarray:
    """The tokens that a text with this prompt begins with, int32 `[P]`.

    A document begins with the end of the one before, which comes in front of its prompt; so does
    what all unprompted texts begin after where there is no prompt.

    Raises:
      InputError: the prompt is longer than the model's context, or holds a character that is not
        in its alphabet.
    """
    coder = texts.tokenizer(facts)
    before = [] if prompt and not options.documents else [texts.first_token(options, facts)]
    tokens = np.concatenate([coder.encode(part) for part in (*before, prompt) if part])
    if len(tokens) > options.context:
        raise InputError(
            f"the prompt has {len(tokens)} tokens, and the model sees {options.context} at once; "
            "shorten it"
        )
    return tokens


def stop_of(options: LmOptions, facts: dict[str, Any]) -> tuple[int, ...]:
    """The tokens that a text ends with: of documents there is one."""
    return (int(texts.tokenizer(facts).encode(END)[0]),) if options.documents else ()


def write(
    options: LmOptions,
    facts: dict[str, Any],
    algorithm: Algorithm,
    state: State,
    prompt: str,
    num: int,
    length: int,
    seed: int,
    sampling: Sampling = ANCESTRAL,
) -> list[str]:
    """`num` continuations of a prompt, all at once; the first is that of `streaming.stream`.

    Args:
      options, facts, algorithm, state: of a run.
      prompt: what the texts begin with; see `begun`.
      num: how many.
      length: tokens to add to each; a document may end before.
      seed: decides the texts.
      sampling: how a token is chosen.

    Raises:
      InputError: see `begun`.
    """
    tokens, coder = begun(options, facts, prompt), texts.tokenizer(facts)
    how = {"sampling": sampling, "stop": stop_of(options, facts)}
    draw = jax.jit(partial(algorithm.sample, **how), static_argnums=(2, 4))
    key, total = jax.random.key(seed), len(tokens) + length
    rows = np.asarray(draw(state, key, num, jnp.asarray(tokens), total))
    return ["".join(until_end([prompt, coder.decode(row[len(tokens) :])])) for row in rows]
