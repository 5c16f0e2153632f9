"""Measures training programs side by side: the same work, turn by turn in one process.

    round 1:  row 1 does N₁ steps, row 2 does N₂, …      round 2:  in the reverse order      …

Whatever else the machine does falls on all rows alike, since they alternate within seconds. A row's
figure is the median over the rounds, in ms per step. Before anything is timed, each row computes
the losses of the same few steps from the same weights, examples and noise, and the program ends
where they differ. After each turn a row's counters must have advanced by exactly the steps that it
is credited with.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags

from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from benchmarks.harness import machine
from benchmarks.harness.ratios import OURS as OURS
from benchmarks.harness.ratios import add_ratios, table
from benchmarks.harness.turns import COARSE, Check, Mismatch, Row, check, choose, measure
from experiments.cli import launch
from experiments.cli.output import check_out, write_out

Remarks = Callable[[dict[str, dict[str, Any]]], list[str]]
QUIET = 0.1  # cores that other programs may keep busy before the table carries a warning

_ROUNDS = flags.DEFINE_integer(
    "rounds",
    9,
    "Turns that each row gets; its figure is their median. At least 7 to report it.",
    lower_bound=1,
)
_SECONDS = flags.DEFINE_float(
    "seconds",
    0.75,
    "Seconds of one turn; each row's number of steps is chosen to fit.",
    lower_bound=0.01,
)
_ONLY = flags.DEFINE_list("only", None, "Rows to run, separated by commas. Default: all of them.")
_DEVICE = flags.DEFINE_enum(
    "device",
    "cpu",
    ("cpu", "gpu"),
    "Where all rows run. On a GPU, products of float32 have the bits of TF32 in all frameworks, "
    "losses are compared to 1e-2, and the Keras rows are left out.",
)
OUT = flags.DEFINE_string("out", None, "A .json file for all that is printed, and every turn.")


def compare(
    title: str,
    prepare: Callable[[], tuple[Check, Mapping[str, Callable[[], Row]]]],
    names: Sequence[str],
    article: str | None = None,
    remarks: Remarks = lambda _: [],
) -> dict[str, Any]:
    """Builds the chosen rows, checks and measures them, and prints what came of it.

    Args:
      title: what is compared.
      prepare: gives the check, and a factory of each row by name.
      names: of all rows in order.
      article: the one that is the source article's own program.
      remarks: `(figures by row) -> lines` that stand below the table; it may add to the figures.

    Returns:
      All that was printed and every turn, for JSON.

    Raises:
      InputError: an unknown row.
      Mismatch: see `check` and `turn`.
    """
    chosen = choose(_ONLY.value, names)
    expected, factories = prepare()
    if _DEVICE.value == "gpu":
        chosen = [name for name in chosen if not name.startswith("keras")]
        expected = expected._replace(tolerance=COARSE)
    rows, checked = {}, {}
    for name in chosen:
        rows[name] = factories[name]()
        checked[name] = check(name, rows[name], expected)
        says = "its own program" if checked[name] is None else f"same losses, {checked[name]:.0e}"
        print(f"{name}: {says}", flush=True)
    facts, batch_size = machine.facts(), expected.indices.shape[1]
    turns = f"{_ROUNDS.value} rounds of {_SECONDS.value:g} s"
    print(f"\n{title}, batch {batch_size}, {expected.precision}, {turns}")
    print(_machine_of(facts), flush=True)
    figures, disturbance = measure(rows, _ROUNDS.value, _SECONDS.value)
    peers, summary = add_ratios(figures, article)
    summary += remarks(figures)
    if disturbance is not None and disturbance > QUIET:
        summary.append(
            f"warning: other programs took {disturbance:.2f} of a core meanwhile, and threads that "
            "wait for one another suffer most: measure again on a quiet machine"
        )
    print(table(figures), *summary, sep="\n")
    for name in chosen:
        figures[name]["loss_difference"] = checked[name]
    return {
        "title": title,
        **facts,
        "batch_size": batch_size,
        "precision": expected.precision,
        "rounds": _ROUNDS.value,
        "seconds_per_turn": _SECONDS.value,
        "cores_busy_elsewhere": disturbance,
        "rows": figures,
        "peers": peers,
        "summary": summary,
    }


def _machine_of(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    place = f"{facts['cpu']}, {facts['cores']} cores, {facts['device']}"
    return f"{place}, {facts['date']}\n{versions}\n"


def guarded(work: Callable[[], Any]) -> Any:
    """What `work` returns; a row that does other work than ours ends the program in one line.

    Raises:
      InputError: a framework is missing.
    """
    try:
        return work()
    except ImportError as error:
        raise InputError(f"{error}; pip install 'aigc_jax[bench]'") from error
    except Mismatch as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def main(
    title: str,
    prepare: Callable[[], tuple[Check, Mapping[str, Callable[[], Row]]]],
    names: Sequence[str],
    article: str | None = None,
    remarks: Remarks = lambda _: [],
) -> None:
    """The command line around `compare`: flags, one-line errors, the JSON file.

    Args:
      title, prepare, names, article, remarks: see `compare`.
    """

    def command() -> None:
        out = check_out(OUT.value) if OUT.value else None
        machine.hold_to(_DEVICE.value)
        result = guarded(lambda: compare(title, prepare, names, article, remarks))
        if out:
            write_out(out, dumps(result, indent=1) + "\n")

    app.run(lambda _: launch.report_errors(command, device=False), flags_parser=launch.parse)
