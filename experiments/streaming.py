"""Text as it is written, for the terminal."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import parallel, transformer
from aigc_jax.data.tokenizers import StreamDecoder
from aigc_jax.errors import InputError
from aigc_jax.transformer.generation import Decoding, advance, begin
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments import texts
from experiments.finished import Finished
from experiments.lm_options import to_config

AT_ONCE = 8  # tokens between two looks at the device


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
    networks = transformer.networks_of(to_config(run.options, run.facts))
    coder, context = texts.tokenizer(run.facts), networks.context
    tokens = coder.encode(prompt or texts.first_token(run.facts))
    if len(tokens) > context:
        raise InputError(
            f"the prompt has {len(tokens)} tokens, and the model sees {context} at once; shorten it"
        )
    params = run.state.judged
    extend = transformer.extender(params, networks)
    keys = parallel.example_keys(jax.random.key(seed), 1)
    go_on = jax.jit(partial(advance, extend, steps=AT_ONCE, sampling=sampling))

    @partial(jax.jit, static_argnums=2)
    def start(prompt: jax.Array, keys: jax.Array, room: int) -> Decoding:
        cache = networks.start(params, 1, room)
        return begin(extend, cache, prompt, jnp.full((1,), prompt.shape[1]), room, keys)

    return _pieces(start, go_on, StreamDecoder(coder), tokens, prompt, length, context, keys)


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
