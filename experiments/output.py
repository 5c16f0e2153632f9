"""Files that a person asked for, with --out or as OUTPUT."""

from pathlib import Path

from aigc_jax.errors import InputError
from aigc_jax.run_folder import write_atomically


def check_out(name: str, called: str = "--out") -> Path:
    """The path, found to be one that can be written before any work is done for it.

    Args:
      name: the file's.
      called: what it is called on the command line.

    Raises:
      InputError: its folder does not exist, or it is itself a folder.
    """
    path = Path(name)
    if not path.parent.is_dir():
        raise InputError(f"{called}: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"{called}: {path} is a folder; give the name of a file")
    return path


def write_out(path: Path, content: str | bytes, called: str = "--out") -> None:
    """Writes the file whole, replacing the one that is there.

    Raises:
      InputError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"{called}: cannot write {path} ({error.strerror})") from error
