"""A language model's step, side by side with PyTorch.

    python -m benchmarks.lm_step                    # nano: 4 layers of 128, 12 windows of 64
    python -m benchmarks.lm_step --preset=char      # 6 layers of 384, 8 windows of 256

A GPT with learned positions, LayerNorm before each layer, GELU and one table for embedding and
output, without dropout; characters of Python's documentation; AdamW at 1e-3 with decay of matrices,
gradients clipped to a norm of 1; float32, on the CPU with all its cores.

  pytorch eager        attention by scaled_dot_product_attention, a fused AdamW
  pytorch compiled     the same with the loss, and so its gradient, under torch.compile
  ours (scan)          20 steps (char: 10) in one program, through aigc_jax.loop.make_dispatch
  ours (jit per step)  one step in one program, called from Python

All are checked to compute the same losses before they are timed.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from absl import flags
from numpy.lib.stride_tricks import sliding_window_view

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.text import load_text
from aigc_jax.data.tokenizers import CharTokenizer
from benchmarks import machine, ours, side_by_side
from benchmarks.turns import Check, Row
from experiments.readings import windows_of

PRESET = flags.DEFINE_enum("preset", "nano", ("nano", "char"), "Which sizes.")
LOSSES = ("nll_nats",)
ROWS = ("pytorch eager", "pytorch compiled", side_by_side.OURS, "ours (jit per step)")
RECIPE = {"optimiser": transformer.adamw, "learning_rate": 1e-3, "decay_steps": None}


def config_of(preset: str, vocabulary_size: int) -> tuple[transformer.Config, int, int]:
    """The model, the batch size, and the steps in a program."""
    make, batch_size, steps = {
        "nano": (transformer.nano, 12, 20),
        "char": (transformer.char, 8, 10),
    }[preset]
    return make(vocabulary_size, **RECIPE, dropout=0.0), batch_size, steps


class Setting(NamedTuple):
    """What the rows train."""

    config: transformer.Config
    algorithm: Algorithm
    data: ours.Data  # for ours
    task: ours.Task  # for the peers
    steps: int  # in a program of ours


def setting_of(preset: str) -> Setting:
    """The model of a preset, on characters of Python's documentation."""
    text = str(load_text("python_docs").train)
    coder = CharTokenizer.of(text)
    tokens = coder.encode(text)
    config, batch_size, steps = config_of(preset, coder.vocabulary_size)
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


def prepare() -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What every row must compute, and a factory of each, which imports the row's framework."""
    config, algorithm, data, task, steps = setting_of(PRESET.value)
    check = ours.expected(algorithm, data, lambda _: jnp.zeros((task.batch_size, 0)), LOSSES)

    def torch(compiled: bool) -> Row:
        return machine.import_peer("lm_torch").row(task, config, compiled)

    made = (
        lambda: torch(False),
        lambda: torch(True),
        lambda: ours.scan_row(algorithm, data, LOSSES, steps),
        lambda: ours.step_row(algorithm, data, LOSSES),
    )
    return check, dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    flags.adopt_module_key_flags(side_by_side)  # for --help
    side_by_side.main("Language model, characters", prepare, ROWS)
