"""Compiled programs are kept between runs, so that a command starts faster the next time.

JAX writes each to a file whose name is a hash of the program, of the compiler's version and of its
options, and reads it in place of compiling. What the name does not say is for which instructions of
the CPU it was compiled; machines that share a home folder have folders of their own for that.
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
    """Has JAX keep what it compiles from here on; deletes what is older than 30 days.

    A folder that JAX has been told of already, as by JAX_COMPILATION_CACHE_DIR, stays in use.

    Args:
      folder: where; default: `cache_folder("compiled")`, in it a folder for this kind of CPU.

    Returns:
      The folder; None where it is not ours, cannot be written to, or has a name that JAX takes for
        a bucket's or cannot take, and nothing was changed.
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
        return None  # without it everything works, and compiles
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Of a file that a killed process left unfinished, or a full disk: the program is compiled.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    return folder


def _delete_old(folder: Path) -> None:
    oldest = time.time() - 24 * 3600 * _KEPT_DAYS
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process was first
            if file.stat().st_mtime < oldest:
                file.unlink()


def _kind_of_cpu() -> str:
    """A hash of the instructions that this machine's CPU has, where the system says which."""
    file = Path("/proc/cpuinfo")
    try:
        lines = file.read_text().splitlines()
    except OSError:
        lines = []
    flags = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    properties = [platform.machine(), platform.processor(), *flags]
    return hashlib.sha256("\n".join(properties).encode()).hexdigest()[:16]
