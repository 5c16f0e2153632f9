"""Text as it is written, for the terminal."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import parallel, transformer
from aigc_jax.algorithm import Keys, Params
from aigc_jax.data.tokenizers import StreamDecoder
from aigc_jax.errors import InputError
from aigc_jax.transformer.generation import Decoding, advance, begin
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments import texts
from experiments.finished import Finished
from experiments.lm_options import to_config

AT_ONCE = 8  # tokens between two looks at the device


def encoded(run: Finished, prompt: str) -> np.ndarray:
    """The tokens of a prompt; of an empty one, what all unprompted texts begin after.

    Raises:
      InputError: the prompt is longer than the model's context, or holds a character that is not
        in its alphabet.
    """
    tokens = texts.tokenizer(run.facts).encode(prompt or texts.first_token(run.facts))
    if len(tokens) > run.options.context:
        raise InputError(
            f"the prompt has {len(tokens)} tokens, and the model sees {run.options.context} at "
            "once; shorten it"
        )
    return tokens


def write(
    run: Finished, prompt: str, num: int, length: int, seed: int, sampling: Sampling = ANCESTRAL
) -> list[str]:
    """`num` continuations of a prompt, all at once; the first is that of `stream`.

    Arguments and errors are those of `stream`.
    """
    tokens, coder = encoded(run, prompt), texts.tokenizer(run.facts)
    draw = jax.jit(partial(run.algorithm.sample, sampling=sampling), static_argnums=(2, 4))
    key, total = jax.random.key(seed), len(tokens) + length
    rows = np.asarray(draw(run.state, key, num, jnp.asarray(tokens), total))
    return [coder.decode(row if prompt else row[len(tokens) :]) for row in rows]


def stream(
    run: Finished, prompt: str, length: int, seed: int, sampling: Sampling = ANCESTRAL
) -> Iterator[str]:
    """A continuation of a prompt, in pieces as they come; joined, they begin with the prompt.

    It is the text that `transformer.sample` would give, and like it moves its window on by half a
    context where it is full.

    Args:
      run: of a language model.
      prompt: what the text begins with; where it is empty, what all unprompted texts begin after.
      length: tokens to add.
      seed: decides the text.
      sampling: how a token is chosen.

    Raises:
      InputError: the prompt is longer than the model's context, or holds a character that is not
        in its alphabet.
    """
    tokens, params = encoded(run, prompt), run.state.judged
    networks = transformer.networks_of(to_config(run.options, run.facts))
    keys = parallel.example_keys(jax.random.key(seed), 1)

    # Parameters are arguments: as constants of the program they would be there twice.
    @partial(jax.jit, static_argnums=3)
    def begun(params: Params, prompt: jax.Array, keys: Keys, room: int) -> Decoding:
        extend, cache = transformer.extender(params, networks), networks.start(params, 1, room)
        return begin(extend, cache, prompt, jnp.full((1,), prompt.shape[1]), room, keys)

    @partial(jax.jit, donate_argnums=1)
    def advanced(params: Params, decoding: Decoding) -> Decoding:
        return advance(transformer.extender(params, networks), decoding, AT_ONCE, sampling=sampling)

    start, go_on = partial(begun, params), partial(advanced, params)
    decoder = StreamDecoder(texts.tokenizer(run.facts))
    return _pieces(start, go_on, decoder, tokens, prompt, length, networks.context, keys)


def _pieces(start, go_on, decoder, tokens, prompt, length, context, keys) -> Iterator[str]:
    if prompt:
        yield prompt
    total, moves = len(tokens) + length, 0
    decoding = start(jnp.asarray(tokens)[None], keys, min(total, context))
    shown, written = len(tokens), len(tokens)
    while written < total:
        decoding = go_on(decoding)
        reached = int(decoding.lengths[0])
        new = np.asarray(decoding.tokens[0, shown:reached])[: total - written]
        yield "".join(decoder.push(int(token)) for token in new)
        shown, written = reached, written + len(new)
        if reached == context and written < total:
            shown = max(context // 2, 1)
            window = decoding.tokens[:, context - shown :]
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, context + moves)
            decoding, moves = start(window, own, context), moves + 1
    yield decoder.finish()
