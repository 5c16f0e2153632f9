"""A language model's step, side by side with PyTorch.

    python -m benchmarks.lm_step                    # nano: 4 layers of 128, 12 windows of 64
    python -m benchmarks.lm_step --preset=char      # 6 layers of 384, 8 windows of 256
    python -m benchmarks.lm_step --preset=gpt2 --device=gpu --peak_tflops=989     # an H100

A GPT with learned positions, LayerNorm before each layer, GELU and one table for embedding and
output, without dropout; characters of Python's documentation; AdamW at 1e-3 with decay of matrices,
gradients clipped to a norm of 1; float32, on the CPU with all its cores. gpt2 is the model of 124M
parameters, 16 windows of 1024, with GELU by tanh, in bfloat16 over float32 parameters.

  pytorch eager        attention by scaled_dot_product_attention, a fused AdamW; gpt2: autocast
  pytorch compiled     the same with the loss, and so its gradient, under torch.compile
  ours (scan)          20 steps (char: 10, gpt2: 5) in one program, through loop.make_dispatch
  ours (jit per step)  one step in one program, called from Python

All are checked to compute the same losses before they are timed. Below the table come tokens per
second, and with --peak_tflops the share of the device's peak (MFU), where a token takes 6 N + 12 L
D T operations.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags
from numpy.lib.stride_tricks import sliding_window_view

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.text import load_text
from aigc_jax.data.tokenizers import CharTokenizer
from aigc_jax.layers import gelu_tanh
from benchmarks.harness import machine, ours, side_by_side
from benchmarks.harness.turns import COARSE, Check, Row
from benchmarks.harness.utilisation import add_throughput, flops_per_token
from experiments.cli import launch
from experiments.families.lm.batching import windows_of

LOSSES = ("nll_nats",)
ROWS = ("pytorch eager", "pytorch compiled", side_by_side.OURS, "ours (jit per step)")
RECIPE: dict[str, Any] = {
    "optimiser": transformer.adamw,
    "learning_rate": 1e-3,
    "decay_steps": None,
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_enum(
        "preset", "nano", ("nano", "char", "gpt2"), "Which sizes.", flag_values=values
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "Windows in a step. Default: the preset's.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "peak_tflops",
        None,
        "The device's peak, in TFLOP/s.",
        lower_bound=0.0,
        flag_values=values,
    )


def config_of(
    preset: str, vocabulary_size: int, **changes: Any
) -> tuple[transformer.Config, int, int]:
    """The model, with some of its settings changed, the batch size, and the steps in a program."""
    if preset == "gpt2":  # with its own vocabulary, little of which the text uses
        return transformer.gpt2(**RECIPE, **changes), 16, 5
    make, batch_size, steps = {
        "nano": (transformer.nano, 12, 20),
        "char": (transformer.char, 8, 10),
    }[preset]
    return make(vocabulary_size, **RECIPE, dropout=0.0, **changes), batch_size, steps


class Setting(NamedTuple):
    """What the rows train."""

    config: transformer.Config
    algorithm: Algorithm
    data: ours.Data  # for ours
    task: ours.Task  # for the peers
    steps: int  # in one program of ours


@lru_cache(maxsize=1)
def setting_of(preset: str, batch_size: int | None = None, **changes: Any) -> Setting:
    """The model of a preset, some settings changed, on characters of Python's documentation."""
    text = str(load_text("python_docs").train)
    coder = CharTokenizer.of(text)
    tokens = coder.encode(text)
    config, usual, steps = config_of(preset, coder.vocabulary_size, **changes)
    batch_size = batch_size or usual
    algorithm, reading = transformer.make(config), windows_of(tokens, config.context)
    task = ours.Task(
        examples=sliding_window_view(tokens, config.context + 1, writeable=True),
        batch_size=batch_size,
        noise_size=0,
        weights=ours.initial_state(algorithm).params,
        threads=machine.threads(),
    )
    data = ours.Data(jnp.asarray(tokens), reading.gather, reading.examples, batch_size)
    return Setting(config, algorithm, data, task, steps)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What every row must compute, and a factory of each, which imports the row's framework."""
    config, algorithm, data, task, steps = setting_of(arguments.preset, arguments.batch_size)
    check = ours.expected(algorithm, data, lambda _: jnp.zeros((task.batch_size, 0)), LOSSES)
    half = config.dtype == jnp.bfloat16
    if half:
        check = check._replace(precision="bfloat16", tolerance=COARSE)

    def torch(compiled: bool) -> Row:
        approximate = "tanh" if config.activation is gelu_tanh else "none"
        return machine.import_peer("peers.torch.lm").row(task, config, compiled, approximate, half)

    made = (
        lambda: torch(False),
        lambda: torch(True),
        lambda: ours.scan_row(algorithm, data, LOSSES, steps),
        lambda: ours.step_row(algorithm, data, LOSSES),
    )
    return check, dict(zip(ROWS, made, strict=True))


def throughput(arguments: launch.Arguments, metrics: dict[str, dict[str, Any]]) -> list[str]:
    """See `add_throughput`."""
    config, _, _, task, _ = setting_of(arguments.preset, arguments.batch_size)
    parameters = sum(x.size for x in jax.tree.leaves(task.weights))
    flops = flops_per_token(config, parameters - config.context * config.width)
    return add_throughput(metrics, task.batch_size * config.context, flops, arguments.peak_tflops)


if __name__ == "__main__":
    side_by_side.main(
        __doc__,
        "Language model, characters",
        prepare,
        ROWS,
        remarks=throughput,
        define=define_flags,
    )
