"""All side-by-side comparisons one after another, and one table of their ratios.

    python -m benchmarks.run                        # some minutes each
    python -m benchmarks.run --only=nano,seeds --out=results.json

Each is a program of its own, `python -m benchmarks.PROGRAM`, which checks that its rows compute the
same and then times them turn by turn; see their --help. A ratio is the peer's time over ours. One
program that fails leaves the others their turn, and the exit code says so.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from absl import app, flags

from benchmarks.turns import choose
from experiments import launch
from experiments.output import check_out, write_out


class Comparison(NamedTuple):
    """A program, and how many times as fast as its peers ours is to be on two CPU cores."""

    program: str
    arguments: tuple[str, ...]
    best: float  # as the best of the peers
    article: float | None = None  # as the source article's own program


COMPARISONS = {
    "textbook_gan": Comparison("textbook_gan", (), 1.8, 30.0),
    "textbook_vae": Comparison("textbook_vae", (), 1.8),
    "nano": Comparison("lm_step", ("--preset=nano",), 1.15),
    "char": Comparison("lm_step", ("--preset=char", "--seconds=3"), 1.0),
    "write_1": Comparison("generation", ("--texts=1", "--seconds=2"), 3.0),
    "write_64": Comparison("generation", ("--texts=64", "--seconds=2"), 3.0),
    "seeds": Comparison("seeds", (), 1.3),
}
_ONLY = flags.DEFINE_list("only", None, f"Some of {', '.join(COMPARISONS)}. Default: all.")
_ROUNDS = flags.DEFINE_integer("rounds", 9, "Turns of each row.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "A .json file for all that is printed, and every turn.")


def measured(comparison: Comparison, rounds: int) -> dict[str, Any] | None:
    """What a program writes to its --out; None where it failed, and has said why."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "result.json"
        module = f"benchmarks.{comparison.program}"
        options = (f"--rounds={rounds}", f"--out={out}", *comparison.arguments)
        done = subprocess.run([sys.executable, "-m", module, *options], check=False)
        return json.loads(out.read_text()) if done.returncode == 0 else None


def lines_of(name: str, result: dict[str, Any] | None) -> list[str]:
    """The rows of the table that a comparison gives."""
    comparison = COMPARISONS[name]
    if result is None:
        return [f"| {name} | failed | | ≥ {comparison.best:g} |"]
    found = [("best", comparison.best), ("article", comparison.article)]
    lines = []
    for role, goal in found:
        if goal is not None and (peer := result["peers"].get(role)):
            ratio = result["rows"][peer]["ratio_to_ours"]
            lines.append(f"| {name} | {peer} | {ratio:.2f} | ≥ {goal:g} |")
    return lines


def run() -> None:
    """What the flags say."""
    chosen = choose(_ONLY.value, list(COMPARISONS))
    out = check_out(_OUT.value) if _OUT.value else None
    results = {}
    for name in chosen:
        print(f"\n── {name}", flush=True)
        results[name] = measured(COMPARISONS[name], _ROUNDS.value)
        if out:
            write_out(out, json.dumps(results, indent=1) + "\n")
    print("\n| comparison | peer | its time / ours | goal, 2 CPU cores |\n|---|---|---:|---:|")
    for name, result in results.items():
        print(*lines_of(name, result), sep="\n")
    if None in results.values():
        sys.exit(1)


if __name__ == "__main__":
    app.run(lambda _: launch.report_errors(run), flags_parser=launch.parse)
