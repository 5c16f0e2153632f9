"""The rows of this package: an algorithm as the launchers run it, and as a research script would.

Dimensions: B batch, H W C image, K steps, L losses, M examples.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from aigc_jax import parallel
from aigc_jax.algorithm import Algorithm, Params, State
from aigc_jax.classifier import Classifier
from aigc_jax.data.batches import shuffled
from aigc_jax.data.images import load_images
from aigc_jax.image_batch import Batch
from aigc_jax.loop import Fetch, make_dispatch
from benchmarks.harness.turns import Check, Row

Trained = Algorithm | Classifier
Layers = list[tuple[np.ndarray, np.ndarray]]  # kernel [inputs, outputs] and bias [outputs] of each

STEPS_PER_DISPATCH = 50  # the launchers' default
CHECKED_STEPS = 2  # the second one's losses depend on all updates of the first


class Data(NamedTuple):
    """What our rows train on."""

    arrays: Any  # on the device
    gather: Callable[[Any, jax.Array], Any]  # (arrays, indices [B]) -> a batch
    examples: int  # M
    batch_size: int  # B
    fetch: Fetch = lambda indices: indices  # on the host: see `loop.train`


class Task(NamedTuple):
    """What the peers' rows are given."""

    examples: np.ndarray  # [M, ...]: images float32 [M, H·W·C] in [0, 1], say
    batch_size: int
    noise_size: int  # Z, the standard normal numbers that each example takes
    weights: Any  # before the first step: `Layers` by network, or our own parameters
    threads: int
    labels: np.ndarray | None = None  # integers [M]


def digits() -> np.ndarray:
    """The 4,500 training digits of `mnist5k`, float32 `[M, 28, 28, 1]` in [0, 1]."""
    return load_images("mnist5k").train.astype(np.float32) / np.float32(255)


def image_data(images: np.ndarray, batch_size: int, labels: np.ndarray | None = None) -> Data:
    """Images `[M, H, W, C]` as our rows take them, with their labels `[M]` if there are any."""
    arrays = images if labels is None else (images, labels.astype(np.int32))

    def gather(arrays: Any, indices: jax.Array) -> Any:
        if labels is None:
            return arrays[indices]
        return Batch(*(array[indices] for array in arrays))

    return Data(arrays, gather, len(images), batch_size)


def layers(params: Params) -> Layers:
    """The dense layers of one of our networks, in order, as arrays for other frameworks."""
    arrays = traverse_util.flatten_dict(params)
    in_order = sorted({path[:-1] for path in arrays})
    return [(np.array(arrays[*p, "kernel"]), np.array(arrays[*p, "bias"])) for p in in_order]


def initial_state(algorithm: Trained) -> State:
    """The state that all rows start from."""
    return algorithm.init(jax.random.key(0))


def expected(
    algorithm: Trained,
    data: Data,
    noise: Callable[[State], jax.Array],
    losses: Sequence[str],
) -> Check:
    """The first steps of the free functions, uncompiled: what every row must reproduce.

    Args:
      algorithm: ours.
      data: of our rows.
      noise: `(state) -> [B, Z]`, the noise that the step from this state draws.
      losses: names in the algorithm's `Info`.
    """
    state = initial_state(algorithm)
    order = shuffled(1, data.examples, data.batch_size)
    indices = np.stack([order(k) for k in range(CHECKED_STEPS)])
    drawn, seen = [], []
    for chosen in indices:
        drawn.append(np.asarray(noise(state)))
        state, info = algorithm.step(state, data.gather(data.arrays, chosen))
        seen.append(_losses(info, losses))
    return Check(indices, np.stack(drawn), np.stack(seen))


def scan_row(
    algorithm: Trained,
    data: Data,
    losses: Sequence[str],
    steps_per_dispatch: int = STEPS_PER_DISPATCH,
) -> Row:
    """`make_dispatch` of `aigc_jax.loop`, fed as `train` feeds it: many steps in one program.

    Args:
      algorithm, data, losses: as in `expected`.
      steps_per_dispatch: how many.
    """
    dispatch = make_dispatch(algorithm.step, data.gather)
    order, mesh = shuffled(0, data.examples, data.batch_size), parallel.data_mesh()
    whole = parallel.replicated(mesh)
    arrays = jax.device_put(data.arrays, whole)
    state, done = None, 0

    def first() -> State:
        return jax.device_put(initial_state(algorithm), whole)

    def split(indices: np.ndarray) -> Any:
        fetched = data.fetch(indices)
        return jax.tree.map(lambda x: parallel.split_if_even(x, mesh, axis=1), fetched)

    def run(steps: int) -> None:
        nonlocal state, done
        state = first() if state is None else state
        pending = None
        for start in range(done, done + steps, steps_per_dispatch):
            indices = np.stack([order(s) for s in range(start, start + steps_per_dispatch)])
            state, infos = dispatch(state, arrays, split(indices))
            if pending is not None:
                _losses(pending, losses)  # of the previous dispatch, while this one runs
            pending = infos
        done += steps
        jax.block_until_ready((state, pending))

    def check(indices: np.ndarray, noise: np.ndarray) -> np.ndarray:
        del noise  # a pure function of the state
        _, infos = dispatch(first(), arrays, split(indices))
        return _losses(infos, losses)

    # Before the first step there is no state, so that the check does not hold a second one.
    return Row(run, lambda: _counters(state or first()), check, steps_per_dispatch)


def step_row(algorithm: Trained, data: Data, losses: Sequence[str]) -> Row:
    """`jax.jit` around one step, called from a Python loop.

    Args:
      algorithm, data, losses: as in `expected`.
    """
    step = jax.jit(lambda s, arrays, i: algorithm.step(s, data.gather(arrays, i)), donate_argnums=0)
    arrays, order = jax.device_put(data.arrays), shuffled(0, data.examples, data.batch_size)
    state = initial_state(algorithm)
    done = 0

    def run(steps: int) -> None:
        nonlocal state, done
        for s in range(done, done + steps):
            state, info = step(state, arrays, order(s))
        done += steps
        jax.block_until_ready((state, info))

    def check(indices: np.ndarray, noise: np.ndarray) -> np.ndarray:
        del noise  # a pure function of the state
        fresh, seen = initial_state(algorithm), []
        for chosen in indices:
            fresh, info = step(fresh, arrays, chosen)
            seen.append(_losses(info, losses))
        return np.stack(seen)

    return Row(run, lambda: _counters(state), check)


def _losses(info: Any, names: Sequence[str]) -> np.ndarray:
    """`[..., L]`, read from the device."""
    return np.stack([np.asarray(getattr(info, name), np.float64) for name in names], axis=-1)


def _counters(state: State) -> list[int]:
    """Every integer in a state counts steps: the state's own, and each Adam's."""
    return [int(x) for x in jax.tree.leaves(state) if x.dtype == np.int32]
