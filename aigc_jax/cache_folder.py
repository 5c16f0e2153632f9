"""Where things are kept that any run can use and that can be made again at any time."""

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """$XDG_CACHE_HOME/aigc_jax/`kind`, or ~/.cache/aigc_jax/`kind`.

    A relative XDG_CACHE_HOME, such as `~/x` that no shell has filled in, is passed over, as the XDG
    Base Directory Specification demands.

    Args:
      kind: of thing: `tokens`, say.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "aigc_jax" / kind
