"""Measures training programs side by side: the same work, turn by turn in one process.

    round 1:  row 1 does N₁ steps, row 2 does N₂, …      round 2:  in the reverse order      …

Whatever else the machine does affects all rows alike, since they alternate within seconds. A row's
time is the median over the rounds, in ms per step. Before anything is timed, each row computes the
losses of the same few steps from the same weights, examples and noise, and the program ends if they
differ. After each turn a row's counters must have advanced by exactly the steps that it is credited
with.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags

from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from benchmarks.harness import machine
from benchmarks.harness.ratios import OURS as OURS
from benchmarks.harness.ratios import add_ratios, table
from benchmarks.harness.turns import COARSE, Check, Mismatch, Row, check, choose, measure
from experiments.cli import launch
from experiments.cli.output import check_out, write_out

Prepare = Callable[[launch.Arguments], tuple[Check, Mapping[str, Callable[[], Row]]]]
Remarks = Callable[[launch.Arguments, dict[str, dict[str, Any]]], list[str]]
QUIET = 0.1  # cores that other programs may keep busy without a warning below the table


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of every comparison."""
    flags.DEFINE_integer(
        "rounds",
        9,
        "Turns of each row; its time is their median. Use at least 7 for a reported time.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "seconds",
        0.75,
        "Seconds per turn; each row's number of steps is chosen to fit.",
        lower_bound=0.01,
        flag_values=values,
    )
    flags.DEFINE_list(
        "only", None, "Rows to run, separated by commas. Default: all of them.", flag_values=values
    )
    flags.DEFINE_enum(
        "device",
        "cpu",
        ("cpu", "gpu"),
        "Where all rows run. On a GPU, float32 products have TF32 precision in all frameworks, "
        "losses are compared to 1e-2, and the Keras rows are left out.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out", None, "A .json file for all that is printed, and every turn.", flag_values=values
    )


def compare(
    arguments: launch.Arguments,
    title: str,
    prepare: Prepare,
    names: Sequence[str],
    article: str | None = None,
    remarks: Remarks = lambda *_: [],
) -> dict[str, Any]:
    """Builds the chosen rows, checks and measures them, and prints the results.

    Args:
      arguments: of the command line.
      title: what is compared.
      prepare: `(arguments) -> ` the check, and a factory of each row by name.
      names: of all rows in order.
      article: the one that is the source article's own program.
      remarks: `(arguments, metrics by row) -> lines` to print below the table; it may add to the
        metrics.

    Returns:
      All that was printed and every turn, for JSON.

    Raises:
      InputError: an unknown row.
      Mismatch: see `check` and `turn`.
    """
    chosen = choose(arguments.only, names)
    expected, factories = prepare(arguments)
    if arguments.device == "gpu":
        chosen = [name for name in chosen if not name.startswith("keras")]
        expected = expected._replace(tolerance=COARSE)
    rows, checked = {}, {}
    for name in chosen:
        rows[name] = factories[name]()
        checked[name] = check(name, rows[name], expected)
        says = "its own program" if checked[name] is None else f"same losses, {checked[name]:.0e}"
        print(f"{name}: {says}", flush=True)
    metadata, batch_size = machine.metadata(), expected.indices.shape[1]
    rounds, seconds = arguments.rounds, arguments.seconds
    turns = f"{rounds} rounds of {seconds:g} s"
    print(f"\n{title}, batch {batch_size}, {expected.precision}, {turns}")
    print(_machine_of(metadata), flush=True)
    metrics, disturbance = measure(rows, rounds, seconds)
    peers, summary = add_ratios(metrics, article)
    summary += remarks(arguments, metrics)
    if disturbance is not None and disturbance > QUIET:
        summary.append(
            f"warning: other programs took {disturbance:.2f} of a core meanwhile, and threads that "
            "wait for one another suffer most: measure again on a quiet machine"
        )
    print(table(metrics), *summary, sep="\n")
    for name in chosen:
        metrics[name]["loss_difference"] = checked[name]
    return {
        "title": title,
        **metadata,
        "batch_size": batch_size,
        "precision": expected.precision,
        "rounds": rounds,
        "seconds_per_turn": seconds,
        "cores_busy_elsewhere": disturbance,
        "rows": metrics,
        "peers": peers,
        "summary": summary,
    }


def _machine_of(metadata: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in metadata["versions"].items())
    place = f"{metadata['cpu']}, {metadata['cores']} cores, {metadata['device']}"
    return f"{place}, {metadata['date']}\n{versions}\n"


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
    description: str | None,
    title: str,
    prepare: Prepare,
    names: Sequence[str],
    article: str | None = None,
    remarks: Remarks = lambda *_: [],
    define: Callable[[flags.FlagValues], None] = lambda values: None,
) -> NoReturn:
    """The program around `compare`: flags, one-line errors, the JSON file.

    Args:
      description: what --help shows above the flags.
      title, prepare, names, article, remarks: see `compare`.
      define: defines flags of the program's own.
    """

    def define_all(values: flags.FlagValues) -> None:
        define(values)
        define_flags(values)

    def command(arguments: launch.Arguments) -> None:
        out = check_out(arguments.out) if arguments.out else None
        machine.hold_to(arguments.device)
        result = guarded(lambda: compare(arguments, title, prepare, names, article, remarks))
        if out:
            write_out(out, dumps(result, indent=1) + "\n")

    launch.run(description, define_all, command, device=False)
