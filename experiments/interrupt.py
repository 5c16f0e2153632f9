"""SIGTERM and Ctrl-C as a request to save and stop."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any


class Interrupted(Exception):
    """A signal asked the run to stop, and it was saved. `exit_code` is 128 + the signal."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + signum


@contextlib.contextmanager
def noted_signals() -> Iterator[Callable[[], int | None]]:
    """Within it SIGTERM and Ctrl-C are noted, not obeyed; a second one ends the process at once.

    Yields:
      A function that returns the signal received, or None.
    """
    received: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for s, handler in before.items():
            signal.signal(s, handler)

    def note(signum: int, _frame: Any) -> None:
        received.append(signum)
        restore()
        print(
            "stopping after this dispatch; once more to stop at once", file=sys.stderr, flush=True
        )

    for s in before:
        signal.signal(s, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()
