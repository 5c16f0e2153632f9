"""What a person sees of a run: a bar with speed and ETA, or lines where there is no terminal."""

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aigc_jax import printed


def figures_line(values: dict[str, float]) -> str:
    """`loss_d 1.21  loss_g 0.87`: four significant digits each."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class ProgressReport:
    """Reports on one run. Use as a context manager.

    Args:
      title: the run's name.
      start, steps: where it begins and ends.
      console: where to; standard error when None.
      unit: what is counted.
    """

    def __init__(
        self,
        title: str,
        start: int,
        steps: int,
        console: Console | None = None,
        unit: str = "steps",
    ):
        self._console = console or Console(stderr=True, highlight=False)
        self._title, self._steps, self._unit = title, steps, unit
        self._origin: tuple[float, int] | None = None  # after the first dispatch, which compiles
        self._step = start
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=self._console,
            )
            self._task = self._bar.add_task(
                title, total=steps, completed=start, rate="compiling", figures=""
            )

    def __enter__(self) -> "ProgressReport":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar:
            self._bar.stop()

    def _rate(self) -> float | None:
        """Steps per second since the first dispatch, or None before there is a second one."""
        if self._origin is None or self._step == self._origin[1]:
            return None
        return (self._step - self._origin[1]) / (time.monotonic() - self._origin[0])

    def advance(self, step: int) -> None:
        """The device has done `step` steps."""
        self._step = step
        if self._origin is None:
            self._origin = (time.monotonic(), step)
        rate = self._rate()
        if self._bar:
            shown = f"{rate:.4g} {self._unit}/s" if rate else "compiling"
            self._bar.update(self._task, completed=step, rate=shown)

    def figures(self, step: int, split: str, values: dict[str, float]) -> None:
        """Shows figures: on the bar, or as a line."""
        if self._bar:
            self._bar.update(self._task, figures=f"{split}: {figures_line(values)}")
            return
        speed = ""
        if rate := self._rate():
            left = _clock((self._steps - step) / rate)
            speed = f"  {rate:.4g} {self._unit}/s  ETA {left}"
        self.note(f"{self._title} {step}/{self._steps}  {split}: {figures_line(values)}{speed}")

    def note(self, message: str) -> None:
        """A line of its own, above the bar."""
        message = printed.line(message)
        if self._console.is_terminal:
            self._console.print(message, markup=False, soft_wrap=True)
        else:
            print(message, file=self._console.file, flush=True)  # as it is: rich would wrap it


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
