"""One table over finished runs: means over seeds, with their standard errors.

    python -m experiments.table --runs='runs/gan-*'
    python -m experiments.table --runs=runs/a,runs/b --metrics=fcd,kid --out=results.md

Runs that differ only in their seed make one row. Where runs of one experiment, data set and preset
differ in another option that affects the result, each value has a row of its own, which names it.
Metrics are those of the last evaluation; below them come those of the runs' baselines, which are
trivial models. Markdown; with --out=FILE.json also the numbers, unrounded.
"""

import math
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from absl import flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from experiments.cli import launch
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import define_path, local
from experiments.runs.comparison import (
    Estimate,
    Row,
    Run,
    baselines_beside,
    estimate,
    find,
    read,
    rows_of,
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string(
        "runs",
        None,
        "Folders of runs, separated by commas; * and ? are expanded. Required.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "metrics", None, "Which metrics, in this order. Default: all.", flag_values=values
    )
    flags.DEFINE_alias("figures", "metrics", flag_values=values)  # its name before 0.2
    define_path("out", None, "File to write, replaced if it exists: .md or .json.", values)


def finished(names: Sequence[str]) -> list[Run]:
    """The finished ones among the named runs; says which are left out, and why.

    Raises:
      InputError: a name leads to no run, or none is finished.
    """
    runs = []
    for path in find(names):
        run = read(path)
        if isinstance(run, Run):
            runs.append(run)
        else:
            print(printed.line(f"left out: {path} {run}"), file=sys.stderr)
    if not runs:
        raise InputError("--runs: none of these is finished")
    return runs


def columns(rows: Sequence[Row], chosen: Sequence[str] | None) -> list[str]:
    """The names of the metrics that the table has.

    Raises:
      InputError: no run has one that was asked for.
    """
    known = list({name: None for row in rows for run in row.runs for name in run.metrics})
    for name in chosen or []:
        if name not in known:
            raise InputError(f"--metrics: no {name!r}; the runs have {', '.join(known)}")
    return list(chosen or known)


def blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each experiment on each data set."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault(row.runs[0].kind[:2], []).append(row)
    return list(found.values())


def shown(value: Estimate | None) -> str:
    """`155.5 ± 1.2`: the error with two significant digits, and the mean to the same place."""
    if value is None:
        return ""
    mean, error, _ = value
    if error is None:
        return f"{mean:.4g} ± -"
    if error == 0:
        return f"{mean:.4g} ± 0"
    finest = 5 - math.floor(math.log10(abs(mean))) if mean else 5  # no digits beyond float32's
    places = max(0, min(1 - math.floor(math.log10(error)), finest))
    return f"{mean:,.{places}f} ± {error:,.{places}f}"


def markdown(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """The table, and a line that says what it holds."""
    head = ["experiment", "data", "preset", "options"]
    lines = [
        [*head, "seeds", "step", "seconds", *metrics],
        ["---"] * 4 + ["---:"] * (3 + len(metrics)),
    ]
    for block in blocks(rows):
        for row in block:
            runs = row.runs
            steps = {run.step for run in runs}
            step = f"{min(steps):,}" if len(steps) == 1 else shown(estimate([r.step for r in runs]))
            seconds = shown(estimate([run.seconds for run in runs]))
            cells = [shown(estimate([run.metrics.get(f) for run in runs])) for f in metrics]
            lines.append([*runs[0].kind, _told(row), str(len(runs)), step, seconds, *cells])
        for name, owner, found in baselines_beside(block):
            cells = [shown(estimate([values.get(f) for values in found])) for f in metrics]
            belongs = [owner.runs[0].preset, _told(owner)] if owner else ["", ""]
            data = block[0].runs[0].data
            lines.append([f"*{name}*", data, *belongs, str(len(found)), "", "", *cells])
    if not any(row.options for row in rows):
        lines = [line[:3] + line[4:] for line in lines]
    hardware = ", ".join(dict.fromkeys(run.hardware for row in rows for run in row.runs))
    return (
        "".join(_line(line) for line in lines)
        + "\nMean ± standard error over seeds, at the last evaluation. "
        f"Seconds of training on {hardware}.\n"
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(printed.line(cell).replace("|", "\\|") for cell in cells) + " |\n"


def _told(row: Row) -> str:
    """`penalty=r1, width=32`: what distinguishes a row."""

    def brief(value: Any) -> str:
        text = "none" if value is None else str(value)
        return text if len(text) <= 40 else text[:39] + "…"

    return ", ".join(f"{name}={brief(value)}" for name, value in row.options.items())


def numbers(rows: Sequence[Row], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The same unrounded: an object for each row, with its runs and its own baselines."""

    def plain(values: Sequence[float | None]) -> dict[str, Any] | None:
        found = estimate(values)
        return found._asdict() if found else None

    return [
        {
            **dict(zip(("experiment", "data", "preset"), row.runs[0].kind, strict=True)),
            "options": row.options,
            "runs": [run.path for run in row.runs],
            "seeds": [run.seed for run in row.runs],
            "step": plain([run.step for run in row.runs]),
            "seconds": plain([run.seconds for run in row.runs]),
            "metrics": {f: plain([run.metrics.get(f) for run in row.runs]) for f in metrics},
            "references": {
                name: {
                    f: plain([run.baselines.get(name, {}).get(f) for run in row.runs])
                    for f in metrics
                }
                for name in row.runs[0].baselines
            },
        }
        for row in rows
    ]


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    if not arguments.runs:
        raise InputError("--runs is required; see --help")
    out = check_out(arguments.out) if arguments.out else None
    if out and out.suffix not in (".md", ".json"):
        raise InputError(f"--out: a table goes to .md or .json, not {out.suffix or out.name}")
    # A name may have commas, and what absl's lists take for quotes.
    whole = os.path.lexists(local(arguments.runs, "--runs"))
    names = [arguments.runs] if whole else [name.strip() for name in arguments.runs.split(",")]
    rows = rows_of(finished(names))
    metrics = columns(rows, arguments.metrics)
    table = markdown(rows, metrics)
    if out:
        json_text = dumps({"rows": numbers(rows, metrics)}, indent=2) + "\n"
        write_out(out, table if out.suffix == ".md" else json_text)
    print(printed.lines(table), end="")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments)


if __name__ == "__main__":
    main()
