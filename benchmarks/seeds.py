"""Several seeds of the textbook's GAN in one program, beside the same seeds one after another.

    python -m benchmarks.seeds
    python -m benchmarks.seeds --seeds=64 --device=gpu

Each seed has parameters and noise of its own; the examples are the same. A step is one step of all
seeds; batches of 128 real digits, float32, Adam, on the CPU with all its cores.

  one after another  for each seed, 50 steps in one program
  ours (scan)        `vmap` over the seeds, 50 steps in one program
  ours, one seed     the first seed alone, which shows what the others add

The first two are checked to compute the same losses of every seed before they are timed.
"""

from collections.abc import Callable, Mapping

import jax
import numpy as np
from absl import flags

from aigc_jax import gan
from aigc_jax.algorithm import State
from aigc_jax.data.batches import shuffled
from benchmarks.harness import ours, side_by_side
from benchmarks.harness.turns import Check, Row
from benchmarks.textbook_gan import BATCH_SIZE, LOSSES
from experiments.cli import launch

ROWS = ("one after another", side_by_side.OURS, "ours, one seed")
Init = Callable[[], list[State]]


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_integer("seeds", 8, "How many.", lower_bound=1, flag_values=values)


def seeds_row(
    dispatch: Callable,
    init: Init,
    images: np.ndarray,
    losses_of: Callable[[list], np.ndarray] | None,
) -> Row:
    """Programs that do 50 steps, each of some of the seeds.

    Args:
      dispatch: `(state, images, indices [50, B]) -> (state, info)`.
      init: gives the states, one for each program.
      images: `[M, H, W, C]`.
      losses_of: the infos of all programs, as losses `[K, seeds · L]`; None: not checked.
    """
    data, order = jax.device_put(images), shuffled(0, len(images), BATCH_SIZE)
    states, done, per = init(), 0, ours.STEPS_PER_DISPATCH

    def run(steps: int) -> None:
        nonlocal done
        for start in range(done, done + steps, per):
            indices = jax.device_put(np.stack([order(s) for s in range(start, start + per)]))
            for i, state in enumerate(states):
                states[i], _ = dispatch(state, data, indices)
        done += steps
        jax.block_until_ready(states)

    def losses(indices: np.ndarray, noise: np.ndarray) -> np.ndarray:
        del noise  # a pure function of the state
        assert losses_of is not None
        return losses_of([dispatch(state, data, indices)[1] for state in init()])

    def counters() -> list[int]:
        return [int(n) for state in states for n in np.ravel(state.step)]

    return Row(run, counters, None if losses_of is None else losses, per)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What the rows must compute, and a factory of each."""
    algorithm, images = gan.make(gan.TEXTBOOK), ours.digits()
    keys = [jax.random.key(seed) for seed in range(arguments.seeds)]
    order = shuffled(1, len(images), BATCH_SIZE)
    indices = np.stack([order(k) for k in range(ours.CHECKED_STEPS)])

    def one_by_one() -> list[State]:
        return [algorithm.init(key) for key in keys]

    def together() -> list[State]:
        return [jax.vmap(algorithm.init)(jax.numpy.stack(keys))]

    def scan(state: State, images: jax.Array, indices: jax.Array) -> tuple[State, gan.Info]:
        return jax.lax.scan(lambda s, i: algorithm.step(s, images[i]), state, indices)

    def columns(infos: list) -> np.ndarray:
        return np.stack([getattr(info, name) for info in infos for name in LOSSES], axis=-1)

    def columns_of_vmap(infos: list) -> np.ndarray:
        arrays = [np.asarray(getattr(infos[0], name)) for name in LOSSES]  # [seeds, K]
        return np.stack([a[seed] for seed in range(arguments.seeds) for a in arrays], axis=-1)

    plain = []
    for state in one_by_one():
        infos = []
        for chosen in indices:
            state, info = algorithm.step(state, images[chosen])
            infos.append(info)
        plain.append(jax.tree.map(lambda *x: np.stack(x), *infos))
    check = Check(indices, np.zeros((len(indices), BATCH_SIZE, 0)), columns(plain))
    single = jax.jit(scan, donate_argnums=0)
    mapped = jax.jit(jax.vmap(scan, (0, None, None)), donate_argnums=0)
    made = (
        lambda: seeds_row(single, one_by_one, images, columns),
        lambda: seeds_row(mapped, together, images, columns_of_vmap),
        lambda: seeds_row(single, lambda: one_by_one()[:1], images, None),
    )
    return check, dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    side_by_side.main(__doc__, "Seeds of the textbook GAN", prepare, ROWS, define=define_flags)
