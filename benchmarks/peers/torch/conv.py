"""Our DCGAN, R3GAN and convolutional VAE in PyTorch, starting from our weights.

PyTorch orders axes (channel, row, column), we (row, column, channel). The weights of dense layers
next to a grid are put in its order once, so that no step pays for it.

Dimensions: B batch, Z latent, C H W image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.harness.torch_row import adam, device
from benchmarks.harness.turns import Row
from benchmarks.peers.torch import gan, vae

if TYPE_CHECKING:  # benchmarks.scaling runs this without JAX
    from benchmarks.harness.ours import Task

SIDE = 7  # of the grid
Arrays = Mapping[str, Any]  # a layer's `kernel`, `scale` and `bias`, or layers by name


def _filled(module: nn.Module, weight: np.ndarray | None, bias: np.ndarray | None) -> nn.Module:
    with torch.no_grad():
        for parameter, array in ((module.weight, weight), (module.bias, bias)):
            if array is not None:
                parameter.copy_(torch.tensor(np.array(array)))
    return module


def conv(layer: Arrays, stride: int) -> nn.Module:
    """A convolution: K×K that keeps the size, or 4×4 that halves it."""
    kernel, bias = np.array(layer["kernel"]), layer.get("bias")
    size, _, inputs, outputs = kernel.shape
    border = 1 if stride == 2 else size // 2
    module = nn.Conv2d(inputs, outputs, size, stride, border, bias=bias is not None)
    return _filled(module, kernel.transpose(3, 2, 0, 1), bias)


def conv_up(layer: Arrays) -> nn.Module:
    """A 4×4 transposed convolution that doubles the size."""
    kernel, bias = np.array(layer["kernel"]), layer.get("bias")
    module = nn.ConvTranspose2d(*kernel.shape[2:], 4, 2, 1, bias=bias is not None)
    return _filled(module, kernel.transpose(2, 3, 0, 1), bias)


def dense(layer: Arrays, grid_in: bool = False, grid_out: bool = False) -> nn.Module:
    """A dense layer; `grid_in`, `grid_out`: its inputs, its outputs are a flattened grid."""
    kernel, bias = np.array(layer["kernel"]), layer.get("bias")
    inputs, outputs = kernel.shape
    module = nn.Linear(inputs, outputs, bias=bias is not None)
    if grid_in:
        kernel = kernel.reshape(SIDE, SIDE, -1, outputs).transpose(2, 0, 1, 3)
    if grid_out:
        kernel = kernel.reshape(inputs, SIDE, SIDE, -1).transpose(0, 3, 1, 2)
        bias = bias if bias is None else np.reshape(bias, (SIDE, SIDE, -1)).transpose(2, 0, 1)
        bias = bias if bias is None else bias.ravel()
    return _filled(module, kernel.reshape(inputs, outputs).T, bias)


def batch_norm(layer: Arrays) -> nn.Module:
    """Batch normalisation."""
    return _filled(nn.BatchNorm2d(len(layer["scale"])), layer["scale"], layer["bias"])


class Residual(nn.Module):
    """x + W₂ f(W₁ ∗ f(x))."""

    def __init__(self, layers: Arrays):
        super().__init__()
        first, second = (conv(layers[f"Convolution_{i}"], 1) for i in (0, 1))
        self.branch = nn.Sequential(nn.ELU(), first, nn.ELU(), second)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        return x + self.branch(x)


def halved(down: Arrays) -> list[nn.Module]:
    """An image to the grid, a residual block on it: `[B, 1, H, W] -> [B, C, h, w]`."""
    count = sum(name.startswith("Convolution") for name in down)
    layers = [conv(down[f"Convolution_{i}"], 2) for i in range(count)]
    between = [module for layer in layers for module in (layer, nn.ELU())][:-1]
    return [*between, Residual(down["ResidualBlock_0"]), nn.ELU()]


def doubled(up: Arrays) -> list[nn.Module]:
    """The grid, a residual block on it, to an image: `[B, C, h, w] -> [B, 1, H, W]`."""
    count = sum(name.startswith("Convolution") for name in up)
    layers = [conv_up(up[f"Convolution_{i}"]) for i in range(1, count)]
    first = [conv(up["Convolution_0"], 1), Residual(up["ResidualBlock_0"])]
    return [*first, *(module for layer in layers for module in (nn.ELU(), layer))]


class Posterior(nn.Module):
    """Images to μ and log σ² side by side, `[B, 2Z]`, the latter kept within (−6, 2)."""

    def __init__(self, encoder: Arrays):
        super().__init__()
        self.layers = nn.Sequential(
            *halved(encoder["Down_0"]),
            nn.Flatten(),
            dense(encoder["Dense_0"], grid_in=True),
            nn.ELU(),
            dense(encoder["Dense_1"]),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 1, H, W] -> [B, 2Z]`."""
        mean, log_variance = self.layers(2 * x - 1).chunk(2, dim=1)
        return torch.cat([mean, log_variance.clamp(-6.0, 2.0)], dim=1)


def decoder(layers: Arrays) -> nn.Module:
    """Latents to the logits of pixels, `[B, Z] -> [B, 1, H, W]`."""
    return nn.Sequential(
        dense(layers["Dense_0"]),
        nn.ELU(),
        dense(layers["Dense_1"], grid_out=True),
        nn.ELU(),
        nn.Unflatten(1, (-1, SIDE, SIDE)),
        *doubled(layers["Up_0"]),
    )


