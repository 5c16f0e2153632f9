"""Text as it is written, for the terminal."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import parallel, transformer
from aigc_jax.algorithm import Keys, Params
from aigc_jax.data.documents import until_end
from aigc_jax.data.tokenizers import StreamDecoder
from aigc_jax.transformer.generation import Decoding, advance, begin
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments.data import texts
from experiments.families.lm.options import to_config
from experiments.families.lm.writing import begun, stop_of
from experiments.runs.restore import Restored

AT_ONCE = 8  # tokens between two looks at the device


def stream(
    run: Restored, prompt: str, length: int, seed: int, sampling: Sampling = ANCESTRAL
) -> Iterator[str]:
    """A continuation of a prompt, in pieces as they come; joined, they begin with the prompt.

    It is the text that `transformer.sample` would give, and like it moves its window on by half a
    context where it is full.

    Args:
      run: of a language model.
      prompt: what the text begins with; see `begun`.
      length: tokens to add; a document may end before.
      seed: decides the text.
      sampling: how a token is chosen.

    Raises:
      InputError: see `begun`.
    """
    tokens, params = begun(run.options, run.metadata, prompt), run.state.eval_params
    networks = transformer.networks_of(to_config(run.options, run.metadata))
    keys, stop = parallel.example_keys(jax.random.key(seed), 1), stop_of(run.options, run.metadata)

    # Parameters are arguments: as constants of the program they would be there twice.
    @partial(jax.jit, static_argnums=3)
    def first(params: Params, prompt: jax.Array, keys: Keys, room: int) -> Decoding:
        extend, cache = transformer.extender(params, networks), networks.start(params, 1, room)
        return begin(extend, cache, prompt, jnp.full((1,), prompt.shape[1]), room, keys)

    @partial(jax.jit, donate_argnums=1)
    def advanced(params: Params, decoding: Decoding) -> Decoding:
        extend = transformer.extender(params, networks)
        return advance(extend, decoding, AT_ONCE, sampling=sampling, stop=stop)

    start, go_on = partial(first, params), partial(advanced, params)
    decoder = StreamDecoder(texts.tokenizer(run.metadata))
    pieces = _pieces(start, go_on, decoder, tokens, prompt, length, networks.context, keys)
    return until_end(pieces)


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
