"""The textbook's VAE in PyTorch, eager and compiled."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.ours import Task
from benchmarks.torch_row import adam, network, training_row
from benchmarks.turns import Row


def row(task: Task, compiled: bool) -> Row:
    """One step down the gradient of the mean negative ELBO.

    Args:
      task: see there.
      compiled: put the loss, and with it its gradient, under torch.compile.
    """
    encode = network(task.weights["encoder"], nn.Identity())
    decode = network(task.weights["decoder"], nn.Identity())
    optimiser = adam([*encode.parameters(), *decode.parameters()])

    def losses(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = encode(x).chunk(2, dim=1)
        logits = decode(mean + torch.exp(0.5 * log_variance) * noise)
        reconstruction = binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = 0.5 * (mean**2 + torch.expm1(log_variance) - log_variance).sum() / len(x)
        return reconstruction + kl, reconstruction, kl

    if compiled:
        losses = torch.compile(losses)

    def update(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        negative_elbo, reconstruction, kl = losses(x, noise)
        optimiser.zero_grad()
        negative_elbo.backward()
        optimiser.step()
        return negative_elbo, reconstruction, kl

    return training_row(task, update, (optimiser,))
