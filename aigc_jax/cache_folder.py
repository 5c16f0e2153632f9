"""The folder for files that all runs share and that can be made again at any time."""

import os
import pwd
from pathlib import Path


def cache_folder(kind: str) -> Path | None:
    """$XDG_CACHE_HOME/aigc_jax/`kind`, or ~/.cache/aigc_jax/`kind`.

    A variable that is empty or not an absolute path counts as not set, by the XDG specification.

    Args:
      kind: what is cached, such as `tokens`.

    Returns:
      The folder, which need not exist; None where the user has no known home.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(cache):
        return Path(cache) / "aigc_jax" / kind
    home = _home()
    return home / ".cache" / "aigc_jax" / kind if home else None


def _home() -> Path | None:
    """$HOME, or else the home in the system's list of users, which not every user is in."""
    home = os.environ.get("HOME", "")
    if not os.path.isabs(home):
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return Path(home) if os.path.isabs(home) else None
