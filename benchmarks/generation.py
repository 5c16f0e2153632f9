"""Writing 256 tokens with a small language model, side by side with Hugging Face's `generate`.

    python -m benchmarks.generation
    python -m benchmarks.generation --texts=64
    python -m benchmarks.generation --preset=gpt2 --device=gpu --bandwidth_gb=3350    # an H100

The nano model (4 layers of 128), or GPT-2's 124M parameters, with a context of 264 tokens and
random weights, greedily, from a prompt of 8 tokens; float32, on the CPU with all its cores. A
"step" is all of it: 256 tokens of each text.

  transformers  GPT2LMHeadModel.generate with its cache, of the same weights through our export
  ours (scan)   aigc_jax.transformer.sample, one program; on the CPU 8 texts at a time

Both are checked to write the same tokens before they are timed. Below the table come tokens per
second, and with --bandwidth_gb the bound set by the device's memory: for a token of each text, all
parameters and the keys and values so far are read once.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from aigc_jax import transformer
from aigc_jax.transformer.sampling import GREEDY
from benchmarks.harness import machine, side_by_side
from benchmarks.harness.turns import Check, Row, counted
from benchmarks.harness.utilisation import bytes_per_step
from experiments.cli import launch

PROMPT, WRITTEN = 8, 256
SIZES = {
    "nano": partial(transformer.nano, 65),
    "gpt2": partial(transformer.gpt2, dtype=jnp.float32),
}
ROWS = ("transformers", side_by_side.OURS)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_integer(
        "texts", 1, "Texts that are written at once.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_enum("preset", "nano", ("nano", "gpt2"), "Which sizes.", flag_values=values)
    flags.DEFINE_float(
        "bandwidth_gb",
        None,
        "The peak bandwidth of the device's memory, in GB/s.",
        lower_bound=0.0,
        flag_values=values,
    )


def config_of(arguments: launch.Arguments) -> transformer.Config:
    """The model."""
    return SIZES[arguments.preset](context=PROMPT + WRITTEN)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """The tokens, by full passes without a cache, and a factory of each row."""
    config = config_of(arguments)
    networks = transformer.networks_of(config)
    state = transformer.make(config).init(jax.random.key(0))
    # Weights large enough that the most probable token depends on the text.
    params = jax.tree.map(lambda p: 4 * p if p.ndim > 1 else p, state.params)
    state = state._replace(params=params)
    prompt = np.random.default_rng(0).integers(0, config.vocabulary_size, PROMPT)

    @jax.jit
    def most_probable(tokens: jax.Array, length: int) -> jax.Array:
        states = networks.hidden(params, transformer.Batch(tokens, tokens, tokens), None)
        return networks.logits(params, states)[:, length - 1].argmax(-1)

    tokens = np.zeros((1, PROMPT + WRITTEN), np.int32)
    tokens[0, :PROMPT] = prompt
    for length in range(PROMPT, PROMPT + WRITTEN):
        tokens[:, length] = most_probable(jnp.asarray(tokens), length)
    expected = np.repeat(tokens, arguments.texts, axis=0) + 1.0
    nothing = np.zeros((1, arguments.texts))
    draw = jax.jit(
        lambda params, key: transformer.sample(
            state._replace(params=params),
            key,
            arguments.texts,
            jnp.asarray(prompt),
            PROMPT + WRITTEN,
            networks=networks,
            sampling=GREEDY,
            rows_at_once=8 if jax.default_backend() == "cpu" else None,
        )
    )
    prompts = np.repeat(prompt[None], arguments.texts, axis=0)
    made = (
        lambda: machine.import_peer("peers.torch.generation").row(config, params, prompts, WRITTEN),
        lambda: counted(lambda: np.asarray(draw(params, jax.random.key(0))) + 1.0),
    )
    return Check(nothing, nothing, expected), dict(zip(ROWS, made, strict=True))


def throughput(arguments: launch.Arguments, metrics: dict[str, dict[str, Any]]) -> list[str]:
    """Adds tokens per second to each row, and their share of the memory's bound."""
    config, lines = config_of(arguments), []
    params = jax.eval_shape(transformer.networks_of(config).init, jax.random.key(0))
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(params))
    read = bytes_per_step(config, size, arguments.texts, PROMPT + WRITTEN / 2, 4)
    for name, row in metrics.items():
        row["tokens_per_second"] = rate = 1e3 * arguments.texts * WRITTEN / row["median_ms"]
        lines.append(f"{name}: {rate:,.0f} tokens/s")
        if arguments.bandwidth_gb:
            bound = arguments.texts * 1e9 * arguments.bandwidth_gb / read
            row["share_of_bandwidth"] = rate / bound
            lines[-1] += (
                f", {rate / bound:.1%} of the {bound:,.0f} that "
                f"{arguments.bandwidth_gb:g} GB/s allow"
            )
    return lines


if __name__ == "__main__":
    side_by_side.main(
        __doc__,
        "256 tokens of a language model",
        prepare,
        ROWS,
        remarks=throughput,
        define=define_flags,
    )
