"""How the time of a step and its memory grow, beside PyTorch: tables, exponents, a page of plots.

    python -m benchmarks.scaling --plot=scaling.png          # a quarter of an hour on 2 cores
    python -m benchmarks.scaling --only=context,side --out=scaling.json

  batch     windows of 64 in a step of nano (4 layers of 128), from 1 to 256
  width     of its layers, from 64 to 512; 12 windows of 64
  context   tokens in its one window, from 64 to 4,096
  side      of the images of the VQ-VAE (its preset, which halves larger ones more often), from 16
            to 128 pixels; batches of 16
  devices   CPU devices that share the cores and the batch of 64 windows of nano, from 1 to 8
  dispatch  steps of nano in one program, from 1 to 100

Each point is a process of its own with one framework, float32, on the CPU with all its cores: the
median time of a step over some seconds, and by how much the process's peak memory is above that
after it imported its framework: compilation and all else included. PyTorch's losses and ours are
checked to be the same.

  pytorch eager  as in benchmarks.lm_step and benchmarks.conv_step, images channels first
  ours           3 steps in one program
  evaluation     our held-out loss of as many windows, which must cost no more than training

An exponent is the slope of the logarithm over the three largest values: 1 where cost is
proportional to what grows, 2 where it is to the square.
"""

import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from benchmarks import conv_step, lm_step
from benchmarks.harness import alone, machine, ours, side_by_side
from benchmarks.harness.turns import TOLERANCE, Mismatch, choose
from experiments.cli import launch
from experiments.cli.output import check_out, write_out

SECONDS = 2.0  # of measuring, for each point and row
EVERY_ROW = ("pytorch eager", "ours", "evaluation")
IN_PROCESS = {"pytorch eager": "torch", "ours": "ours", "evaluation": "evaluation"}


class Axis(NamedTuple):
    """What grows.

    Attributes:
      unit: of its values, for people.
      values: from small to large.
      rows: what is measured.
    """

    unit: str
    values: tuple[int, ...]
    rows: tuple[str, ...]


