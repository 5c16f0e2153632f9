"""What a run writes on request: TensorBoard files and a profile."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

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


class Board:
    """TensorBoard files of a run. If they cannot be written, the run goes on without them.

    Args:
      folder: where they go.
      start: the step from which on those of an earlier process are discarded.
      note: called once if they cannot be written.
    """

    def __init__(self, folder: Path, start: int, note: Callable[[str], None]):
        self._folder, self._note = folder, note
        self._writer: Any = None
        try:
            # tensorboardX takes a relative path that begins with `s3:` for a bucket's.
            place = str(folder.absolute())
            self._writer = tensorboard_writer()(place, purge_step=start + 1)
        except OSError as error:
            self._give_up(error)

    def add(self, step: int, split: str, values: dict[str, float]) -> None:
        """The metrics of one step."""
        if self._writer is None:
            return
        try:
            for name, value in values.items():
                self._writer.add_scalar(f"{split}/{name}", value, step)
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._writer = None
        reason = error.strerror or error
        self._note(f"warning: {self._folder}: no more TensorBoard files are written ({reason})")


@contextmanager
def profiled(
    dispatch: Dispatch, path: Path, note: Callable[[str], None]
) -> Generator[Dispatch, None, None]:
    """Traces dispatches 3 to 5, which shows whether the device ever waits.

    The first dispatch compiles, and the second may still wait for data. Training that ends earlier
    ends the trace. A trace that cannot be written is noted, and training goes on.

    Args:
      dispatch: what to trace.
      path: the folder of the trace.
      note: called with the trace's location, or with why there is none.
    """
    calls, tracing = 0, False

    def told(what: Callable, *arguments: Any, **options: Any) -> bool:
        try:
            what(*arguments, **options)
        except (OSError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            note(f"warning: {path}: no profile is written ({reason})")
            return False
        return True

    def stop() -> None:
        nonlocal tracing
        if tracing:
            tracing = False
            if told(jax.profiler.stop_trace):
                note(f"profile in {path}: open it with TensorBoard's profiler or Perfetto")

    def traced(state: State, data: Any, examples: Any) -> Any:
        nonlocal calls, tracing
        calls += 1
        if calls == FIRST_TRACED:
            jax.block_until_ready(state)  # of the previous dispatch
            tracing = told(jax.profiler.start_trace, str(place), create_perfetto_trace=True)
        result = dispatch(state, data, examples)
        if tracing and calls == LAST_TRACED:
            jax.block_until_ready(result)
            stop()
        return result

    if not told(path.mkdir, parents=True, exist_ok=True):
        yield dispatch
        return
    with plain_path(path) as place:
        try:
            yield traced
        finally:
            stop()
