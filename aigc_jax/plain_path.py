"""A folder of any name, under a name that any library can be given.

Orbax treats a part of its own path as a pattern (`[x]`, `\\`), cannot write below a name that is
not UTF-8, and etils takes a local /gs/… for a bucket. An open folder has a second name on Linux,
/proc/self/fd/N, that avoids all this and is short; elsewhere a symbolic link in the folder of
temporary files gives one.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aigc_jax.errors import InputError

# Neither a bucket's name nor what becomes one on the way, `/a/../gs`.
_PLAIN = re.compile(r"(?!//|/(gs|s3|az|hf)(/|$)|.*/\.\.(/|$))/[A-Za-z0-9_./+=,@ -]{0,500}")
_DESCRIPTORS = Path("/proc/self/fd")


@contextlib.contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """An absolute path to a folder, without characters that a library may misread.

    It is the folder's own where that has none. Any other is valid only within the context, and
    within this process.

    Raises:
      InputError: this system has no other name for it.
      OSError: the folder cannot be opened.
    """
    own = folder.absolute()
    if _PLAIN.fullmatch(str(own)):
        yield own
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if (second := _DESCRIPTORS / str(handle)).is_dir():
            yield second
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            if not _PLAIN.fullmatch(place):
                raise InputError(f"{folder}: {place} cannot hold a link to it; set TMPDIR to /tmp")
            link = Path(place, "link")
            link.symlink_to(own)
            yield link
    finally:
        os.close(handle)
