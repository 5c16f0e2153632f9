"""Programs that train, the check that they compute the same, and turns of timed steps.

Dimensions: B batch, Z noise, K steps, L losses.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aigc_jax.errors import InputError
from benchmarks.harness import machine

REST = 0.5  # seconds before each turn
TOLERANCE = 1e-4  # relative, on each loss: float32 summed in another order stays well below
COARSE = 1e-2  # where products have the 8 bits of bfloat16, or a GPU's 11 of TF32


class Row(NamedTuple):
    """One program that trains.

    Attributes:
      run: does the given number of steps and returns when the last one's result can be read.
      counters: the number of steps done so far, by each of the program's own counters.
      losses: `(indices int32 [K, B], noise float32 [K, B, Z]) -> [K, L]`, the losses of a program's
        first K steps on those examples and that noise; it may advance the program. None for a
        program that computes something else.
      unit: the number of steps per dispatch; `run` takes multiples of it.
    """

    run: Callable[[int], None]
    counters: Callable[[], Sequence[int]]
    losses: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    unit: int = 1


class Check(NamedTuple):
    """K steps and their losses, as the package's free functions compute them."""

    indices: np.ndarray  # int32 [K, B]
    noise: np.ndarray  # float32 [K, B, Z]
    losses: np.ndarray  # [K, L]
    precision: str = "float32"  # of the products
    tolerance: float = TOLERANCE  # relative, on each loss


def counted(compute: Callable[[], np.ndarray]) -> Row:
    """A program that does not train: a step is one call, and its "losses" are what it computes.

    Args:
      compute: gives numbers above 0.
    """
    calls = [0]

    def run(steps: int) -> None:
        for _ in range(steps):
            compute()
            calls[0] += 1

    return Row(run, lambda: list(calls), lambda *_: compute())


def choose(only: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """The names that --only gives, in their own order; all where it gives none.

    Raises:
      InputError: one of them does not exist.
    """
    if unknown := set(only or ()) - set(names):
        raise InputError(
            f"--only: unknown {', '.join(sorted(unknown))}; it takes {', '.join(names)}"
        )
    return [name for name in names if name in (only or names)]


class Mismatch(RuntimeError):
    """A row does not do what it is credited with: the comparison would be worthless."""


def check(name: str, row: Row, expected: Check) -> float | None:
    """The largest relative difference of a row's losses from those expected; None: not checked.

    Raises:
      Mismatch: it is above the tolerance, or not finite.
    """
    if row.losses is None:
        return None
    found = np.asarray(row.losses(expected.indices, expected.noise), np.float64)
    difference = float(np.max(np.abs(found / expected.losses - 1)))
    if not difference <= expected.tolerance:
        raise Mismatch(
            f"{name}: losses differ by {difference:.1e}, above {expected.tolerance:.0e} relative; "
            f"expected {expected.losses.tolist()}, found {found.tolist()}"
        )
    return difference


def turn(name: str, row: Row, steps: int) -> float:
    """Seconds that the row takes for `steps` steps.

    Raises:
      Mismatch: one of its counters did not advance by exactly that many.
    """
    before = row.counters()
    gc.collect()  # no row pays for the garbage of the one before,
    time.sleep(REST)  # nor for its threads, which spin for a while after their last work
    start = time.perf_counter()
    row.run(steps)
    seconds = time.perf_counter() - start
    advanced = [b - a for a, b in zip(before, row.counters(), strict=True)]
    if not advanced or any(n != steps for n in advanced):
        raise Mismatch(f"{name}: its counters advanced by {advanced} in {steps} steps")
    return seconds


def steps_per_turn(name: str, row: Row, seconds: float) -> int:
    """How many steps fill a turn of `seconds`; warms the row up, which compiles it."""
    row.run(row.unit)
    steps = row.unit
    taken = turn(name, row, steps)
    if taken >= seconds:
        return row.unit
    while taken < seconds / 4:
        steps *= 2
        taken = turn(name, row, steps)
    taken = min(taken, turn(name, row, steps), turn(name, row, steps))
    return row.unit * max(1, round(steps * seconds / taken / row.unit))


def measure(
    rows: Mapping[str, Row], rounds: int, seconds: float
) -> tuple[dict[str, dict[str, Any]], float | None]:
    """The rows in alternation.

    Every other round runs in reverse, so that no row always follows the same one.

    Returns:
      By name, the times of each row in ms per step; and how many cores other programs kept busy
      meanwhile, None where that is not known.
    """
    steps = {name: steps_per_turn(name, row, seconds) for name, row in rows.items()}
    turns: dict[str, list[float]] = {name: [] for name in rows}
    start, foreign = time.perf_counter(), machine.foreign_cpu_seconds()
    for r in range(rounds):
        for name in list(rows)[:: -1 if r % 2 else 1]:
            turns[name].append(1e3 * turn(name, rows[name], steps[name]) / steps[name])
    disturbance = None
    if foreign is not None and (now := machine.foreign_cpu_seconds()) is not None:
        disturbance = (now - foreign) / (time.perf_counter() - start)
    return {
        name: {
            "median_ms": statistics.median(ms),
            "min_ms": min(ms),
            "max_ms": max(ms),
            "steps_per_turn": steps[name],
            "turns_ms": ms,
        }
        for name, ms in turns.items()
    }, disturbance
