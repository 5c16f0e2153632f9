"""What is written beside a run for those who ask: TensorBoard files and a profile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from aigc_jax.algorithm import State
from aigc_jax.errors import InputError
from aigc_jax.loop import Dispatch


def tensorboard_writer() -> Any:
    """tensorboardX's SummaryWriter.

    Raises:
      InputError: the package is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        message = "--tensorboard needs a package: pip install 'aigc_jax[tensorboard]'"
        raise InputError(message) from error
    return SummaryWriter


def profiled(dispatch: Dispatch, path: Path, note: Callable[[str], None]) -> Dispatch:
    """Traces the third dispatch: the first compiles, the second may still wait for data.

    Args:
      dispatch: what to trace.
      path: the folder of the trace.
      note: is told where it is.
    """
    calls = 0

    def traced(state: State, data: Any, indices: jax.Array) -> Any:
        nonlocal calls
        calls += 1
        if calls != 3:
            return dispatch(state, data, indices)
        with jax.profiler.trace(str(path)):
            result = jax.block_until_ready(dispatch(state, data, indices))
        note(f"profile in {path}: open it with TensorBoard's profiler or Perfetto")
        return result

    return traced
