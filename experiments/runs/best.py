"""The best state of a run by one held-out metric, and whether it is good enough to stop.

A run can be killed at any instruction and must end with the same best state as one that was not.
It continues from one of its checkpoints, that of step c say, and repeats what came after c. So for
each checkpoint c, WORKDIR/best/ must hold the best state up to c; later ones will be made again.
Hence three rules:

- a checkpoint is begun only when every earlier best state is on disk (`settle`);
- a best state is deleted only when no checkpoint is left up to which it is the best (`offer`), or
  when the run has ended (`finish`);
- a run that continues from c drops what is later than c, as it does with its metrics; and where the
  state at c is itself the best, c's checkpoint is enough to restore it (`resume`).
"""

import math
from typing import Any, NamedTuple

from aigc_jax.algorithm import State
from aigc_jax.checkpoint import Checkpoints
from aigc_jax.run_folder import RunFolder
from experiments.runs.experiment import Task


class Scored(NamedTuple):
    """One evaluation. The lower value is the better one; of equal values, the earlier."""

    value: float
    step: int


class Best:
    """Keeps the best state of one run. Leaving its context waits for pending writes.

    Args:
      folder: of the run.
      task: names the score to compare by, and the goal; without a score nothing is kept.
      checkpoints: those that the run can continue from.

    Raises:
      ValueError: the task has a goal and no score that could reach it.
    """

    def __init__(self, folder: RunFolder, task: Task, checkpoints: Checkpoints):
        if task.goal is not None and task.score is None:
            raise ValueError("a goal needs a score")
        self._folder, self._score, self._goal = folder, task.score or "", task.goal
        self._checkpoints = checkpoints
        self._kept = Checkpoints(folder.best, keep=None) if task.score else None
        self._seen: list[Scored] = []

    def __enter__(self) -> "Best":
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._kept:
            self._kept.__exit__(*exception)

    def resume(self, start: int, state: State) -> None:
        """Continues after step `start`, with the metrics up to it in metrics.jsonl.

        Raises:
          InputError: the folder cannot be changed.
        """
        if self._kept is None:
            return
        values = [(m.get(self._score), m["step"]) for m in self._folder.heldout()]
        self._seen = [Scored(value, step) for value, step in values if value is not None]
        self._kept.remove(lambda step: step > start)
        self._kept.newest_sound(state)  # sets aside what is damaged
        for scored in self._seen:
            if scored.step == start:
                self._keep_if_best(scored, state)

    def offer(self, step: int, state: State, values: dict[str, float]) -> bool:
        """Writes the state, in the background, if its score is the lowest so far.

        Args:
          step: the steps that it has done.
          state: is only read.
          values: its held-out metrics.

        Returns:
          Whether the goal is reached.

        Raises:
          InputError: the state before it could not be written, or there is no space for this one.
        """
        if self._kept is None or not math.isfinite(values[self._score]):
            return False
        scored = Scored(float(values[self._score]), step)
        self._keep_if_best(scored, state)
        self._seen.append(scored)
        return self._reaches(scored)

    def settle(self, step: int | None = None) -> None:
        """Waits until the best states are on disk, except that of `step` itself.

        Raises:
          InputError: one could not be written.
        """
        if self._kept and (step is None or step not in self._kept.steps()):
            self._kept.wait()

    def finish(self) -> None:
        """Waits until the best state is on disk, and deletes all others.

        Raises:
          InputError: one could not be written, or the folder cannot be changed.
        """
        if self._kept:
            best = self._as_of(max((s.step for s in self._seen), default=0))
            self._kept.remove(lambda step: best is None or step != best.step)

    def goal_reached(self) -> str | None:
        """The first evaluation that reached the goal, as `fcd 1.93 <= 2 at step 4,000`, if any."""
        for scored in sorted(self._seen, key=lambda s: s.step):
            if self._reaches(scored):
                return f"{self._score} {scored.value:.4g} <= {self._goal} at step {scored.step:,}"
        return None

    def _reaches(self, scored: Scored) -> bool:
        return self._goal is not None and scored.value <= self._goal

    def _keep_if_best(self, scored: Scored, state: State) -> None:
        assert self._kept
        best = self._as_of(scored.step)
        if best is None or scored < best:
            needed = {self._as_of(step) for step in self._checkpoints.steps()}
            steps = {best.step for best in needed if best}
            self._kept.remove(lambda step: step not in steps)
            self._kept.save(scored.step, state)

    def _as_of(self, step: int) -> Scored | None:
        """The best up to a step among those that are kept; damaged ones are not."""
        kept = self._kept.steps() if self._kept else []
        return min((s for s in self._seen if s.step <= step and s.step in kept), default=None)
