"""Keeps a failing standard input, output or error from ending a command in a traceback.

Standard error is a log: what cannot be written there is dropped, and the command goes on.
Standard output is the result: a command that cannot write it ends, as `cat` would.

    the reader has gone, as `head` does     code 141 = 128 + SIGPIPE, in silence
    the disk is full, or another error      one line and code 2
    closed before the start (`>&-`)         nothing is written, and nothing is wrong

Characters that the encoding of either lacks are written as escapes, `\\xe4`.
"""

import io
import os
import sys
from typing import Any, TextIO

from aigc_jax import printed
from aigc_jax.log_stream import LogStream

UNUSABLE, BROKEN_PIPE = 2, 141


class OutputLost(Exception):
    """Standard output cannot be written. `exit_code` is the command's."""

    def __init__(self, error: OSError):
        super().__init__(f"standard output cannot be written ({error.strerror or error})")
        self.exit_code = BROKEN_PIPE if isinstance(error, BrokenPipeError) else UNUSABLE


class _Output:
    """A text stream whose failures have a type of their own, unlike those of other files."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise OutputLost(error) from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise OutputLost(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> None:
    """Guards the standard streams of this process so; a second call does nothing."""
    if isinstance(sys.stderr, LogStream):
        return
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file opened would get this descriptor, and the compiler might write its
            # warnings into a checkpoint. `open` gives the lowest free one, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = _Output(sys.stdout or open(os.devnull, "w"))  # noqa: SIM115 - to the end
    sys.stderr = LogStream(sys.stderr)


def finish(code: int) -> int:
    """Flushes standard output.

    Args:
      code: the command's exit code.

    Returns:
      The same; if it was 0 and the output is lost, the code for that.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OutputLost as lost:
        return code or give_up(lost)
    return code


def give_up(lost: OutputLost) -> int:
    """Says why, where the user should know; returns the exit code."""
    # What is still buffered would fail once more when Python exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if lost.exit_code != BROKEN_PIPE:
        print(printed.line(f"error: {lost}"), file=sys.stderr)
    return lost.exit_code
