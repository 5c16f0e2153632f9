"""The seven rows that every benchmark of a textbook model has, by name."""

import contextlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aigc_jax.algorithm import Algorithm
from benchmarks.harness import machine, ours
from benchmarks.harness.turns import Row


def factories(
    names: Sequence[str],
    task: ours.Task,
    algorithm: Algorithm,
    data: ours.Data,
    losses: Sequence[str],
    family: str,
) -> Mapping[str, Callable[[], Row]]:
    """A factory of each row; calling one imports its framework and no other.

    Args:
      names: seven, in the order below.
      task: what the peers are given.
      algorithm: ours.
      data: for ours.
      losses: names in the algorithm's `Info`.
      family: the peers are the modules `family`_keras and `family`_torch.
    """

    def keras(row: str, **options: bool) -> Row:
        with contextlib.suppress(ImportError):
            # Before TensorFlow: after it, PyTorch's compiler ends in a segmentation fault.
            importlib.import_module("torch._dynamo")
        return getattr(machine.import_peer(f"peers.keras.{family}"), row)(task, **options)

    def torch(compiled: bool) -> Row:
        return machine.import_peer(f"peers.torch.{family}").row(task, compiled)

    made = (
        partial(keras, "article_row"),
        partial(keras, "function_row", jit_compile=False),
        partial(keras, "function_row", jit_compile=True),
        partial(torch, compiled=False),
        partial(torch, compiled=True),
        partial(ours.scan_row, algorithm, data, losses),
        partial(ours.step_row, algorithm, data, losses),
    )
    return dict(zip(names, made, strict=True))
