"""Files that a person asked for with --out."""

from pathlib import Path

from aigc_jax.errors import InputError
from aigc_jax.run_folder import write_atomically


def check_out(name: str) -> Path:
    """The path, found to be one that can be written before any work is done for it.

    Raises:
      InputError: its folder does not exist, or it is itself a folder.
    """
    path = Path(name)
    if not path.parent.is_dir():
        raise InputError(f"--out: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"--out: {path} is a folder; give the name of a file")
    return path


def write_out(path: Path, content: str | bytes) -> None:
    """Writes the file whole, replacing the one that is there.

    Raises:
      InputError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"--out: cannot write {path} ({error.strerror})") from error
