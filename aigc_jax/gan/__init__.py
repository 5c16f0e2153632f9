"""Generative adversarial networks. `make(Config())` is the front door; `step` is the algorithm."""

from aigc_jax.gan.config import TEXTBOOK, Config, make, networks_of
from aigc_jax.gan.losses import (
    minimax_discriminator_loss,
    nonsaturating_generator_loss,
    saturating_generator_loss,
)
from aigc_jax.gan.networks import mlp
from aigc_jax.gan.step import Info, Networks, State, init, latents, sample, step

__all__ = [
    "TEXTBOOK",
    "Config",
    "Info",
    "Networks",
    "State",
    "init",
    "latents",
    "make",
    "minimax_discriminator_loss",
    "mlp",
    "networks_of",
    "nonsaturating_generator_loss",
    "sample",
    "saturating_generator_loss",
    "step",
]
