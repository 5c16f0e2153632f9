"""One row of benchmarks.memory, which starts this in a process of its own.

    python -m benchmarks.harness.memory_row torch FOLDER
    python -m benchmarks.harness.memory_row ours FOLDER

It prints a line of JSON: the peak, and the losses of the first steps.
"""

import json
import resource
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.harness.turns import Row

STEPS = 30
SIZES = (
    *("vocabulary_size", "context", "layers", "heads", "width", "hidden_size", "bias"),
    *("learning_rate", "weight_decay", "b2", "clip_norm"),
)


def torch_row(folder: Path, setting: dict[str, Any]) -> Row:
    """PyTorch's, without JAX."""
    from benchmarks.peers.torch import lm

    weights: dict[str, Any] = {}
    with np.load(folder / "weights.npz") as arrays:
        for path in arrays.files:
            *parents, leaf = path.split("/")
            place = weights
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = arrays[path]
    config: Any = SimpleNamespace(**setting["sizes"])
    windows = np.lib.stride_tricks.sliding_window_view(
        np.load(folder / "tokens.npy"), config.context + 1, writeable=True
    )
    task: Any = SimpleNamespace(
        examples=windows,
        batch_size=setting["batch_size"],
        noise_size=0,
        weights=weights,
        threads=setting["threads"],
    )
    assert "jax" not in sys.modules
    return lm.row(task, config, compiled=False)


def our_row(folder: Path, setting: dict[str, Any]) -> Row:
    """Ours, without PyTorch; its weights are initialised again, which gives the same ones."""
    from aigc_jax import transformer
    from benchmarks import lm_step
    from benchmarks.harness import ours
    from experiments.families.lm.batching import windows_of

    config, batch_size, steps = lm_step.config_of("char", setting["sizes"]["vocabulary_size"])
    reading = windows_of(np.load(folder / "tokens.npy"), config.context)
    data = ours.Data(reading.data, reading.gather, reading.examples, batch_size)
    return ours.scan_row(transformer.make(config), data, lm_step.LOSSES, steps)


def main(name: str, folder: Path) -> None:
    """Trains, and prints the memory that it took."""
    setting = json.loads((folder / "setting.json").read_text())
    row = {"torch": torch_row, "ours": our_row}[name](folder, setting)
    assert row.losses is not None
    indices = np.arange(10 * setting["batch_size"]).reshape(10, -1)
    losses = row.losses(indices, np.zeros((*indices.shape, 0), np.float32))
    row.run(STEPS)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(json.dumps({"peak_mb": peak, "losses": np.ravel(losses)[:2].tolist()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
