"""Where things are kept that any run can use and that can be made again at any time."""

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """$XDG_CACHE_HOME/aigc_jax/`kind`, or ~/.cache/aigc_jax/`kind`.

    Args:
      kind: of thing: `tokens`, say.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "aigc_jax" / kind
