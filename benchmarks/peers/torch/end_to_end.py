"""Training loops as PyTorch's users write them, for benchmarks.end_to_end.

Dimensions: T positions, N images, Z latent.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.harness.ours import Task
from benchmarks.harness.turns import Row
from benchmarks.peers.torch import conv, lm


def nanogpt_rate(steps: int, peak: float = 1e-3, warmup: int = 100) -> Callable[[int], float]:
    """nanoGPT's: linear to the peak, then half a cosine to a tenth of it at the last step."""

    def rate(done: int) -> float:
        if done < warmup:
            return peak * (done + 1) / (warmup + 1)
        share = (done - warmup) / (steps - warmup)
        return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * min(share, 1.0))))

    return rate


def nanogpt(
    task: Task, config: Any, steps: int, windows: np.ndarray, weights: np.ndarray
) -> tuple[Row, Callable[[], float]]:
    """nanoGPT's loop with its options for a CPU, and its held-out loss per token in nats.

    Args:
      task: its weights are the model's first ones.
      config: its sizes and AdamW's constants.
      steps: when the rate has come down.
      windows: of the held-out text, int `[N, T + 1]`.
      weights: which targets count, `[N, T]`.
    """
    model = lm.gpt(config, task.weights, "none")
    row = lm.training(task, model, config, False, rate=nanogpt_rate(steps))

    @torch.no_grad()
    def heldout() -> float:
        total = 0.0
        for some, counted in zip(
            np.array_split(windows, 20), np.array_split(weights, 20), strict=True
        ):
            tokens = torch.from_numpy(some).long()
            logits = model(tokens[:, :-1]).flatten(0, 1)
            losses = cross_entropy(logits, tokens[:, 1:].flatten(), reduction="none")
            total += float((losses.double() * torch.from_numpy(counted.ravel())).sum())
        return total / float(weights.sum())

    return row, heldout


def r3gan(
    task: Task, rate: float, betas: tuple[float, float], half_life: float, ramp: float = 0.05
) -> tuple[Row, Callable[[np.ndarray], np.ndarray]]:
    """R3GAN with an averaged generator, channels last, and its images of latents `[N, Z]`.

    Args:
      task: its weights are our first parameters.
      rate, betas: Adam's.
      half_life: of the average, in images.
      ramp: its memory is at most this share of the images seen.
    """
    networks = (
        conv.residual_generator(task.weights["g"]),
        conv.residual_discriminator(task.weights["d"]),
    )
    averaged = conv.laid_out(copy.deepcopy(networks[0]), True)
    pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
    done = 0

    @torch.no_grad()
    def average() -> None:
        nonlocal done
        memory = min(half_life, ramp * task.batch_size * done)
        decay = 0.5 ** (task.batch_size / memory) if memory > 0 else 0.0
        for mean, newest in pairs:
            mean.lerp_(newest, 1 - decay)
        done += 1

    row = conv.r3gan_row(task, rate, betas, True, False, networks, average)
    pairs += zip(averaged.parameters(), networks[0].parameters(), strict=True)

    @torch.no_grad()
    def draw(latents: np.ndarray) -> np.ndarray:
        return averaged(torch.from_numpy(latents)).permute(0, 2, 3, 1).numpy()

    return row, draw