AXES: Mapping[str, Axis] = {
    "batch": Axis("windows in a step", (1, 4, 16, 64, 256), EVERY_ROW),
    "width": Axis("width", (64, 128, 256, 512), EVERY_ROW),
    "context": Axis("tokens in a window", (64, 256, 512, 1024, 2048, 4096), EVERY_ROW),
    "side": Axis("pixels of a side", (16, 32, 64, 128), ("pytorch eager", "ours")),
    "devices": Axis("devices on the same cores", (1, 2, 4, 8), ("ours",)),
    "dispatch": Axis("steps in a program", (1, 2, 5, 10, 20, 50, 100), ("ours",)),
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_list("only", None, f"Some of {', '.join(AXES)}. Default: all.", flag_values=values)
    flags.DEFINE_string("plot", None, "A .png or .svg file for the plots.", flag_values=values)
    flags.DEFINE_string("out", None, "A .json file for all that is printed.", flag_values=values)


def write_point(folder: Path, axis: str, value: int) -> None:
    """Writes what the rows of a point start from."""
    common = {"threads": machine.threads(), "seconds": SECONDS}
    if axis == "side":
        model, nearest = conv_step.vq_vae(value), np.arange(value) * 28 // value
        images = ours.digits()[:256, nearest][:, :, nearest]
        params, vectors, decay = model.weights
        setting = {
            **common,
            **{"model": "vq", "batch_size": 16, "steps": 3, "decay": decay, "rate": model.adam[0]},
        }
        alone.write(folder, setting, images, {"params": params, "vectors": vectors})
        return
    batch = {"batch": value, "context": 1, "devices": 64}.get(axis, 12)
    changes: dict[str, Any] = {axis: value} if axis in ("width", "context") else {}
    config, _, data, task, _ = lm_step.setting_of("nano", batch, **changes)
    setting = {
        **common,
        "model": "lm",
        "preset": "nano",
        "changes": changes,
        "sizes": {name: getattr(config, name) for name in alone.SIZES},
        "batch_size": batch,
        "steps": value if axis == "dispatch" else 3,
    }
    alone.write(folder, setting, np.asarray(data.arrays), task.weights)


def measured(axis: str, value: int) -> dict[str, dict[str, float]]:
    """Milliseconds and megabytes of each row.

    Raises:
      Mismatch: they do not compute the same losses.
    """
    environment = dict(os.environ)
    if axis == "devices":
        flag = f"--xla_force_host_platform_device_count={value}"
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    found = {}
    with tempfile.TemporaryDirectory() as place:
        write_point(Path(place), axis, value)
        for row in AXES[axis].rows:
            found[row] = alone.run(IN_PROCESS[row], Path(place), environment)
    if {"pytorch eager", "ours"} <= set(found):
        theirs, mine = (np.array(found[row]["losses"]) for row in ("pytorch eager", "ours"))
        if not (difference := np.max(np.abs(theirs / mine - 1))) <= TOLERANCE:
            raise Mismatch(f"{axis} {value}: losses differ by {difference:.1e}")
    return {
        row: {"ms": point["ms"], "mb": point["peak_mb"] - point["before_mb"]}
        for row, point in found.items()
    }


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """p of cost ∝ valueᵖ, by least squares over the three largest values."""
    known = np.log(np.maximum(costs[-3:], 0.1))
    return float(np.polyfit(np.log(values[-3:]), known, 1)[0])


def lines_of(axis: str, points: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The table of one axis."""
    rows, values = AXES[axis].rows, list(points)
    lines = [
        f"| {axis}: {AXES[axis].unit} | " + " | ".join(f"{row}, ms | MB" for row in rows) + " |",
        "|---:" * (1 + 2 * len(rows)) + "|",
    ]
    for value in values:
        cells = (f"{points[value][row]['ms']:.4g} | {points[value][row]['mb']:.0f}" for row in rows)
        lines.append(f"| {value:,} | {' | '.join(cells)} |")
    if len(values) >= 3:
        fitted = (
            f"{exponent(values, [points[v][row][kind] for v in values]):.2f}"
            for row in rows
            for kind in ("ms", "mb")
        )
        lines.append(f"| exponent | {' | '.join(fitted)} |")
    return lines


def dearest_evaluation(results: Mapping[str, Any]) -> dict[str, float]:
    """The greatest shares of training's time and memory that evaluation takes at any point."""
    points = [p for axis in results.values() for p in axis.values() if "evaluation" in p]
    return {
        kind: max((p["evaluation"][kind] / p["ours"][kind] for p in points), default=math.nan)
        for kind in ("ms", "mb")
    }


def plot(results: Mapping[str, Any], path: Path) -> bytes:
    """Time above and memory below for each axis, three side by side, on logarithmic scales."""
    import io

    from matplotlib.figure import Figure

    columns = min(3, len(results))
    rows = 2 * math.ceil(len(results) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for number in range(len(results), columns * rows // 2):
        for panel in panels[2 * (number // columns) :, number % columns][:2]:
            panel.set_visible(False)
    for number, (axis, points) in enumerate(results.items()):
        top, column = 2 * (number // columns), number % columns
        for kind, row, label in (("ms", top, "ms per step"), ("mb", top + 1, "MB above imports")):
            _panel(panels[row, column], axis, points, kind)
            if column == 0:
                panels[row, column].set_ylabel(label)
        panels[top, column].set_title(axis)
        panels[top + 1, column].set_xlabel(AXES[axis].unit)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=110)
    return buffer.getvalue()


def _panel(panel: Any, axis: str, points: Mapping[int, Any], kind: str) -> None:
    colours = {"pytorch eager": "#d95f02", "ours": "#1b6ca8", "evaluation": "#7fb069"}
    values, every = list(points), []
    for row in AXES[axis].rows:
        costs = [max(points[v][row][kind], 0.1) for v in values]
        label = f"{row}, {exponent(values, costs):.2f}" if len(values) >= 3 else row
        panel.loglog(values, costs, "o-", ms=4, color=colours[row], label=label)
        every += costs
    spread = max(10 / (max(every) / min(every)), 1.5) ** 0.5  # noise must not fill a panel
    panel.set_ylim(min(every) / spread, max(every) * spread)
    panel.set_xticks(values, labels=[f"{v:,}" for v in values], rotation=45)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7, title="exponent", title_fontsize=7)


def compare(only: Sequence[str] | None) -> dict[str, dict[int, Any]]:
    """All points of the chosen axes; prints each table as soon as it is there."""
    results: dict[str, dict[int, Any]] = {}
    for axis in choose(only, list(AXES)):
        results[axis] = {}
        for value in AXES[axis].values:
            results[axis][value] = measured(axis, value)
            print(f"{axis} {value:,}: {json.dumps(results[axis][value])}", file=sys.stderr)
        print(*lines_of(axis, results[axis]), "", sep="\n", flush=True)
    return results


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    out = check_out(arguments.out) if arguments.out else None
    picture = check_out(arguments.plot, "--plot") if arguments.plot else None
    if picture and picture.suffix not in (".png", ".svg"):
        raise InputError(f"--plot={arguments.plot}: the name must end in .png or .svg")
    machine.hold_to("cpu")
    results = side_by_side.guarded(lambda: compare(arguments.only))
    metadata, shares = machine.metadata(), dearest_evaluation(results)
    print(f"{metadata['cpu']}, {metadata['cores']} cores, {metadata['date']}")
    if not math.isnan(shares["ms"]):
        print(
            f"evaluation takes at most {shares['ms']:.2f} of training's time and "
            f"{shares['mb']:.2f} of its memory"
        )
    if out:
        write_out(out, dumps({**metadata, "axes": results}, indent=1) + "\n")
    if picture:
        write_out(picture, plot(results, picture), "--plot")


if __name__ == "__main__":
    launch.run(__doc__, define_flags, command, device=False)
