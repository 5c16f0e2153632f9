"""What launchers on text need of it: loading, an alphabet to keep, a tokeniser made from that."""

from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax.data.text import Text, load_text
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from aigc_jax.errors import InputError

SEPARATOR = "\n\n――――――――\n\n"


def load(options: Any) -> Text:
    """The text that the options name.

    Raises:
      InputError: a part of it is shorter than one context.
    """
    text = load_text(options.dataset, options.text)
    coder = tokenizer(facts(options, text))
    for part, content in (("training", text.train), ("held-out", text.heldout)):
        tokens = len(coder.encode(content))
        if tokens <= options.context:
            message = f"the {part} part of {text.name} has {tokens} tokens"
            raise InputError(f"{message}, too few for a context of {options.context}")
    return text


def facts(options: Any, text: Text) -> dict[str, Any]:
    """The alphabet, so that a run can be sampled from without its text; None for bytes."""
    if options.tokenizer == "byte":
        return {"alphabet": None}
    return {"alphabet": CharTokenizer.of(text.train + text.heldout).alphabet}


def tokenizer(facts: dict[str, Any]) -> Tokenizer:
    """The tokeniser of a run."""
    return ByteTokenizer() if facts["alphabet"] is None else CharTokenizer(facts["alphabet"])


def first_token(facts: dict[str, Any]) -> str:
    """What unprompted text begins after: a line break, or the first of an alphabet without."""
    return "\n" if facts["alphabet"] is None or "\n" in facts["alphabet"] else facts["alphabet"][0]


def windows_at(tokens: jax.Array, starts: jax.Array, length: int) -> jax.Array:
    """Row b is the `length` tokens from `starts[b]` on: int `[M]`, int `[B]` → `[B, length]`."""
    return tokens[starts[:, None] + jnp.arange(length)[None]]
