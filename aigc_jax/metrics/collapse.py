"""Whether the held-out metrics of a run say that its generator has collapsed."""

import math
from collections.abc import Mapping, Sequence

_COVERAGE_KEPT = 0.7  # of the best so far; between evaluations coverage seldom moves by a tenth
_COVERAGE_LOW = 0.1
_KL_HIGH = 0.5  # nats: four of ten equally frequent classes missing
_KL_NOTABLE, _KL_GROWTH = 0.1, 3.0  # nats: one of ten classes missing; over the best so far


def warnings(evaluations: Sequence[Mapping[str, float]], planned: int = 3) -> list[str]:
    """Warnings about the run so far, in sentences; usually none.

    Of coverage, at most one of

        last < 0.7 · best so far, where that best is 0.1 or more
        last < 0.1, after the first third of the evaluations

    and of the class histogram's KL, at most one of

        last > 0.5 nats
        last > 0.1 nats and last ≥ 3 · least so far

    The last value is that of the last evaluation that has one; nan counts as none.

    Args:
      evaluations: held-out metrics in the order of training. Of each, "coverage" and
        "class_kl_nats" are checked where they occur, and "step" is named.
      planned: how many evaluations the run is to have, which says when its first third is over.
    """
    sentences = [
        _of_coverage(_series(evaluations, "coverage"), 3 * len(evaluations) <= planned),
        _of_class_kl(_series(evaluations, "class_kl_nats")),
    ]
    return [sentence for sentence in sentences if sentence]


def _series(evaluations: Sequence[Mapping[str, float]], name: str) -> list[tuple[str, float]]:
    """Where and how much: ("step 500", 0.8), or ("evaluation 1", 0.8) where no step is named."""
    return [
        (f"step {e['step']:.0f}" if "step" in e else f"evaluation {i}", float(e[name]))
        for i, e in enumerate(evaluations, start=1)
        if name in e and not math.isnan(e[name])
    ]


def _of_coverage(series: list[tuple[str, float]], early: bool) -> str:
    if not series:
        return ""
    (place, last), (best_place, best) = series[-1], max(series, key=lambda item: item[1])
    if best >= _COVERAGE_LOW and last < _COVERAGE_KEPT * best:
        return (
            f"Coverage has fallen to {last:.3f} at {place}, from {best:.3f} at {best_place}: "
            "the samples show less of the data than they did (mode collapse)."
        )
    if last < _COVERAGE_LOW and not early:
        return (
            f"Coverage is only {last:.3f} at {place}: "
            "the samples show next to nothing of the data (collapse, or no learning yet)."
        )
    return ""


def _of_class_kl(series: list[tuple[str, float]]) -> str:
    if not series:
        return ""
    (place, last), (least_place, least) = series[-1], min(series, key=lambda item: item[1])
    if last > _KL_HIGH:
        return (
            f"The class histogram is {last:.3f} nats from the data's at {place}: "
            "some classes are missing or crowd out the others."
        )
    if last > _KL_NOTABLE and last >= _KL_GROWTH * least:
        return (
            f"The class histogram is {last:.3f} nats from the data's at {place}, up from "
            f"{least:.3f} at {least_place}: the samples are losing classes."
        )
    return ""
