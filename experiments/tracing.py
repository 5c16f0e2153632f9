"""What is written beside a run for those who ask: TensorBoard files and a profile."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from aigc_jax import storage
from aigc_jax.algorithm import State
from aigc_jax.errors import InputError
from aigc_jax.loop import Dispatch
from aigc_jax.plain_path import plain_path

FIRST_TRACED, LAST_TRACED = 3, 5  # dispatches of a run, counted from 1


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


@contextmanager
def profiled(
    dispatch: Dispatch, path: Path, note: Callable[[str], None]
) -> Generator[Dispatch, None, None]:
    """Traces the third dispatch and the next two, so that one sees whether the device ever waits.

    The first dispatch compiles, and the second may still wait for data. A training that ends
    earlier ends the trace.

    Args:
      dispatch: what to trace.
      path: the folder of the trace.
      note: is told where it is.
    """
    calls, tracing = 0, False

    def stop() -> None:
        nonlocal tracing
        if tracing:
            tracing = False
            jax.profiler.stop_trace()
            note(f"profile in {path}: open it with TensorBoard's profiler or Perfetto")

    def traced(state: State, data: Any, examples: Any) -> Any:
        nonlocal calls, tracing
        calls += 1
        if calls == FIRST_TRACED:
            jax.block_until_ready(state)  # of the one before
            jax.profiler.start_trace(str(place), create_perfetto_trace=True)
            tracing = True
        result = dispatch(state, data, examples)
        if tracing and calls == LAST_TRACED:
            jax.block_until_ready(result)
            stop()
        return result

    with storage.told(path, "written"):
        path.mkdir(parents=True, exist_ok=True)
    with plain_path(path) as place:
        try:
            yield traced
        finally:
            stop()