def generator(layers: Arrays) -> nn.Module:
    """`[B, Z] -> [B, 1, H, W]` in [0, 1]."""
    return nn.Sequential(
        dense(layers["Dense_0"], grid_out=True),
        nn.Unflatten(1, (-1, SIDE, SIDE)),
        batch_norm(layers["BatchNorm_0"]),
        nn.ReLU(),
        conv_up(layers["Convolution_0"]),
        batch_norm(layers["BatchNorm_1"]),
        nn.ReLU(),
        conv_up(layers["Convolution_1"]),
        nn.Sigmoid(),
    )


def discriminator(layers: Arrays) -> nn.Module:
    """`[B, 1, H, W] -> [B]` logits."""
    return nn.Sequential(
        conv(layers["Convolution_0"], 2),
        nn.LeakyReLU(0.2),
        conv(layers["Convolution_1"], 2),
        batch_norm(layers["BatchNorm_0"]),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        dense(layers["ProjectionHead_0"]["Dense_0"], grid_in=True),
        nn.Flatten(0),
    )


def pointwise(layer: Arrays) -> nn.Module:
    """A dense layer at each position: a 1×1 convolution."""
    return conv({**layer, "kernel": np.array(layer["kernel"])[None, None]}, 1)


class Bottleneck(nn.Module):
    """x + W₃ a(K ∗ a(W₁ x)), a the leaky ReLU."""

    def __init__(self, layers: Arrays):
        super().__init__()
        self.branch = nn.Sequential(
            pointwise(layers["Dense_0"]),
            nn.LeakyReLU(0.2),
            conv(layers["Convolution_0"], 1),
            nn.LeakyReLU(0.2),
            pointwise(layers["Dense_1"]),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        return x + self.branch(x)


class WeightedSums(nn.Module):
    """Each channel summed over the grid by weights of its own: `[B, C, H, W] -> [B, C]`."""

    def __init__(self, weights: np.ndarray):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(np.array(weights).transpose(2, 0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        return (x * self.weights).sum((2, 3))


def residual_generator(layers: Arrays) -> nn.Module:
    """`[B, Z] -> [B, 1, H, W]` in [0, 1]."""
    return nn.Sequential(
        dense(layers["Dense_0"], grid_out=True),
        nn.Unflatten(1, (-1, SIDE, SIDE)),
        Bottleneck(layers["Residual_0"]),
        pointwise(layers["Dense_1"]),
        nn.Upsample(scale_factor=2),
        Bottleneck(layers["Residual_1"]),
        nn.LeakyReLU(0.2),
        conv_up(layers["Convolution_0"]),
        nn.Sigmoid(),
    )


def residual_discriminator(layers: Arrays) -> nn.Module:
    """`[B, 1, H, W] -> [B]` logits."""
    return nn.Sequential(
        conv(layers["Convolution_0"], 2),
        Bottleneck(layers["Residual_0"]),
        nn.AvgPool2d(2),
        pointwise(layers["Dense_0"]),
        Bottleneck(layers["Residual_1"]),
        nn.LeakyReLU(0.2),
        WeightedSums(layers["places"]),
        dense(layers["ProjectionHead_0"]["Dense_0"]),
        nn.Flatten(0),
    )


def r3gan_row(
    task: Task,
    rate: float,
    betas: tuple[float, float],
    channels_last: bool,
    compiled: bool,
    networks: tuple[nn.Module, nn.Module] | None = None,
    after: Callable[[], None] = lambda: None,
) -> Row:
    """See `gan.relativistic_training`; the first arguments are those of `dcgan_row`.

    Args:
      networks: G and D; None: those of the task's weights.
      after: called after each step.
    """
    if networks is None:
        networks = (
            residual_generator(task.weights["g"]),
            residual_discriminator(task.weights["d"]),
        )
    generate, discriminate = (laid_out(module, channels_last) for module in networks)
    adams = (adam(list(m.parameters()), rate, betas) for m in (generate, discriminate))
    return gan.relativistic_training(
        task, generate, discriminate, *adams, compiled=compiled, after=after
    )


def dcgan_row(
    task: Task, rate: float, betas: tuple[float, float], channels_last: bool, compiled: bool
) -> Row:
    """See `gan.training`.

    Args:
      task: its weights are our parameters of G and D.
      rate, betas: Adam's.
      channels_last: the layout of grids in memory.
      compiled: as in `gan.training`.
    """
    networks = generator(task.weights["g"]), discriminator(task.weights["d"])
    generate, discriminate = (laid_out(module, channels_last) for module in networks)
    adams = (adam(list(m.parameters()), rate, betas) for m in (generate, discriminate))
    return gan.training(task, generate, discriminate, *adams, saturating=False, compiled=compiled)


def conv_vae_row(
    task: Task, rate: float, betas: tuple[float, float], channels_last: bool, compiled: bool
) -> Row:
    """See `vae.training`; the arguments are those of `dcgan_row`."""
    networks = (
        Posterior(task.weights["encoder"]["params"]),
        decoder(task.weights["decoder"]["params"]),
    )
    encode, decode = (laid_out(module, channels_last) for module in networks)
    optimiser = adam([*encode.parameters(), *decode.parameters()], rate, betas)
    return vae.training(task, encode, decode, optimiser, compiled)


def laid_out(module: nn.Module, channels_last: bool) -> nn.Module:
    """The module on the device of the rows, its grids in one order of memory or the other."""
    layout = torch.channels_last if channels_last else torch.preserve_format
    return module.to(device(), memory_format=layout)
