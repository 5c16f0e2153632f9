"""One row in a process of its own, which benchmarks.memory and benchmarks.scaling start.

    python -m benchmarks.harness.alone torch FOLDER
    python -m benchmarks.harness.alone ours FOLDER
    python -m benchmarks.harness.alone evaluation FOLDER

A process holds one framework alone, so that its peak is that framework's. It prints a line of JSON:
its time, its peak, and the losses of its first steps.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.harness.turns import Mismatch, Row

SIZES = (
    *("vocabulary_size", "context", "layers", "heads", "width", "hidden_size", "bias"),
    *("learning_rate", "weight_decay", "b2", "clip_norm"),
)
"""What PyTorch's language model takes of a config."""
CHECKED_STEPS = 2


def write(folder: Path, setting: Mapping[str, Any], data: np.ndarray, weights: Any) -> None:
    """What the rows start from.

    Args:
      folder: an empty one.
      setting: `model`, `batch_size`, `threads`, `steps` of a dispatch, `seconds` to measure for,
        and what the model's functions below read.
      data: tokens or images.
      weights: our parameters, a tree of dicts.
    """
    from flax import traverse_util

    np.save(folder / "data.npy", data)
    flat = traverse_util.flatten_dict(weights, sep="/")
    arrays: dict[str, Any] = {name: np.array(x) for name, x in flat.items()}
    np.savez(folder / "weights.npz", **arrays)
    (folder / "setting.json").write_text(json.dumps(setting))


def run(row: str, folder: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a row's process reports.

    Raises:
      Mismatch: it ended with an error.
    """
    command = [sys.executable, "-m", __name__, row, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        raise Mismatch(f"{row}: its process ended with code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _weights(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    with np.load(folder / "weights.npz") as arrays:
        for path in arrays.files:
            *parents, leaf = path.split("/")
            place = tree
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = arrays[path]
    return tree


def torch_row(folder: Path, setting: dict[str, Any]) -> Row:
    """PyTorch's, eager, without JAX."""
    data, weights = np.load(folder / "data.npy"), _weights(folder)
    task: Any = SimpleNamespace(
        examples=data,
        batch_size=setting["batch_size"],
        noise_size=0,
        weights=weights,
        threads=setting["threads"],
        labels=None,
    )
    if setting["model"] == "lm":
        from benchmarks.peers.torch import lm

        config: Any = SimpleNamespace(**setting["sizes"])
        task.examples = np.lib.stride_tricks.sliding_window_view(
            data, config.context + 1, writeable=True
        )
        row = lm.row(task, config, compiled=False)
    else:
        from benchmarks.peers.torch import vq

        task.examples = data.transpose(0, 3, 1, 2)
        task.weights = weights["params"], weights["vectors"], setting["decay"]
        row = vq.vq_row(task, setting["rate"], (0.9, 0.999), False, False)
    assert "jax" not in sys.modules
    return row


def our_row(folder: Path, setting: dict[str, Any]) -> Row:
    """Ours, without PyTorch; its weights are initialised again, which gives the same ones."""
    from aigc_jax import transformer
    from benchmarks import conv_step, lm_step
    from benchmarks.harness import ours
    from experiments.families.lm.batching import windows_of

    data, batch_size, steps = np.load(folder / "data.npy"), setting["batch_size"], setting["steps"]
    if setting["model"] == "lm":
        config, _, _ = lm_step.config_of(
            setting["preset"], setting["sizes"]["vocabulary_size"], **setting["changes"]
        )
        reading = windows_of(data, config.context)
        windows = ours.Data(reading.data, reading.gather, reading.examples, batch_size)
        return ours.scan_row(transformer.make(config), windows, lm_step.LOSSES, steps)
    model = conv_step.vq_vae(data.shape[1])
    return ours.scan_row(model.algorithm, ours.image_data(data, batch_size), model.losses, steps)


def evaluation_row(folder: Path, setting: dict[str, Any]) -> Row:
    """The held-out loss of a language model; a step is a batch."""
    import jax

    from aigc_jax import transformer
    from benchmarks import lm_step
    from benchmarks.harness import ours

    tokens, batch_size = np.load(folder / "data.npy"), setting["batch_size"]
    config, _, _ = lm_step.config_of(
        setting["preset"], setting["sizes"]["vocabulary_size"], **setting["changes"]
    )
    networks = transformer.networks_of(config)
    params = jax.jit(ours.initial_state, static_argnums=0)(transformer.make(config)).params
    done = [0]

    def work(steps: int) -> None:
        used = tokens[: steps * batch_size * config.context + 1]
        transformer.heldout_nll(params, used, networks=networks, chunk=batch_size)
        done[0] += steps

    return Row(work, lambda: list(done), None, 1)


ROWS: Mapping[str, Callable[[Path, dict[str, Any]], Row]] = {
    "torch": torch_row,
    "ours": our_row,
    "evaluation": evaluation_row,
}


def peak_mb() -> float:
    """The most memory that this process ever held, in MB."""
    # What `getrusage` says begins with the peak of the process that started this one.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(name: str, folder: Path) -> None:
    """Works for a while, and prints what it took."""
    setting = json.loads((folder / "setting.json").read_text())
    if name == "torch":
        import torch  # noqa: F401
    else:
        import jax

        import aigc_jax.transformer  # noqa: F401

        jax.config.update("jax_platforms", "cpu")
    before = peak_mb()
    row, steps, losses = ROWS[name](folder, setting), setting["steps"], []
    if row.losses is not None:
        indices = np.arange(steps * setting["batch_size"]).reshape(steps, -1)
        found = row.losses(indices, np.zeros((*indices.shape, 0), np.float32))
        losses = np.ravel(found[:CHECKED_STEPS]).tolist()
    row.run(steps)
    times: list[float] = []
    while sum(times) < setting["seconds"] or len(times) < 3:
        start = time.perf_counter()
        row.run(steps)
        times.append(time.perf_counter() - start)
    ms = 1e3 * statistics.median(times) / steps
    print(json.dumps({"ms": ms, "peak_mb": peak_mb(), "before_mb": before, "losses": losses}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
