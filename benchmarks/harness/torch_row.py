"""What the PyTorch rows share: networks that start from our weights, and the training loop.

Dimensions: B batch, Z noise, K steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.harness import machine
from benchmarks.harness.turns import Row

if TYPE_CHECKING:  # benchmarks.memory runs this without JAX
    from benchmarks.harness.ours import Layers, Task


def device() -> str:
    """The device of the rows; see `machine.hold_to`.

    Raises:
      ImportError: on a GPU that PyTorch does not see.
    """
    if machine.held_to_cpu():
        return "cpu"
    if not torch.cuda.is_available():
        raise ImportError("this PyTorch sees no GPU")
    torch.set_float32_matmul_precision("high")  # TF32, which is JAX's default there
    return "cuda"


def network(
    layers: Layers, last: nn.Module, hidden: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """A perceptron, `hidden` after each layer but the last, that starts from our weights."""
    modules: list[nn.Module] = []
    activations = [*(hidden() for _ in layers[1:]), last]
    for (kernel, bias), activation in zip(layers, activations, strict=True):
        linear = nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T))
            linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, activation]
    return nn.Sequential(*modules).to(device())


def adam(
    params: Sequence[nn.Parameter], rate: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Adam, with an ε of 1e-8 as ours, in its fastest form here.

    Per eager step of the GAN, on two cores: 2.08 ms fused, 2.27 by default, 2.29 with foreach.
    """
    return torch.optim.Adam(params, rate, betas, fused=True)


def training_row(
    task: Task,
    update: Callable[..., Sequence[Tensor]],
    optimisers: Sequence[torch.optim.Optimizer],
) -> Row:
    """A Python loop over `update`, on examples and noise that PyTorch draws.

    Args:
      task: of the peers.
      update: `(x [B, ...], noise [B, Z]) -> losses, each []`; changes the networks. Where the task
        has labels, they are its third argument, `[B]`.
      optimisers: whose steps count.
    """
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    place = device()
    images = torch.from_numpy(task.examples).to(place)
    labels = () if task.labels is None else (torch.from_numpy(task.labels).long().to(place),)
    size, noise_shape = (task.batch_size,), (task.batch_size, task.noise_size)

    def run(steps: int) -> None:
        for _ in range(steps):
            chosen = torch.randint(len(images), size, device=place)
            noise = torch.randn(noise_shape, device=place)
            results = update(images[chosen], noise, *(array[chosen] for array in labels))
        _read(results)

    def counters() -> list[int]:
        return [int(state["step"]) for adam in optimisers for state in adam.state.values()]

    def losses(indices: np.ndarray, noise: np.ndarray) -> np.ndarray:
        inputs = (torch.from_numpy(x).to(place) for x in (indices, noise))
        steps = zip(*inputs, strict=True)
        return np.array(
            [
                _read(update(images[chosen], z, *(array[chosen] for array in labels)))
                for chosen, z in steps
            ]
        )

    return Row(run, counters, losses)


def descent_row(
    task: Task,
    losses: Callable[..., tuple[Tensor, ...]],
    optimiser: torch.optim.Optimizer,
    compiled: bool,
) -> Row:
    """Steps down the gradient of the first of some losses.

    Args:
      task: of the peers.
      losses: `(x, noise) -> losses`, each []; where the task has labels, of them too.
      optimiser: of all parameters.
      compiled: put the losses, and so the gradient, under torch.compile.
    """
    if compiled:
        losses = torch.compile(losses)

    def update(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = losses(*inputs)
        optimiser.zero_grad()
        found[0].backward()
        optimiser.step()
        return found

    return training_row(task, update, (optimiser,))


def _read(losses: Sequence[Tensor]) -> list[float]:
    return [loss.item() for loss in losses]
