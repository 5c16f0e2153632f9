"""Writes text with a model from a folder in Hugging Face's format, or computes its loss on a text.

    python -m experiments.import_hf gpt2 --prompt="The meaning of life is" --length=100
    python -m experiments.import_hf gpt2 --temperature=0 --prompt="1, 2, 3,"
    python -m experiments.import_hf gpt2 --text=FILE

FOLDER is on this machine: config.json, model.safetensors (or shards), tokenizer.json. It can hold
GPT-2, Llama, or a Mistral or Qwen 3 that differs from Llama in its window or normalised queries;
nothing is downloaded and nothing is unpickled. From Python the same is
`transformer.interchange.load_folder(path)`.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np
from absl import flags

from aigc_jax import printed, transformer
from aigc_jax.data.foreign_tokenizer import ForeignTokenizer
from aigc_jax.data.text import check_prompt, read_text
from aigc_jax.errors import InputError
from aigc_jax.transformer.architecture import DTYPES
from aigc_jax.transformer.interchange import Model, load_folder
from aigc_jax.transformer.sampling import Sampling
from experiments.cli import launch, sampling_flags
from experiments.cli.options import check_seed
from experiments.cli.paths import define_path, local
from experiments.data import texts

SHOWN = 5  # characters without a token that a message names


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string("prompt", "", "What the text begins with.", flag_values=values)
    flags.DEFINE_integer(
        "length", 200, "Tokens to write; fewer if the model ends the text.", flag_values=values
    )
    sampling_flags.define_flags(values)
    flags.DEFINE_integer("seed", 0, "Random seed.", flag_values=values)
    define_path("text", None, "A UTF-8 file to compute the loss on, instead of writing.", values)
    flags.DEFINE_integer(
        "context", 1024, "For --text: the most tokens that the model sees.", flag_values=values
    )
    flags.DEFINE_enum("dtype", "float32", tuple(DTYPES), "Of the computation.", flag_values=values)


def encoded(model: Model, coder: ForeignTokenizer, text: str, specials: bool) -> np.ndarray:
    """Tokens, int32 `[T]`.

    Args:
      model: the one that will read them.
      coder: its tokeniser.
      text: to encode.
      specials: whether to prepend the tokeniser's own beginning of a text.

    Raises:
      InputError: the tokeniser has more tokens than the model.
    """
    tokens = coder.encode(text, specials)
    known = model.architecture.vocabulary_size
    if len(tokens) and tokens.max() >= known:
        raise InputError(
            f"tokenizer.json gives token {tokens.max()}, and the model has {known}: it is not the "
            "model's tokeniser"
        )
    return tokens


def stream(
    model: Model, coder: ForeignTokenizer, prompt: str, length: int, seed: int, sampling: Sampling
) -> Iterator[str]:
    """A continuation, in pieces as they are written; joined, they begin with the prompt.

    Args:
      model: see `load_folder`.
      coder: its tokeniser.
      prompt: what the text begins with; where it is empty, the model's first token.
      length: maximum number of tokens to add; the text ends with the model's context.
      seed: decides the text.
      sampling: how a token is chosen.

    Raises:
      InputError: there is no prompt and no first token, no space for more, or no token for a
        character of the prompt that is not blank.
    """
    check_prompt(prompt)
    if lacking := coder.lacking(prompt).strip():
        raise InputError(f"the tokeniser has no token for {named(lacking)}; prompt without it")
    tokens = encoded(model, coder, prompt, specials=True)
    first, context = model.special.begin, model.architecture.context
    if not len(tokens):
        if first is None:
            raise InputError("the model has no token that texts begin with; give a --prompt")
        tokens = np.array([first], np.int32)
    if len(tokens) >= context:
        raise InputError(f"the prompt has {len(tokens)} tokens, and {context} fit; shorten it")
    pieces = transformer.stream(
        model.params,
        tokens,
        min(len(tokens) + length, context),
        jax.random.key(seed),
        networks=transformer.networks_of(model.architecture),
        sampling=sampling,
        stop=model.special.ends,
    )
    written, shown = tokens.tolist(), ""
    for piece in itertools.chain([np.zeros(0, np.int32)], pieces):
        written += piece.tolist()
        text = coder.decode(written)
        if not text.endswith("�"):  # else the last token may be a part of a character
            yield text[len(shown) :]
            shown = text
    yield coder.decode(written)[len(shown) :]


def evaluate(model: Model, coder: ForeignTokenizer, path: str, context: int) -> dict[str, float]:
    """The model's loss on a text: see `texts.metrics_of`.

    Raises:
      InputError: the file is not text, or too short.
    """
    text = read_text(Path(path))
    if len(text) > texts.LONG:
        message = f"encoding the {len(text)} characters of {path}"
        print(printed.line(message), file=sys.stderr, flush=True)
    tokens, lacking = encoded(model, coder, text, specials=False), coder.lacking(text)
    unread = len(lacking.encode())
    if len(tokens) < 2 or unread >= len(text.encode()):
        without = f", and there is none for {named(lacking)}" if lacking else ""
        raise InputError(
            f"--text: {path} has {len(tokens)} tokens{without}; a loss needs two, and text"
        )
    if lacking:
        message = (
            f"note: the tokeniser has no token for {len(lacking)} of {len(text)} characters, "
            f"{named(lacking)}: bits_per_byte covers the others"
        )
        print(printed.line(message), file=sys.stderr)
    networks = transformer.networks_of(model.architecture)
    seen = min(context, networks.context, len(tokens) - 1)
    nll = transformer.heldout_nll(
        model.params, tokens, networks=networks._replace(context=seen), chunk=max(1, 1024 // seen)
    )
    return texts.metrics_of(tokens, text, unread)(nll)


def named(lacking: str) -> str:
    """The first of the distinct characters, as a line shows them."""
    distinct = [*dict.fromkeys(lacking)]
    more = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return ", ".join(map(repr, distinct[:SHOWN])) + more


def run(arguments: launch.Arguments) -> None:
    """Writes or evaluates, as the flags ask."""
    folder = local(arguments.positional[0], "FOLDER")
    check_seed(arguments.seed)
    for name in ("length", "context"):
        if (value := getattr(arguments, name)) < 1:
            raise InputError(f"--{name} must be at least 1, got {value}")
    sampling = sampling_flags.sampling_of(arguments)
    model = load_folder(folder, dtype=DTYPES[arguments.dtype])
    coder = ForeignTokenizer.read(folder)
    if arguments.text:
        for name, value in evaluate(model, coder, arguments.text, arguments.context).items():
            print(f"{name} {value:.4f}")
        return
    how = arguments.length, arguments.seed, sampling
    for piece in stream(model, coder, arguments.prompt, *how):
        print(printed.lines(piece), end="", flush=True)
    print()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, run, arguments, names=("FOLDER",))


if __name__ == "__main__":
    main()
