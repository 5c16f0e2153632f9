"""A stream for output that may be lost: a log that cannot be written never ends a run."""

import sys
from typing import Any, TextIO

from aigc_jax import printed


class LogStream:
    """A text stream whose `write` and `flush` always return.

    What cannot be written is dropped: the disk is full, whoever read the pipe has gone, the
    terminal was closed, or a signal's handler writes in the middle of another line. Characters that
    the stream's encoding lacks are written as escapes, `\\u2713`.

    Args:
      stream: where to; None, which is what Python has for a standard stream that was closed before
        it started, discards everything.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes what can be written; returns the length of the text, as if all of it had been."""
        try:
            if self._stream is not None:
                self._stream.write(text)
        except UnicodeEncodeError as error:
            self.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except (OSError, ValueError, RuntimeError):  # full; closed; in the middle of another line
            pass
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered, where that is possible."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError, RuntimeError):
            pass

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (AttributeError, OSError, ValueError):
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(message: str) -> None:
    """One line on standard error, if there is one."""
    print(printed.line(message), file=LogStream(sys.stderr), flush=True)
