"""The peak memory of training a language model, beside PyTorch's.

    python -m benchmarks.memory

The char model of benchmarks.lm_step (6 layers of 384, 8 windows of 256), for 15 seconds on the CPU
with all its cores. Each row is a process of its own, which imports no framework but its own;
reported is the most that the process ever held, imports and compilation included.

  pytorch eager  attention by scaled_dot_product_attention, a fused AdamW
  ours (scan)    10 steps in one program

Both are checked to compute the same losses.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from aigc_jax.strict_json import dumps
from benchmarks import lm_step
from benchmarks.harness import alone, machine, side_by_side
from benchmarks.harness.turns import TOLERANCE, Mismatch
from experiments.cli import launch
from experiments.cli.output import check_out, write_out

SECONDS = 15
ROWS = {"pytorch eager": "torch", side_by_side.OURS: "ours"}


def prepare(folder: Path) -> None:
    """Writes what the rows start from: the tokens, the model's sizes and its first weights."""
    config, _, data, task, steps = lm_step.setting_of("char")
    setting = {
        "model": "lm",
        "preset": "char",
        "changes": {},
        "sizes": {name: getattr(config, name) for name in alone.SIZES},
        "batch_size": task.batch_size,
        "threads": task.threads,
        "steps": steps,
        "seconds": SECONDS,
    }
    alone.write(folder, setting, np.asarray(data.arrays), task.weights)


def compare() -> dict[str, Any]:
    """All rows, in a format like that of `side_by_side.compare`.

    Raises:
      Mismatch: they do not compute the same losses.
    """
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place))
        rows = {name: alone.run(row, Path(place)) for name, row in ROWS.items()}
    theirs, mine = (np.array(row["losses"]) for row in rows.values())
    if not (difference := np.max(np.abs(theirs / mine - 1))) <= TOLERANCE:
        raise Mismatch(f"losses differ by {difference:.1e}, above {TOLERANCE:.0e} relative")
    for row in rows.values():
        row["ratio_to_ours"] = row["peak_mb"] / rows[side_by_side.OURS]["peak_mb"]
    title = "Peak memory of training char"
    return {"title": title, **machine.metadata(), "rows": rows, "peers": {"best": next(iter(ROWS))}}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string("out", None, "A .json file for all that is printed.", flag_values=values)
    flags.DEFINE_integer("rounds", 1, "One, as memory has no turns.", flag_values=values)


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    out = check_out(arguments.out) if arguments.out else None
    machine.hold_to("cpu")
    result = side_by_side.guarded(compare)
    print(f"{result['title']}\n{result['cpu']}, {result['cores']} cores, {result['date']}\n")
    print("| MB, the whole process | peak | / ours |\n|---|---:|---:|")
    for name, row in result["rows"].items():
        print(f"| {name} | {row['peak_mb']:.0f} | {row['ratio_to_ours']:.2f} |")
    if out:
        write_out(out, dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    launch.run(__doc__, define_flags, command, device=False)
