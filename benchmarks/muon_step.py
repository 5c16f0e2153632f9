"""A step of the default language model with Muon, beside the same step with AdamW.

    python -m benchmarks.muon_step
    python -m benchmarks.muon_step --batch_size=64      # 4,096 tokens

nano of benchmarks.lm_step, 12 windows of 64, float32, on the CPU with all its cores, 20 steps in
one program in every row. The optimisers differ, and so do losses after the first step, which alone
is compared.

  adamw          as benchmarks.lm_step has it
  optax's muon   optax.contrib.muon, which takes queries, keys and values as one matrix
  ours (scan)    aigc_jax.transformer.muon, what the preset trains with
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from absl import flags

from aigc_jax import transformer
from benchmarks import lm_step
from benchmarks.harness import ours, side_by_side
from benchmarks.harness.turns import Check, Row
from experiments.cli import launch

ROWS = ("adamw", "optax's muon", side_by_side.OURS)


def optax_muon(
    rate: optax.ScalarOrSchedule, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """Muon as optax has it, on the same leaves."""
    return optax.contrib.muon(
        rate,
        adam_b2=b2,
        weight_decay=weight_decay,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=transformer.block_matrices,
    )


OPTIMISERS = (transformer.adamw, optax_muon, transformer.muon)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_integer(
        "batch_size", None, "Windows in a step. Default: 12.", lower_bound=1, flag_values=values
    )


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """The first step's loss, and a factory of each row."""
    config, algorithm, data, task, steps = lm_step.setting_of("nano", arguments.batch_size)
    check = ours.expected(
        algorithm, data, lambda _: jnp.zeros((task.batch_size, 0)), lm_step.LOSSES
    )
    check = Check(check.indices[:1], check.noise[:1], check.losses[:1])

    def row(optimiser: Callable[..., Any]) -> Row:
        algorithm = transformer.make(dataclasses.replace(config, optimiser=optimiser))
        return ours.scan_row(algorithm, data, lm_step.LOSSES, steps)

    return check, {
        name: lambda optimiser=optimiser: row(optimiser)
        for name, optimiser in zip(ROWS, OPTIMISERS, strict=True)
    }


if __name__ == "__main__":
    side_by_side.main(__doc__, "Muon", prepare, ROWS, define=define_flags)
