"""One run, from its folder to its page: begin or continue, train, evaluate, show."""

import dataclasses
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import numpy as np

from aigc_jax import loop, report
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.checkpoint import Checkpoints
from aigc_jax.data.batches import Order, order_of
from aigc_jax.errors import Diverged, InputError
from aigc_jax.progress import ProgressReport
from aigc_jax.run_folder import RunFolder
from experiments.cli.options import Options
from experiments.cli.profiling import Board, profiled, tensorboard_writer
from experiments.cli.signals import Interrupted, noted_signals
from experiments.runs.artefacts import write_animation, write_artefact
from experiments.runs.best import Best
from experiments.runs.config import (
    check_continuation,
    check_data,
    check_metadata,
    default_workdir,
    describe,
    describe_data,
    read_config,
)
from experiments.runs.experiment import Experiment, Task


def train(experiment: Experiment, options: Any, command: str) -> RunFolder:
    """Trains to `options.steps` or to the task's goal, continuing the folder's run; writes a page.

    Options and data are checked before anything is written.

    Args:
      experiment: what to train.
      options: of the experiment's type.
      command: the command line, for the page.

    Raises:
      InputError: the folder, the data or the options cannot be used.
      Diverged: a metric was not finite; the last good checkpoint stays.
      Interrupted: a signal came; the run was saved.
    """
    options = dataclasses.replace(
        options, workdir=options.workdir or default_workdir(experiment, options)
    )
    cadence = loop.Cadence(
        options.steps,
        options.steps_per_dispatch,
        options.log_every,
        options.eval_every,
        options.checkpoint_every,
    )
    folder = RunFolder(options.workdir)
    stored = read_config(folder)
    check_continuation(experiment, options, stored)
    data = experiment.load(options)
    if options.tensorboard:
        tensorboard_writer()
    described = describe_data(data)
    check_data(described, stored, options.workdir)
    metadata = experiment.metadata(options, data)
    check_metadata(metadata, stored, options.workdir)
    algorithm = experiment.algorithm(options, metadata)
    task = experiment.task(options, data, metadata, algorithm)
    order = order_of(options.seed, task.examples, options.batch_size * task.batches_per_step)
    fresh = jax.jit(algorithm.init)(jax.random.key(options.seed))
    begun = experiment.begin(options, fresh) if stored is None else None
    folder.create()
    with (
        folder.locked(),
        Checkpoints(folder.checkpoints) as checkpoints,
        Best(folder, task, checkpoints) as best,
    ):
        found = checkpoints.restore_newest(fresh)
        start, state = found or (0, begun or experiment.begin(options, fresh))
        if start > options.steps:
            raise InputError(
                f"--steps={options.steps}: the run in {folder.path} has done {start} steps already"
            )
        config = describe(experiment, options, command, described, metadata, state, task)
        if stored and start == options.steps:
            # Nothing will be evaluated: the texts are those of the command that evaluated last.
            config |= {"metrics": stored.get("metrics", {}), "captions": stored["captions"]}
        evaluated = [m for m in folder.heldout() if m["step"] <= start]
        config["warnings"] = _warnings(experiment, options, evaluated)
        folder.write_config(config)
        if found is None and state is not fresh:
            # What it starts from may be gone, or trained further, when a killed run is continued.
            checkpoints.save(start, state)
            checkpoints.wait()
        _Run(experiment, options, folder, config, task, checkpoints, best).train(
            algorithm, state, start, order, cadence
        )
    return folder


