"""Arrays of .npz files, which anybody may have made: of a bounded size, and never unpickled."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aigc_jax import storage
from aigc_jax.errors import InputError


def read_npz(
    file: Path, needed: str, others: Sequence[str] = (), *, most: int, what: str
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that are wanted, by name.

    Args:
      file: the file.
      needed: the name of the array that it must have.
      others: those that it may have.
      most: bytes that one of them may take, by its header, before any is read.
      what: what a message calls that which takes them, such as `pixels`.

    Raises:
      InputError: it is no such file, is damaged or has no such array; or an array is too large,
        damaged, or of Python objects.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            wanted = [name for name in (needed, *others) if name in names]
            found = {name: member(archive, file, name, most, what) for name in wanted}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({reason(error)})") from error
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        if words := storage.said(error):  # which is a BadZipFile to zipfile
            raise InputError(f"{file}: cannot be read ({words})") from error
        message = f"{file}: not an .npz file, or damaged ({reason(error)})"
        raise InputError(f"{message}; write one with np.savez(FILE, {needed}=...)") from error
    if needed not in found:
        held = ", ".join(map(repr, names[:5])) or "nothing"
        raise InputError(f"{file}: has no array {needed!r}; it holds {held}")
    return found


def kind_of(array: np.ndarray) -> str:
    """Its type and shape, for a message: `uint8 [20, 28, 28]`."""
    return f"{array.dtype} {list(array.shape)}"


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return said.splitlines()[0][:200]


def check_bytes(place: Path, count: int, most: int, what: str) -> None:
    """Refuses what would take too much memory.

    Raises:
      InputError: says how much it would take.
    """
    if count > most:
        sizes = f"{count / 2**30:.1f} GiB, above the {most / 2**30:.1f} that are allowed"
        raise InputError(f"{place}: its {what} would take {sizes}")


def member(archive: zipfile.ZipFile, file: Path, name: str, most: int, what: str) -> np.ndarray:
    """One array of an open archive.

    Raises:
      InputError: see `read_npz`.
    """
    try:
        entry = archive.getinfo(f"{name}.npy")
        check_bytes(file, entry.file_size, most, what)
        with archive.open(entry) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except InputError:
        raise
    except Exception as error:  # zip, its compressors and NumPy's header raise many types
        if "allow_pickle" in str(error):
            message = f"{file}: {name!r} holds Python objects, which are never unpickled"
            raise InputError(f"{message}; save it with a numeric dtype") from error
        raise InputError(f"{file}: {name!r} cannot be read ({reason(error)})") from error
