"""SIGTERM and Ctrl-C as a request to save and stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from aigc_jax.log_stream import say


class Interrupted(Exception):
    """A signal asked the run to stop, and it was saved. `exit_code` is 128 + the signal."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + signum


@contextlib.contextmanager
def noted_signals() -> Iterator[Callable[[], int | None]]:
    """Inside it, SIGTERM and Ctrl-C are noted, not obeyed; a second one ends the process at once.

    Nothing changes outside the main thread, the only one to receive signals.

    Yields:
      A function that returns the signal received, or None.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for s, handler in before.items():
            # None: a handler not set from Python, which cannot be restored from there.
            signal.signal(s, signal.SIG_DFL if handler is None else handler)

    def note(signum: int, _frame: Any) -> None:
        received.append(signum)
        restore()
        say("stopping after this dispatch; once more to stop at once")

    for s in before:
        signal.signal(s, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()
