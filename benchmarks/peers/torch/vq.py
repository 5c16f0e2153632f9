"""Our VQ-VAE in PyTorch: a codebook that follows the features by averages, and revives no code.

Dimensions: B batch, C H W image, h w the grid, D features, K codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.harness.torch_row import adam, device, training_row
from benchmarks.harness.turns import Row
from benchmarks.peers.torch.conv import conv, doubled, halved, laid_out

if TYPE_CHECKING:  # benchmarks.scaling runs this without JAX
    from benchmarks.harness.ours import Task

DEVIATION = 0.1  # σ₀ of the likelihood


def encoder(layers: Mapping[str, Any]) -> nn.Module:
    """`2 x − 1`, `[B, 1, H, W]`, to features `[B, D, h, w]`."""
    return nn.Sequential(*halved(layers["Down_0"]), conv(layers["Convolution_0"], 1))


def decoder(layers: Mapping[str, Any]) -> nn.Module:
    """Vectors `[B, D, h, w]` to the means of pixels `[B, 1, H, W]`."""
    return nn.Sequential(*doubled(layers["Up_0"]))


class Codebook:
    """K vectors, and the averages over batches that they are quotients of."""

    def __init__(self, vectors: np.ndarray, decay: float):
        self.vectors = torch.tensor(np.array(vectors)).to(device())
        self.counts = torch.zeros(len(vectors), device=device())
        self.sums = torch.zeros_like(self.vectors)
        self._decay = decay

    def update(self, features: Tensor, codes: Tensor) -> None:
        """Takes in a batch's features `[M, D]` and the codes that are nearest to them, `[M]`."""
        size = len(self.vectors)
        counts = torch.bincount(codes, minlength=size).float()
        sums = torch.zeros_like(self.sums).index_add_(0, codes, features)
        self.counts.lerp_(counts, 1 - self._decay)
        self.sums.lerp_(sums, 1 - self._decay)
        total = self.counts.sum()
        smoothed = (self.counts + 1e-5) / (total + size * 1e-5) * total
        self.vectors = self.sums / smoothed[:, None]


def vq_row(
    task: Task, rate: float, betas: tuple[float, float], channels_last: bool, compiled: bool
) -> Row:
    """One step down the gradient, then the codebook's averages.

    Args:
      task: its weights are our parameters, the codebook's first vectors and γ of its averages.
      rate, betas: Adam's.
      channels_last: the layout of grids in memory.
      compiled: put the loss, and so its gradient, under torch.compile.
    """
    params, vectors, decay = task.weights
    encode, decode = (
        laid_out(make(params[name]["params"]), channels_last)
        for make, name in ((encoder, "encoder"), (decoder, "decoder"))
    )
    shift = nn.Parameter(torch.tensor(np.array(params["decoder"]["params"]["Shared_0"]["shared"])))
    optimiser = adam([*encode.parameters(), *decode.parameters(), shift], rate, betas)
    book = Codebook(vectors, decay)

    def losses(x: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        grid = encode(2 * x - 1).permute(0, 2, 3, 1)
        features = grid.reshape(-1, grid.shape[-1])
        mean = vectors.mean(0, keepdim=True)
        e, f = vectors - mean, features.detach() - mean
        codes = (e.square().sum(1) - 2 * f @ e.T).argmin(1)
        chosen = vectors[codes]
        handed_on = features + (chosen - features).detach()
        means = decode(handed_on.reshape(grid.shape).permute(0, 3, 1, 2))
        log_variance = 2 * math.log(DEVIATION) + shift
        errors = (x - means).square() * torch.exp(-log_variance)
        nll = 0.5 * (errors + log_variance + math.log(2 * math.pi)).sum() / len(x)
        strayed = (features - chosen).square().sum() / len(x)
        return nll, strayed, features.detach(), codes

    if compiled:
        losses = torch.compile(losses)

    def update(x: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        nll, strayed, features, codes = losses(x, book.vectors)
        optimiser.zero_grad()
        (nll + strayed).backward()
        optimiser.step()
        book.update(features, codes)
        return nll, strayed

    return training_row(task, update, (optimiser,))
