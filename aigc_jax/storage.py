"""Storage that fails, which says nothing about what is stored there.

A full disk, a server that does not answer and a file that belongs to somebody else are for the user
to correct, and nothing is lost. Only contents that were read can be found to be damaged.
"""

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from aigc_jax import printed
from aigc_jax.errors import InputError

logger = logging.getLogger(__name__)

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}  # of a file: these are true of the contents
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN}
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_MISUSED = {errno.EINVAL, errno.EDOM, errno.ERANGE, errno.EEXIST}  # so may be of damaged ones
# The words of all others occur in the messages of C++ libraries, which raise no OSError.
_WORDS = [os.strerror(number) for number in errno.errorcode if number not in _ABSENT | _MISUSED]


@contextlib.contextmanager
def told(path: object, what: str = "read") -> Iterator[None]:
    """An OSError within it becomes an `InputError`: `PATH: cannot be WHAT (Permission denied)`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be {what} ({error.strerror or error})") from error


def kind_of(path: Path) -> int | None:
    """`stat.S_IFDIR`, say, or None where nothing is; links are followed.

    `Path.exists` and `Path.is_dir` may return False for what they may not access.

    Raises:
      InputError: the storage fails.
    """
    with told(path):
        try:
            return stat.S_IFMT(path.stat().st_mode)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            raise


def is_there(path: Path) -> bool:
    """Whether there is a file or a folder.

    Raises:
      InputError: the storage fails.
    """
    return kind_of(path) is not None


def said(error: BaseException | None) -> str | None:
    """The storage's message, `Permission denied`, where it caused an error of any type."""
    text = str(error)
    while error is not None:
        if isinstance(error, OSError) and error.errno not in (None, *_ABSENT):
            return error.strerror or str(error)
        error = error.__cause__ or error.__context__
    return next((words for words in _WORDS if words in text), None)


def failure(error: BaseException, folder: Path) -> str | None:
    """The storage's message, where it is why the contents of a folder could not be read.

    Args:
      error: of the attempt.
      folder: all of it is read once more, since a library may treat what it may not access as
        missing.

    Returns:
      See `said`; None where all could be read, so that the contents are at fault.
    """
    if words := said(error):
        return words
    try:
        _read_all(folder)
    except OSError as found:
        return found.strerror or str(found)
    return None


def _read_all(folder: Path) -> None:
    def fail(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if stat.S_ISREG(os.stat(path := os.path.join(place, name)).st_mode):
                with open(path, "rb") as file:
                    while file.read(2**20):
                        pass


def set_mode(path: str | Path, mode: int) -> None:
    """As `os.chmod`; storage that knows no permissions, such as a DOS disk, is left as it is."""
    try:
        os.chmod(path, mode)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def lock(file: IO[Any], wait: bool = False) -> bool:
    """Takes the lock of a file, which ends with its process, however that ends.

    Where the storage has no locks a warning says so, and nobody is kept out.

    Args:
      file: open.
      wait: until another process releases it.

    Returns:
      False where another process has it.

    Raises:
      OSError: the storage fails.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in _NO_LOCKS:
            raise
        said = (
            "%s: no locks on this storage (%s): make sure that no other process uses it meanwhile"
        )
        logger.warning(said, printed.line(str(file.name)), error.strerror)
    return True
