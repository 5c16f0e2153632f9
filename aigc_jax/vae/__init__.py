"""Variational autoencoders. `make(Config())` is the front door; `step` is the algorithm."""

from aigc_jax.vae.config import TEXTBOOK, Config, make, networks_of
from aigc_jax.vae.evaluate import heldout_elbo, heldout_nll
from aigc_jax.vae.likelihood import importance_sampled_nll, log_weights
from aigc_jax.vae.losses import bernoulli_nll, gaussian_log_density, kl_to_standard_normal
from aigc_jax.vae.networks import mlp
from aigc_jax.vae.step import (
    Info,
    Networks,
    State,
    binarise,
    elbo_terms,
    init,
    reparameterise,
    sample,
    step,
)

__all__ = [
    "TEXTBOOK",
    "Config",
    "Info",
    "Networks",
    "State",
    "bernoulli_nll",
    "binarise",
    "elbo_terms",
    "gaussian_log_density",
    "heldout_elbo",
    "heldout_nll",
    "importance_sampled_nll",
    "init",
    "kl_to_standard_normal",
    "log_weights",
    "make",
    "mlp",
    "networks_of",
    "reparameterise",
    "sample",
    "step",
]
