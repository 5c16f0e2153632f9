"""Files that the user asked for, with --out or as OUTPUT."""

import contextlib
import errno
import os
import re
import stat
import sys
import time
from pathlib import Path

from aigc_jax.errors import InputError
from aigc_jax.run_folder import OF_A_RUN, write_atomically
from experiments.cli.paths import local

# An open file of this process, such as standard output: it is written at its current position,
# since opening it again would start from the beginning.
_OPEN = re.compile(r"/dev/std(?P<name>in|out|err)|/(dev|proc/self)/fd/(?P<number>\d+)")
_PATIENCE = 5.0  # seconds
_KINDS = {stat.S_ISDIR: "folder", stat.S_ISSOCK: "socket", stat.S_ISBLK: "disk"}


def check_out(name: str, called: str = "--out") -> Path:
    """The path, checked to be writable before any work is done for it.

    Args:
      name: the file's; a link, a pipe or a device is written to, not replaced.
      called: its name on the command line.

    Raises:
      InputError: its folder does not exist; or it is itself a folder, a socket or a disk, has hard
        links, which a new file would not have, or is a file of a run.
    """
    path = Path(local(name, called))
    if _OPEN.fullmatch(str(path)):
        return path
    target = Path(os.path.realpath(path))  # of a link, even one to nothing yet
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise InputError(f"{called}: there is no folder {target.parent}") from None
        return path
    except NotADirectoryError as error:
        raise InputError(f"{called}: there is no folder {path.parent}") from error
    except OSError as error:
        raise InputError(f"{called}: cannot write {path} ({error.strerror})") from error
    for is_kind, kind in _KINDS.items():
        if is_kind(found.st_mode):
            raise InputError(f"{called}: {path} is a {kind}; give the name of a file")
    if stat.S_ISREG(found.st_mode) and _descriptor(path) is None:
        if found.st_nlink > 1:
            raise InputError(f"{called}: {path} has hard links; delete it, or give another name")
        if target.name in OF_A_RUN and all((target.parent / own).exists() for own in OF_A_RUN):
            raise InputError(f"{called}: {path} is a run's own file; give another name")
    return path


def write_out(path: Path, content: str | bytes, called: str = "--out") -> None:
    """Writes the whole file, replacing an existing one; a link, a pipe or a device is kept.

    Raises:
      InputError: it cannot be written.
    """
    try:
        target, number = os.path.realpath(path), _descriptor(path)
        if number is not None or (os.path.exists(path) and not os.path.isfile(target)):
            _write_through(path, number, content)
        else:
            write_atomically(Path(target), content)
    except OSError as error:
        reason = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror
        raise InputError(f"{called}: cannot write {path} ({reason})") from error


def _descriptor(path: Path) -> int | None:
    """The descriptor of the open file that the path names, or of our output if the path is its."""
    if there := _OPEN.fullmatch(str(path)):
        return int(there["number"] or ("in", "out", "err").index(there["name"]))
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(number)):
                return number
    return None


def _opened(path: Path) -> int:
    """A pipe or a device opened for writing; waits a while for a pipe's reader."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            os.set_blocking(handle, True)
            return handle


def _write_through(path: Path, number: int | None, content: str | bytes) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.dup(number) if number is not None else _opened(path)
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with os.fdopen(handle, "wb") as file:
        file.write(data)
