"""Where things are kept that any run can use and that can be made again at any time."""

import os
import pwd
from pathlib import Path


def cache_folder(kind: str) -> Path | None:
    """$XDG_CACHE_HOME/aigc_jax/`kind`, or ~/.cache/aigc_jax/`kind`.

    A variable that is empty or no absolute path counts as not set, as the XDG specification has it.

    Args:
      kind: of thing: `tokens`, say.

    Returns:
      The folder, which need not exist; None where nothing says what the person's home is.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(cache):
        return Path(cache) / "aigc_jax" / kind
    home = _home()
    return home / ".cache" / "aigc_jax" / kind if home else None


def _home() -> Path | None:
    """What $HOME says, or else the system's list of users; not all of these have a line in it."""
    home = os.environ.get("HOME", "")
    if not os.path.isabs(home):
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return Path(home) if os.path.isabs(home) else None
