"""All side-by-side comparisons one after another, and one table of their ratios.

    python -m benchmarks.run                        # some minutes each
    python -m benchmarks.run --only=nano,seeds --out=results.json

Each is a program of its own, `python -m benchmarks.PROGRAM`, which checks that its rows compute the
same and then times them turn by turn; see their --help. A ratio is the peer's time over ours, in
`memory` its memory over ours. If one program fails, the others still run, and the exit code says
so.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from aigc_jax.strict_json import dumps
from benchmarks.harness.ratios import COMPARISONS, Comparison, lines_of
from benchmarks.harness.turns import choose
from experiments.cli import launch
from experiments.cli.output import check_out, write_out


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    names = ", ".join(COMPARISONS)
    flags.DEFINE_list("only", None, f"Some of {names}. Default: all.", flag_values=values)
    flags.DEFINE_integer("rounds", 9, "Turns of each row.", lower_bound=1, flag_values=values)
    flags.DEFINE_string(
        "out", None, "A .json file for all that is printed, and every turn.", flag_values=values
    )


def measured(comparison: Comparison, rounds: int) -> dict[str, Any] | None:
    """What a program writes to its --out; None where it failed, having said why."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "result.json"
        module = f"benchmarks.{comparison.program}"
        options = (f"--rounds={rounds}", f"--out={out}", *comparison.arguments)
        done = subprocess.run([sys.executable, "-m", module, *options], check=False)
        return json.loads(out.read_text()) if done.returncode == 0 else None


def run(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    chosen = choose(arguments.only, list(COMPARISONS))
    out = check_out(arguments.out) if arguments.out else None
    results = {}
    for name in chosen:
        print(f"\n── {name}", flush=True)
        results[name] = measured(COMPARISONS[name], arguments.rounds)
        if out:
            write_out(out, dumps(results, indent=1) + "\n")
    print("\n| comparison | peer | it takes / ours | goal, 2 CPU cores |\n|---|---|---:|---:|")
    for name, result in results.items():
        print(*lines_of(name, result), sep="\n")
    if None in results.values():
        sys.exit(1)


if __name__ == "__main__":
    launch.run(__doc__, define_flags, run, device=False)
