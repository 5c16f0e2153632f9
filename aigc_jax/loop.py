"""The host loop: it keeps the device busy, and knows no family.

    state, infos = scan(step, state, examples of K steps)       one dispatch

While the device works on one dispatch, the host prepares the next and reads the metrics of the one
before. To prepare is to choose the examples or, where the data are larger than the device's
memory, to fetch and send them. Everything that happens at a step (a log line, an evaluation, a
checkpoint) happens at a boundary between dispatches, and the boundaries depend on the step and the
cadence alone. A run that resumes from a boundary therefore executes the same programs on the same
inputs as one that was never interrupted, and ends in the same bits.

Dimensions: K steps of a dispatch, B examples of a step.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import jax
import numpy as np

from aigc_jax import parallel
from aigc_jax.algorithm import Info, State
from aigc_jax.errors import Diverged, InputError

Dispatch = Callable[[State, Any, Any], tuple[State, Info]]
Fetch = Callable[[np.ndarray], Any]
Means = dict[str, float | np.ndarray]  # by metric: a number, or an array where a step has several


@dataclass(frozen=True)
class Cadence:
    """How often things happen, in steps.

    Raises:
      InputError: one of them is below 1.
    """

    steps: int  # to train for in total
    steps_per_dispatch: int
    log_every: int
    eval_every: int
    checkpoint_every: int

    def __post_init__(self):
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise InputError(
                    f"{field.name} must be at least 1, got {getattr(self, field.name)}"
                )

    def next_boundary(self, step: int) -> int:
        """The end of the dispatch that begins at `step`: the nearest multiple of any of these."""
        every = (self.steps_per_dispatch, self.log_every, self.eval_every, self.checkpoint_every)
        return min(self.steps, *(step - step % n + n for n in every))

    def due(self, step: int, every: int) -> bool:
        """Whether what happens every `every` steps is due; at the last step everything is."""
        return step % every == 0 or step == self.steps


class Hooks(NamedTuple):
    """What the loop calls. None of it may change the state."""

    log: Callable[[int, Means], None]  # (step, means over the dispatch that ends there)
    evaluate: Callable[[int, State], bool]  # (step, state): True where the goal is reached
    save: Callable[[int, State], None]  # (step, state): every metric up to here was finite
    advance: Callable[[int], None]  # (step): the device has done this many
    interrupted: Callable[[], bool]  # asks for a save and a return at the next boundary


def make_dispatch(
    step: Callable[[State, Any], tuple[State, Info]], gather: Callable[[Any, Any], Any]
) -> Dispatch:
    """Compiles K steps into one program: a `scan` over batches that are on the device.

    Args:
      step: `(state, batch) -> (state, info)`.
      gather: `(data, examples) -> batch`, on the device. The examples are indices `[B]`, or what
        `fetch` returned for them, `[B, …]`; see `train`.

    Returns:
      `(state, data, examples [K, B, …]) -> (state, info [K, …])`, jitted, one program for each K.
    """

    def dispatch(state, data, examples):
        return jax.lax.scan(lambda s, e: step(s, gather(data, e)), state, examples)

    return jax.jit(dispatch, donate_argnums=0)


def all_finite(tree: Any) -> jax.Array:
    """Whether every floating-point number in the tree is finite: bool []."""
    floats = [x for x in jax.tree.leaves(tree) if jax.numpy.issubdtype(x.dtype, np.floating)]
    return jax.numpy.stack([jax.numpy.isfinite(x).all() for x in floats]).all()


def train(
    dispatch: Dispatch,
    state: State,
    data: Any,
    order: Callable[[int], np.ndarray],
    start: int,
    cadence: Cadence,
    hooks: Hooks,
    fetch: Fetch = lambda indices: indices,
) -> tuple[int, State]:
    """Trains from step `start` to `cadence.steps`, to the goal, or until interrupted.

    Args:
      dispatch: see `make_dispatch`.
      state: after `start` steps. Its buffers are donated and must not be used afterwards.
      data: the data set on the device.
      order: `(step) -> integers [B]`, the examples of a step.
      start: the number of steps that `state` has done.
      cadence, hooks: see there.
      fetch: `(indices [K, B]) -> arrays [K, B, …]`, on the host, for data that stay there. Default:
        the indices themselves, for data on the device.

    Returns:
      The number of steps done and the state after them, saved.

    Raises:
      Diverged: a metric or a parameter is not finite. Nothing has been saved since it was.
    """
    finite = jax.jit(all_finite)
    mesh = parallel.data_mesh()
    state, data = jax.device_put((state, data), parallel.replicated(mesh))
    pending: tuple[int, int, Info] | None = None

    def read_pending() -> None:
        nonlocal pending
        if pending is not None:
            first, last, infos = pending
            pending = None
            means = _read(infos, first)
            hooks.advance(last)
            if cadence.due(last, cadence.log_every):
                hooks.log(last, means)

    step = start
    while step < cadence.steps:
        end = cadence.next_boundary(step)
        with jax.profiler.TraceAnnotation("fetch"):
            examples = fetch(np.stack([order(s) for s in range(step, end)]))
            split = jax.tree.map(lambda x: parallel.split_if_even(x, mesh, axis=1), examples)
        state, infos = dispatch(state, data, split)
        read_pending()  # of the dispatch before, while this one runs
        pending = (step, end, infos)
        step = end
        evaluate = cadence.due(step, cadence.eval_every)
        save = cadence.due(step, cadence.checkpoint_every)
        stop = hooks.interrupted()
        if evaluate or save or stop:
            read_pending()
            if not finite(state):
                raise Diverged(f"a parameter is not finite after step {step}", step)
        if evaluate and hooks.evaluate(step, state):
            stop = True
        if save or stop:
            hooks.save(step, state)
        if stop:
            break
    return step, state


def _read(infos: Info, first: int) -> Means:
    """The mean of each metric over the K steps of a dispatch that began after step `first`.

    Args:
      infos: of metrics `[K, …]`. Axes after the first (seeds, layers) are kept.
      first: the steps done before.

    Raises:
      Diverged: one of them is not finite; names the first such metric, the step and, where
        a step has several numbers, the index.
    """
    metrics = {name: np.asarray(x, np.float64) for name, x in infos._asdict().items()}
    bad = {name: np.argwhere(~np.isfinite(x)) for name, x in metrics.items()}
    found = [(tuple(map(int, places[0])), name) for name, places in bad.items() if len(places)]
    if found:
        place, name = min(found, key=lambda item: item[0][0])
        step, index = first + place[0] + 1, list(place[1:])
        called = f"{name}{index}" if index else name
        raise Diverged(f"{called} is {metrics[name][place]} at step {step}", step)
    return {name: x.mean(0) if x.ndim > 1 else float(x.mean()) for name, x in metrics.items()}
