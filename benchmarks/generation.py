"""Writing 256 tokens with a small language model, side by side with Hugging Face's `generate`.

    python -m benchmarks.generation
    python -m benchmarks.generation --texts=64

The nano model (4 layers of 128) with room for 264 tokens and random weights, greedily, from a
prompt of 8 tokens; float32, on the CPU with all its cores. The unit is the whole of it: a "step" is
256 tokens of each text.

  transformers  GPT2LMHeadModel.generate with its cache, of the same weights through our export
  ours (scan)   aigc_jax.transformer.sample, one program, 8 texts at a time

Both are checked to write the same tokens before they are timed.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from aigc_jax import transformer
from aigc_jax.transformer.sampling import GREEDY
from benchmarks import machine, side_by_side
from benchmarks.turns import Check, Row, counted

TEXTS = flags.DEFINE_integer("texts", 1, "Texts that are written at once.", lower_bound=1)
PROMPT, WRITTEN, VOCABULARY = 8, 256, 65
ROWS = ("transformers", side_by_side.OURS)


def prepare() -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """The tokens, by whole passes without a cache, and a factory of each row."""
    config = transformer.nano(VOCABULARY, context=PROMPT + WRITTEN)
    networks = transformer.networks_of(config)
    state = transformer.make(config).init(jax.random.key(0))
    # Weights so large that what is most probable depends on the text.
    params = jax.tree.map(lambda p: 4 * p if p.ndim > 1 else p, state.params)
    state = state._replace(params=params)
    prompt = np.random.default_rng(0).integers(0, VOCABULARY, PROMPT)

    @jax.jit
    def most_probable(tokens: jax.Array, length: int) -> jax.Array:
        states = networks.hidden(params, transformer.Batch(tokens, tokens, tokens), None)
        return networks.logits(params, states)[:, length - 1].argmax(-1)

    tokens = np.zeros((1, PROMPT + WRITTEN), np.int32)
    tokens[0, :PROMPT] = prompt
    for length in range(PROMPT, PROMPT + WRITTEN):
        tokens[:, length] = most_probable(jnp.asarray(tokens), length)
    expected = np.repeat(tokens, TEXTS.value, axis=0) + 1.0
    nothing = np.zeros((1, TEXTS.value))
    draw = jax.jit(
        lambda params, key: transformer.sample(
            state._replace(params=params),
            key,
            TEXTS.value,
            jnp.asarray(prompt),
            PROMPT + WRITTEN,
            networks=networks,
            sampling=GREEDY,
            rows_at_once=8,
        )
    )
    prompts = np.repeat(prompt[None], TEXTS.value, axis=0)
    made = (
        lambda: machine.import_peer("generation_torch").row(config, params, prompts, WRITTEN),
        lambda: counted(lambda: np.asarray(draw(params, jax.random.key(0))) + 1.0),
    )
    return Check(nothing, nothing, expected), dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    flags.adopt_module_key_flags(side_by_side)  # for --help
    side_by_side.main("256 tokens of a language model", prepare, ROWS)
