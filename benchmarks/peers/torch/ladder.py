"""Our ladder VAE in PyTorch: latents on two grids, inferred from the top down.

Dimensions: B batch, Z latents of all layers, C H W image, D features, c latents of a cell, h w a
grid.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, elu

from benchmarks.harness.ours import Task
from benchmarks.harness.torch_row import adam, descent_row
from benchmarks.harness.turns import Row
from benchmarks.peers.torch.conv import Residual, conv, conv_up, laid_out

FREE_NATS = 0.5  # of each layer of latents
Arrays = Mapping[str, Any]


class Gaussian(nn.Module):
    """Features to μ and log σ², the latter kept within (−6, 2)."""

    def __init__(self, hidden: Arrays, outputs: Arrays):
        super().__init__()
        self.layers = nn.Sequential(nn.ELU(), conv(hidden, 1), nn.ELU(), conv(outputs, 1))

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, D, h, w] -> [B, c, h, w]` twice."""
        mean, log_variance = self.layers(h).chunk(2, dim=1)
        return mean, log_variance.clamp(-6.0, 2.0)


class Layer(nn.Module):
    """A layer of latents: its prior, its posterior, and what its sample does to the path."""

    def __init__(self, down: Arrays, number: int, into_path: str):
        super().__init__()
        self.prior, self.posterior = (
            Gaussian(down[f"{name}_{number}_hidden"], down[f"{name}_{number}"])
            for name in ("prior", "posterior")
        )
        self.into_path = conv(down[into_path], 1)
        self.block = Residual(down[f"ResidualBlock_{number}"])

    def forward(self, h: Tensor, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The path below, and KL(q ‖ p), `[]`, mean over the batch; noise is `[B, c, h, w]`."""
        mean_p, log_variance_p = self.prior(h)
        mean_q, log_variance_q = self.posterior(torch.cat([h, features], dim=1))
        z = mean_q + torch.exp(0.5 * log_variance_q) * noise
        ratio = log_variance_q - log_variance_p
        squares = (mean_q - mean_p).square() * torch.exp(-log_variance_p)
        kl = 0.5 * (squares + torch.expm1(ratio) - ratio).sum() / len(h)
        return self.block(h + self.into_path(z)), kl


class Ladder(nn.Module):
    """Images to logits, by way of a sample of all layers, and the KL of each."""

    def __init__(self, up: Arrays, down: Arrays, head: Arrays):
        super().__init__()
        self.halvings = nn.ModuleList(conv(up[f"Convolution_{i}"], 2) for i in (0, 1))
        self.up_blocks = nn.ModuleList(Residual(up[f"ResidualBlock_{i}"]) for i in (0, 1))
        self.top = nn.Parameter(torch.tensor(down["top"]).permute(2, 0, 1).contiguous())
        self.layers = nn.ModuleList(
            Layer(down, number, f"Convolution_{name}") for number, name in enumerate((0, 1, 3, 4))
        )
        self.doubling = conv_up(down["Convolution_2"])
        self.head = nn.Sequential(
            Residual(head["ResidualBlock_0"]), nn.ELU(), conv_up(head["Convolution_0"])
        )

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`[B, 1, H, W]` and `[B, Z]` → logits `[B, 1, H, W]`, and KLs `[]`."""
        high = self.up_blocks[0](self.halvings[0](2 * x - 1))
        low = self.up_blocks[1](self.halvings[1](elu(high)))
        h = self.top.expand(len(x), -1, -1, -1)
        divergences, used = [], 0
        for number, layer in enumerate(self.layers):
            if number == 2:
                h = self.doubling(elu(h))
            features = low if number < 2 else high
            side, channels = features.shape[-1], layer.into_path.in_channels
            size = side * side * channels
            own = noise[:, used : used + size].unflatten(1, (side, side, channels))
            h, kl = layer(h, features, own.permute(0, 3, 1, 2))
            divergences.append(kl)
            used += size
        return self.head(h), divergences


def ladder_row(
    task: Task, rate: float, betas: tuple[float, float], channels_last: bool, compiled: bool
) -> Row:
    """One step down the gradient of the mean negative ELBO with free nats.

    Args:
      task: its weights are our parameters.
      rate, betas: Adam's.
      channels_last: the layout of grids in memory.
      compiled: put the loss, and so its gradient, under torch.compile.
    """
    parts = (task.weights[name]["params"] for name in ("up", "down", "head"))
    network = laid_out(Ladder(*parts), channels_last)
    optimiser = adam(list(network.parameters()), rate, betas)

    def losses(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, divergences = network(x, noise)
        reconstruction = binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        counted = sum(torch.clamp(kl, min=FREE_NATS) for kl in divergences)
        return reconstruction + counted, reconstruction, sum(divergences)

    return descent_row(task, losses, optimiser, compiled)
