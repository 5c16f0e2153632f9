"""Keeps compiled programs between runs, so that a command starts faster the next time.

JAX writes each to a file whose name is a hash of the program, the compiler's version and its
options, and reads it instead of compiling. The hash does not cover the CPU's instruction set, so
each kind of CPU has its own folder, in case machines share a home folder.
"""

import contextlib
import hashlib
import platform
import time
import warnings
from pathlib import Path

import jax

from aigc_jax.cache_folder import cache_folder

_KEPT_DAYS = 30


def keep_programs(folder: Path | None = None) -> Path | None:
    """Makes JAX keep what it compiles from now on; deletes what is older than 30 days.

    A folder already set in JAX, as by JAX_COMPILATION_CACHE_DIR, stays in use.

    Args:
      folder: default: a folder for this kind of CPU, in `cache_folder("compiled")`.

    Returns:
      The folder; None, with nothing changed, if it is not ours, cannot be written to, or has a name
        that JAX takes for a bucket's or cannot use.
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        return None
    folder = cache_folder("compiled") if folder is None else folder
    if folder is None:
        return None
    folder /= _kind_of_cpu()
    try:
        str(folder).encode()
        if folder.absolute().parts[1] in ("gs", "s3", "az", "hf"):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        _delete_old(folder)
    except (OSError, UnicodeEncodeError):
        return None  # everything works without it, but compiles
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # A file left unfinished by a killed process, or a full disk: the program is compiled.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    return folder


def _delete_old(folder: Path) -> None:
    oldest = time.time() - 24 * 3600 * _KEPT_DAYS
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process was first
            if file.stat().st_mtime < oldest:
                file.unlink()


def _kind_of_cpu() -> str:
    """A hash of the instruction set of this machine's CPU, where the system reports it."""
    file = Path("/proc/cpuinfo")
    try:
        lines = file.read_text().splitlines()
    except OSError:
        lines = []
    flags = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    properties = [platform.machine(), platform.processor(), *flags]
    return hashlib.sha256("\n".join(properties).encode()).hexdigest()[:16]
