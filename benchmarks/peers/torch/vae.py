"""VAEs in PyTorch, eager and compiled: the textbook's, and a step for any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.harness.torch_row import adam, descent_row, network
from benchmarks.harness.turns import Row

if TYPE_CHECKING:  # benchmarks.scaling runs this without JAX
    from benchmarks.harness.ours import Task


def row(task: Task, compiled: bool) -> Row:
    """The textbook's networks; see `training`."""
    encode = network(task.weights["encoder"], nn.Identity())
    decode = network(task.weights["decoder"], nn.Identity())
    optimiser = adam([*encode.parameters(), *decode.parameters()])
    return training(task, encode, decode, optimiser, compiled)


def training(
    task: Task,
    encode: nn.Module,
    decode: nn.Module,
    optimiser: torch.optim.Optimizer,
    compiled: bool,
) -> Row:
    """One step down the gradient of the mean negative ELBO.

    Args:
      task: of the peers.
      encode: `images -> [B, 2Z]`, μ and log σ².
      decode: `[B, Z] -> logits` of pixels, in the images' shape.
      optimiser: of the parameters of both.
      compiled: put the loss, and so its gradient, under torch.compile.
    """

    def losses(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = encode(x).chunk(2, dim=1)
        logits = decode(mean + torch.exp(0.5 * log_variance) * noise)
        reconstruction = binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = 0.5 * (mean**2 + torch.expm1(log_variance) - log_variance).sum() / len(x)
        return reconstruction + kl, reconstruction, kl

    return descent_row(task, losses, optimiser, compiled)
