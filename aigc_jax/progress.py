"""The progress of a run: a bar with speed and ETA, or lines where there is no terminal."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.progress import Progress
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aigc_jax import printed
from aigc_jax.log_stream import LogStream

_GAP = "  "
_SHORTEST_BAR, _LONGEST_BAR = 10, 40  # columns


def metrics_line(values: dict[str, float]) -> str:
    """`loss_d 1.21  loss_g 0.87`: four significant digits each."""
    return _GAP.join(_metrics(values))


def _metrics(values: dict[str, float]) -> list[str]:
    return [f"{name} {value:.4g}" for name, value in values.items()]


class ProgressReport:
    """Reports on one run. Use as a context manager.

    On a terminal the last line is a bar with count and ETA, which are shown however narrow it is,
    with the newest training metrics beside or below it; held-out metrics are lines of their own,
    and stay. Anywhere else everything is a line. What cannot be written is dropped.

    Args:
      title: the run's name.
      start, steps: where it begins and ends.
      console: where to write. None: standard error, with a bar if that is a terminal whose cursor
        can be moved; variables such as FORCE_COLOR, CI and COLUMNS have no effect.
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
        if console is None:
            self._file, self._console = LogStream(sys.stderr), _terminal(LogStream(sys.stderr))
        else:
            self._file = LogStream(console.file)  # type: ignore[arg-type]
            takes_bar = console.is_terminal and not console.is_dumb_terminal
            self._console = console if takes_bar else None
        self._title, self._steps, self._unit = title, steps, unit
        self._origin: tuple[float, int] | None = None  # after the first dispatch, which compiles
        self._step = start
        self._began = time.monotonic()
        self._shown: tuple[str, str] = ("compiling", "-:--:--")  # speed and ETA, on the bar
        self._newest: list[str] = []  # metrics, on the bar
        self._bar = _Bar(self._console, self._lines) if self._console else None

    def __enter__(self) -> "ProgressReport":
        self._began = time.monotonic()
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
        if rate := self._rate():
            self._shown = f"{rate:.4g} {self._unit}/s", _clock((self._steps - step) / rate)

    def metrics(self, step: int, split: str, values: dict[str, float]) -> None:
        """Shows metrics: as a line, or on the bar those of `train`, which come often."""
        first, *others = _metrics(values) or [""]
        named = [f"{split}: {first}", *others]
        if self._bar and split == "train":
            self._newest = named
            return
        speed = []
        if not self._bar and (rate := self._rate()):
            speed = [f"{rate:.4g} {self._unit}/s", f"ETA {_clock((self._steps - step) / rate)}"]
        parts = [f"{self._title} {step}/{self._steps}", *named, *speed]
        width = self._console.width if self._console else None
        self._say("\n  ".join(_in_lines(parts, width and width - 2)))

    def note(self, message: str) -> None:
        """A line of its own, above the bar."""
        self._say(printed.line(message))

    def _say(self, message: str) -> None:
        if self._console:
            self._console.print(Text(message), soft_wrap=True)
        else:
            print(message, file=self._file, flush=True)  # as it is: rich would wrap it

    def _lines(self, width: int) -> RenderableType:
        """The bar's line, and lines for the metrics below it where they do not fit in.

        Count and ETA are always shown; title, speed, time and bar, in this order, if there is room.
        """
        speed, eta = self._shown
        parts = {"count": f"{self._step}/{self._steps}", "eta": f"ETA {eta}"}
        more = {
            "title": self._title,
            "speed": speed,
            "time": _clock(time.monotonic() - self._began),
        }
        for name, part in more.items():
            if _width([*parts.values(), part]) <= width:
                parts[name] = part
        texts = [
            parts[name] for name in ("title", "count", "speed", "time", "eta") if name in parts
        ]
        below = []
        if _width([*texts, *self._newest]) + len(_GAP) + _SHORTEST_BAR <= width:
            texts += self._newest
        else:
            below = _in_lines(self._newest, width)
        room = width - _width(texts) - len(_GAP)
        if room < _SHORTEST_BAR:
            return Group(*(Text(line) for line in [*_in_lines(texts, width), *below]))
        bar = ProgressBar(self._steps, self._step, min(room, _LONGEST_BAR))
        line = Table.grid(padding=(0, len(_GAP), 0, 0), pad_edge=False)
        line.add_row(Text(texts[0], style="bold"), bar, *map(Text, texts[1:]))
        return Group(line, *map(Text, below))


class _Bar(Progress):
    """The lines `lines(width)` at the bottom of a terminal, drawn four times a second."""

    def __init__(self, console: Console, lines: Any):
        self._lines_of, self._on = lines, console
        super().__init__(console=console, refresh_per_second=4)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self._lines_of(max(self._on.width, 1))


class _Terminal(Console):
    """A console as large as its terminal; COLUMNS wide where that does not know its size."""

    @property  # type: ignore[misc]
    def size(self) -> ConsoleDimensions:
        try:
            columns, rows = os.get_terminal_size(self.file.fileno())
        except (OSError, ValueError):
            columns = rows = 0
        text = os.environ.get("COLUMNS", "")
        given = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        return ConsoleDimensions(columns or given or 80, rows or 24)


def _terminal(stream: LogStream) -> Console | None:
    """A console on the stream where it is a terminal whose cursor can be moved."""
    if not stream.isatty() or os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return None
    # Rich would trust other variables about what a terminal is, and about its size.
    kept = ("TERM", "COLORTERM", "NO_COLOR")
    return _Terminal(
        file=stream,  # type: ignore[arg-type]
        force_terminal=True,
        force_interactive=True,
        force_jupyter=False,
        highlight=False,
        _environ={name: os.environ[name] for name in kept if name in os.environ},
    )


def _width(parts: Sequence[str]) -> int:
    """The columns that these take in one line."""
    return cell_len(_GAP.join(parts))


def _in_lines(parts: Sequence[str], width: int | None) -> list[str]:
    """The parts in as few lines as they fit in, none of them broken."""
    lines: list[list[str]] = []
    for part in parts:
        if lines and (width is None or _width([*lines[-1], part]) <= width):
            lines[-1].append(part)
        else:
            lines.append([part])
    return [_GAP.join(line) for line in lines]


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
