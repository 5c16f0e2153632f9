"""Judges a run on its held-out data, beside trivial baselines.

    python -m experiments.evaluate --workdir=runs/vae-mnist5k-default
    python -m experiments.evaluate --workdir=runs/vae-mnist-iwae --k=5000

The newest checkpoint is judged, or with --checkpoint=best that of the lowest held-out score, where
the experiment has one. The figures are printed, and written as JSON with --out.
"""

import textwrap
from typing import Any

from absl import app, flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from experiments import launch
from experiments.finished import CHECKPOINTS, open_run
from experiments.output import check_out, write_out
from experiments.paths import define_path
from experiments.run_config import check_data, describe_data

WORKDIR = define_path("workdir", None, "Folder of the run to judge. Required.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "newest", CHECKPOINTS, "Which state to judge.")
DATA_DIR = define_path(
    "data_dir", None, "Where the data set's files are, if no longer where they were."
)
IMAGES = define_path(
    "images", None, "Where the run's own images are, if no longer where they were."
)
TEXT = define_path("text", None, "Where the run's text is, if no longer where it was.")
CLASSIFIER = define_path(
    "classifier", None, "Where the classifier's run is that judged, if no longer where it was."
)
K = flags.DEFINE_integer(
    "k", None, "Importance samples of a VAE's likelihood, in place of the run's own number."
)
OUT = define_path("out", None, "JSON file to write the figures to, replaced when it exists.")
LISTS = "lists"  # the key of the figures that are more than one number
MOST = 50  # numbers of a list that are printed


def evaluate(workdir: str, checkpoint: str = "newest", **changes: Any) -> dict:
    """All held-out figures of the run's checkpoint, and those of trivial models, by name."""
    run = open_run(workdir, checkpoint, **changes)
    if changes.get("k") is not None and not hasattr(run.options, "k"):
        raise InputError(f"--k is of a VAE's likelihood; the run in {workdir} has none")
    data = run.experiment.load(run.options)
    check_data(describe_data(data), run.config, workdir)
    task = run.experiment.task(run.options, data, run.facts, run.algorithm)
    heldout = task.evaluate(run.state) | task.costly(run.state)
    lists = {name: values.tolist() for name, values in task.lists(run.state).items()}
    return {"step": run.step, "heldout": heldout, **task.references(), LISTS: lists}


def table(figures: dict) -> str:
    """A row for each figure, a column for the model and one for each reference; then the lists."""
    columns = {k: v for k, v in figures.items() if isinstance(v, dict) and k != LISTS}
    rows = [["", *columns]]
    for name in columns["heldout"]:
        cells = (column.get(name) for column in columns.values())
        rows.append([name, *("" if c is None else f"{c:.5g}" for c in cells)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for name, values in figures[LISTS].items():
        shown = " ".join(f"{value:.4g}" for value in sorted(values, reverse=True)[:MOST])
        rest = f" and {len(values) - MOST} more in --out" if len(values) > MOST else ""
        lines += ["", *textwrap.wrap(f"{name}, the largest first: {shown}{rest}", 100)]
    return "\n".join(lines)


def main(_: list[str]) -> None:
    """The command."""

    def command() -> None:
        if not WORKDIR.value:
            raise InputError("--workdir is required; see --help")
        out = check_out(OUT.value) if OUT.value else None
        moved: dict[str, Any] = {
            "data_dir": DATA_DIR.value,
            "images": IMAGES.value,
            "text": TEXT.value,
        }
        moved |= {"classifier": CLASSIFIER.value, "k": K.value}
        figures = evaluate(WORKDIR.value, CHECKPOINT.value, **moved)
        if out:
            write_out(out, dumps(figures, indent=2) + "\n")
        at = f"{printed.line(WORKDIR.value)} at step {figures['step']}"
        print(printed.lines(f"{at}\n{table(figures)}"))

    launch.report_errors(command)


if __name__ == "__main__":
    app.run(main, flags_parser=launch.parse)
