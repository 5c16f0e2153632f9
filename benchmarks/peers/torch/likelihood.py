"""Importance sampling of a VAE's likelihood in PyTorch, one image after another.

Dimensions: K samples, Z latent, M images.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.harness import machine
from benchmarks.harness.ours import Layers
from benchmarks.harness.torch_row import device, network
from benchmarks.harness.turns import Row, counted


def row(weights: Mapping[str, Layers], images: np.ndarray, samples: int) -> Row:
    """The mean −log p(x) of images, in nats.

    Args:
      weights: of `encoder` and `decoder`, perceptrons with tanh.
      images: `[M, H, W, 1]` of zeros and ones.
      samples: K, of each image, all in one pass.
    """
    torch.set_num_threads(machine.threads())
    torch.manual_seed(0)
    encode, decode = (network(weights[n], nn.Identity(), nn.Tanh) for n in ("encoder", "decoder"))
    rows, standard = torch.from_numpy(images).to(device()).flatten(1), Normal(0.0, 1.0)

    def nll(x: Tensor) -> float:
        mean, log_variance = encode(x).chunk(2)
        posterior = Normal(mean, torch.exp(0.5 * log_variance))
        z = posterior.sample((samples,))  # [K, Z]
        logits = decode(z)
        target = x.expand_as(logits)
        log_likelihood = -binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
        log_weights = log_likelihood + (standard.log_prob(z) - posterior.log_prob(z)).sum(1)
        return math.log(samples) - torch.logsumexp(log_weights, 0).item()

    def mean_nll() -> np.ndarray:
        with torch.inference_mode():
            return np.array(np.mean([nll(x) for x in rows]))

    return counted(mean_nll)
