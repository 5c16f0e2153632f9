"""Evaluates a run on its held-out data, beside trivial baselines.

    python -m experiments.evaluate --workdir=runs/vae-mnist5k-default
    python -m experiments.evaluate --workdir=runs/vae-mnist-iwae --k=5000

The newest checkpoint is evaluated, or with --checkpoint=best the one with the lowest held-out
score, if the experiment has a score. Metrics are printed, and written as JSON with --out.
"""

import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from absl import flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from experiments.catalogue import open_any
from experiments.cli import launch
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import define_path
from experiments.runs.config import check_data, describe_data
from experiments.runs.restore import CHECKPOINTS

MOVED = {
    "data_dir": "the folder of the data set's files",
    "images": "the file or folder of the run's own images",
    "sounds": "the folder of the run's own sounds",
    "videos": "the folder of the run's own videos",
    "text": "the run's text",
    "codec": "the run of a prior's codec",
    "classifier": "the run of the classifier whose features are used",
}
LISTS = "lists"  # the key of the metrics that are more than one number
MOST = 50  # numbers of a list that are printed


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the run to evaluate. Required.", values)
    flags.DEFINE_enum(
        "checkpoint", "newest", CHECKPOINTS, "Which state to evaluate.", flag_values=values
    )
    for name, what in MOVED.items():
        define_path(name, None, f"New path of {what}, if it has moved.", values)
    flags.DEFINE_integer(
        "k",
        None,
        "Importance samples of a VAE's likelihood, instead of the run's own number.",
        flag_values=values,
    )
    define_path("out", None, "JSON file to write the metrics to, replaced if it exists.", values)


def evaluate(workdir: str, checkpoint: str = "newest", **changes: Any) -> dict:
    """All held-out metrics of the run's checkpoint, and those of trivial models, by name."""
    run = open_any(workdir, checkpoint, **changes)
    if changes.get("k") is not None and not hasattr(run.options, "k"):
        raise InputError(f"--k is for a VAE's likelihood; the run in {workdir} has none")
    data = run.experiment.load(run.options)
    check_data(describe_data(data), run.config, workdir)
    task = run.experiment.task(run.options, data, run.metadata, run.algorithm)
    heldout = task.evaluate(run.state) | task.final_metrics(run.state)
    lists = {name: values.tolist() for name, values in task.vectors(run.state).items()}
    return {"step": run.step, "heldout": heldout, **task.baselines(), LISTS: lists}


def table(metrics: dict) -> str:
    """A row for each metric, a column for the model and one for each baseline; then the lists."""
    columns = {k: v for k, v in metrics.items() if isinstance(v, dict) and k != LISTS}
    rows = [["", *columns]]
    for name in columns["heldout"]:
        cells = (column.get(name) for column in columns.values())
        rows.append([name, *("" if c is None else f"{c:.5g}" for c in cells)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for name, values in metrics[LISTS].items():
        shown = " ".join(f"{value:.4g}" for value in sorted(values, reverse=True)[:MOST])
        rest = f" and {len(values) - MOST} more in --out" if len(values) > MOST else ""
        lines += ["", *textwrap.wrap(f"{name}, the largest first: {shown}{rest}", 100)]
    return "\n".join(lines)


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    workdir = arguments.workdir
    if not workdir:
        raise InputError("--workdir is required; see --help")
    out = check_out(arguments.out) if arguments.out else None
    moved: dict[str, Any] = {name: getattr(arguments, name) for name in MOVED}
    metrics = evaluate(workdir, arguments.checkpoint, **moved, k=arguments.k)
    if out:
        write_out(out, dumps(metrics, indent=2) + "\n")
    at = f"{printed.line(workdir)} at step {metrics['step']}"
    print(printed.lines(f"{at}\n{table(metrics)}"))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments)


if __name__ == "__main__":
    main()
