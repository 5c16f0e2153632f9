"""What is compared, the ratios to reach, and those that were measured."""

from collections.abc import Mapping
from typing import Any, NamedTuple

OURS = "ours (scan)"


class Comparison(NamedTuple):
    """A program, and how many times as much as ours its peers should take on two CPU cores.

    Of time, or of memory.
    """

    program: str
    arguments: tuple[str, ...]
    best: float  # as the best of the peers
    article: float | None = None  # as the source article's own program
    best_on_jax_0_10: float | None = None  # in place of `best`


COMPARISONS = {
    "textbook_gan": Comparison("textbook_gan", (), 1.8, 30.0),
    "textbook_vae": Comparison("textbook_vae", (), 1.8),
    "dcgan": Comparison("conv_step", ("--preset=dcgan",), 1.2, best_on_jax_0_10=0.8),
    "conv_vae": Comparison("conv_step", ("--preset=conv_vae",), 1.2, best_on_jax_0_10=0.8),
    "r3gan": Comparison("conv_step", ("--preset=r3gan",), 1.0, best_on_jax_0_10=0.8),
    "ladder": Comparison(
        "conv_step", ("--preset=ladder", "--seconds=3"), 1.0, best_on_jax_0_10=0.8
    ),
    "vq": Comparison("conv_step", ("--preset=vq",), 1.0, best_on_jax_0_10=0.8),
    "classifier": Comparison("conv_step", ("--preset=classifier",), 1.0, best_on_jax_0_10=0.8),
    "nano": Comparison("lm_step", ("--preset=nano",), 1.15),
    "char": Comparison("lm_step", ("--preset=char", "--seconds=3"), 1.0),
    "muon": Comparison("muon_step", (), 1 / 1.4),
    "write_1": Comparison("generation", ("--texts=1", "--seconds=2"), 3.0),
    "write_64": Comparison("generation", ("--texts=64", "--seconds=2"), 3.0),
    "seeds": Comparison("seeds", (), 1.3),
    "likelihood": Comparison("likelihood", (), 5.0),
    "fetching": Comparison("fetching", ("--seconds=3",), 0.95),
    "start": Comparison("start", (), 2.0),
    "memory": Comparison("memory", (), 1 / 1.2),
}


def add_ratios(
    metrics: dict[str, dict[str, Any]], article: str | None
) -> tuple[dict[str, str], list[str]]:
    """Adds to each row its median over that of `OURS`.

    Args:
      metrics: as `measure` gives them; changed.
      article: the row of the source article's own program, where there is one.

    Returns:
      Which row is the `article`'s and which is the `best` of all others, if there are any; and
      the lines that sum the comparison up.
    """
    if OURS not in metrics:
        return {}, []
    ours = metrics[OURS]["median_ms"]
    for row in metrics.values():
        row["ratio_to_ours"] = row["median_ms"] / ours

    def line(name: str, role: str) -> str:
        times = metrics[name]["ratio_to_ours"]
        against = f"median {ours:.3g} against {metrics[name]['median_ms']:.3g} ms per step"
        return f"{OURS} is {times:.3g} times as fast as {role}: {against}"

    peers: dict[str, str] = {}
    if article in metrics:
        peers["article"] = str(article)
    if others := [name for name in metrics if not name.startswith("ours")]:
        peers["best"] = min(others, key=lambda name: metrics[name]["median_ms"])
    roles = {"article": "the article's loop", "best": "the best of the others"}
    return peers, [line(name, f"{roles[role]} ({name})") for role, name in peers.items()]


def table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """The times as a Markdown table."""
    width = max(map(len, metrics))
    lines = [
        f"| {'ms per step':{width}} |  median |     min |     max | / ours | steps per turn |",
        f"|{'-' * (width + 2)}|--------:|--------:|--------:|-------:|---------------:|",
    ]
    for name, row in metrics.items():
        cells = " | ".join(f"{row[column]:7.3f}" for column in ("median_ms", "min_ms", "max_ms"))
        ratio = f"{row['ratio_to_ours']:6.2f}" if "ratio_to_ours" in row else "     -"
        lines.append(f"| {name:{width}} | {cells} | {ratio} | {row['steps_per_turn']:14d} |")
    return "\n".join(lines)


def lines_of(name: str, result: dict[str, Any] | None) -> list[str]:
    """The rows of the table that a comparison gives."""
    comparison = COMPARISONS[name]
    if result is None:
        return [f"| {name} | failed | | ≥ {comparison.best:.3g} |"]
    best = comparison.best
    if comparison.best_on_jax_0_10 and result["versions"]["jax"].startswith("0.10."):
        best = comparison.best_on_jax_0_10
    found = [("best", best), ("article", comparison.article)]
    lines = []
    for role, goal in found:
        if goal is not None and (peer := result["peers"].get(role)):
            ratio = result["rows"][peer]["ratio_to_ours"]
            lines.append(f"| {name} | {peer} | {ratio:.2f} | ≥ {goal:.3g} |")
    return lines