def _warnings(
    experiment: Experiment, options: Options, evaluations: list[dict[str, Any]]
) -> list[str]:
    """The experiment's warnings after these evaluations, which are lines of metrics.jsonl."""
    planned = -(-options.steps // options.eval_every)
    found = [{"step": m["step"], **report.metrics_of(m)} for m in evaluations]
    return experiment.warnings(found, planned)


def _scalars(means: loop.Means) -> dict[str, float]:
    """Each number of an array under its index: `norm` of `[2]` becomes `norm[0]` and `norm[1]`."""
    found = {}
    for name, value in means.items():
        for index, number in np.ndenumerate(value):
            found[f"{name}{list(index)}" if index else name] = float(number)
    return found


class _Run:
    """The hooks of one training, which share its folder and its clock."""

    def __init__(
        self,
        experiment: Experiment,
        options: Options,
        folder: RunFolder,
        config: dict[str, Any],
        task: Task,
        checkpoints: Checkpoints,
        best: Best,
    ):
        self.experiment, self.options = experiment, options
        self.folder, self.config = folder, config
        self.task, self.checkpoints, self.best = task, checkpoints, best
        self.progress: ProgressReport
        self.board: Board | None = None
        self._clock = 0.0
        self._evaluations: list[dict[str, Any]] = []

    def train(
        self, algorithm: Algorithm, state: State, start: int, order: Order, cadence: loop.Cadence
    ) -> None:
        steps, folder = cadence.steps, self.folder
        self._clock = time.monotonic() - folder.rewind_metrics(start)
        self._evaluations = folder.heldout()
        self.best.resume(start, state)
        with (
            ProgressReport(self.experiment.name, start, steps) as self.progress,
            noted_signals() as received,
        ):
            if self.options.tensorboard:
                self.board = Board(folder.path / "tensorboard", start, self.progress.note)
            reached = self.best.goal_reached()
            if start == steps:
                self.progress.note(f"finished: {folder.path} has all of its {steps} steps")
            elif reached:
                self.progress.note(f"finished: {folder.path} has reached its goal, {reached}")
            else:
                self.progress.note(
                    f"{'continuing' if start else 'starting'} {folder.path} at step {start}"
                )
                step = self._learn(algorithm, state, start, order, cadence, received)
                if reached := self.best.goal_reached():
                    self.progress.note(f"{reached}: stopped")
                elif step < steps:
                    message = (
                        f"interrupted: saved at step {step}; run the same command again to go on"
                    )
                    raise Interrupted(received() or 0, message)
            self.best.finish()
            if folder.page_is_stale():
                write_animation(folder)
                warned = _warnings(self.experiment, self.options, self._evaluations)
                folder.write_config(self.config | {"warnings": warned})
                report.write_page(folder, self.config | {"warnings": warned})
            self.progress.note(f"see {folder.page}")

    def _learn(
        self,
        algorithm: Algorithm,
        state: State,
        start: int,
        order: Order,
        cadence: loop.Cadence,
        received: Callable[[], int | None],
    ) -> int:
        """Returns the number of steps done, which are saved."""
        self._write_baselines()
        hooks = loop.Hooks(
            self._log,
            self._evaluate,
            self._save,
            self.progress.advance,
            lambda: received() is not None,
        )
        dispatch = loop.make_dispatch(algorithm.step, self.task.gather)
        profile: AbstractContextManager[loop.Dispatch] = nullcontext(dispatch)
        if self.options.profile:
            profile = profiled(dispatch, self.folder.path / "profile", self.progress.note)
        try:
            with profile as dispatch:
                step, _ = loop.train(
                    dispatch, state, self.task.data, order, start, cadence, hooks, self.task.fetch
                )
        except Diverged as error:
            self._wait()
            kept = self.checkpoints.steps()
            last = (
                f"the last good checkpoint is of step {kept[-1]}"
                if kept
                else "no checkpoint was due before"
            )
            raise Diverged(f"{error}; {last} (in {self.folder.path})", error.step) from None
        self._wait()
        return step

    def _wait(self) -> None:
        self.best.settle()
        self.checkpoints.wait()

    def _save(self, step: int, state: State) -> None:
        self.best.settle(step)
        self.checkpoints.save(step, state)

    def _record(self, step: int, split: str, values: dict[str, float]) -> None:
        self.folder.append_metrics(step, split, values, time.monotonic() - self._clock)
        if self.board:
            self.board.add(step, split, values)

    def _log(self, step: int, means: loop.Means) -> None:
        values = _scalars(means)
        self._record(step, "train", values)
        self.progress.metrics(step, "train", values)

    def _evaluate(self, step: int, state: State) -> bool:
        values = self.task.evaluate(state)
        for name, artefact in self.task.artefacts(state).items():
            write_artefact(self.folder, name, step, artefact)
        reached = self.best.offer(step, state, values)
        if reached or step == self.options.steps:
            values |= self.task.final_metrics(state)
        self._record(step, "heldout", values)
        self.progress.metrics(step, "held-out", values)
        self._evaluations.append({"step": step, **values})
        self._warn()
        return reached

    def _warn(self) -> None:
        """Notes the warnings that the previous evaluation did not give."""

        def by_subject(evaluations: list[dict[str, Any]]) -> dict[str, str]:
            found = _warnings(self.experiment, self.options, evaluations)
            # The sentence up to its first number: the numbers change each time.
            return {re.split(r"\d", sentence)[0]: sentence for sentence in found}

        before = by_subject(self._evaluations[:-1])
        for subject, sentence in by_subject(self._evaluations).items():
            if subject not in before:
                self.progress.note(f"warning: {sentence}")

    def _write_baselines(self) -> None:
        # Whichever are missing, since a kill may have come between two of them.
        written = {m["split"] for m in self.folder.read_metrics() if m["step"] == 0}
        for split, values in self.task.baselines().items():
            if split not in written:
                self._record(0, split, values)
