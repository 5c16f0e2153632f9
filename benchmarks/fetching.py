"""Training on a text that stays on disk, beside the same text on the device.

    python -m benchmarks.fetching

The nano model of benchmarks.lm_step, on Python's documentation repeated up to 64 MiB of tokens, 20
steps in one program, on the CPU with all its cores.

  tokens on the device  windows are cut there, from their start positions
  ours (scan)           windows are cut from a file on the host while the previous program runs

If both take the same time, the host never makes the device wait. Both are checked to compute the
same losses before they are timed. A profile shows the same: `python -m experiments.lm --text=FILE
--profile`, where FILE is above 64 MiB.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aigc_jax.data.text import LARGE
from benchmarks import lm_step
from benchmarks.harness import ours, side_by_side
from benchmarks.harness.turns import Check, Row
from experiments.cli import launch
from experiments.families.lm.batching import windows_of

ROWS = ("tokens on the device", side_by_side.OURS)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What both rows must compute, and a factory of each."""
    setting = lm_step.setting_of("nano")
    short = np.asarray(setting.data.arrays, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.npy"
        np.save(file, np.resize(short, LARGE))
        on_disk = np.load(file, mmap_mode="r")  # stays readable after it is unlinked

    def data_of(tokens: np.ndarray) -> ours.Data:
        reading = windows_of(tokens, setting.config.context)
        size = setting.data.batch_size
        return ours.Data(reading.data, reading.gather, reading.examples, size, reading.fetch)

    algorithm, losses = setting.algorithm, lm_step.LOSSES
    on_device = data_of(np.array(on_disk))
    noise = jnp.zeros((setting.data.batch_size, 0))
    check = ours.expected(algorithm, on_device, lambda _: noise, losses)
    made = (
        lambda: ours.scan_row(algorithm, on_device, losses, setting.steps),
        lambda: ours.scan_row(algorithm, data_of(on_disk), losses, setting.steps),
    )
    return check, dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    side_by_side.main(__doc__, "Language model, characters on disk", prepare, ROWS)
