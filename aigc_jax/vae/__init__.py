"""Variational autoencoders. `make(Config())` is the front door; `step` is the algorithm."""

from aigc_jax.density import bernoulli_nll, gaussian_log_density
from aigc_jax.image_batch import Batch
from aigc_jax.likelihoods import (
    BERNOULLI,
    CONTINUOUS_BERNOULLI,
    GAUSSIAN,
    LOGISTIC_MIXTURE,
    Likelihood,
    binarise,
    continuous_bernoulli_mean,
    continuous_bernoulli_nll,
    dequantise,
    gaussian,
    gaussian_nll,
    logistic_mixture,
)
from aigc_jax.logistic import logistic_log_mass
from aigc_jax.optim import State
from aigc_jax.vae.config import CONV, GATED, IWAE, LADDER, TEXTBOOK, Config, make, networks_of
from aigc_jax.vae.evaluate import (
    Usage,
    active_units,
    bits_per_dim,
    heldout_elbo,
    heldout_nll,
    latent_usage,
)
from aigc_jax.vae.losses import gaussian_kl, kl_to_standard_normal
from aigc_jax.vae.marginal import importance_sampled_nll, log_weights
from aigc_jax.vae.model import Draw, Gaussian, Networks, reparameterise
from aigc_jax.vae.networks import Context, convolutional, ladder, mlp, one_layer
from aigc_jax.vae.objectives import Terms, dreg, elbo, iwae
from aigc_jax.vae.priors import STANDARD_NORMAL, Prior, mixture_log_density, vamp_prior
from aigc_jax.vae.step import Info, init, sample, step

__all__ = [
    "BERNOULLI",
    "CONTINUOUS_BERNOULLI",
    "CONV",
    "GATED",
    "GAUSSIAN",
    "IWAE",
    "LADDER",
    "LOGISTIC_MIXTURE",
    "STANDARD_NORMAL",
    "TEXTBOOK",
    "Batch",
    "Config",
    "Context",
    "Draw",
    "Gaussian",
    "Info",
    "Likelihood",
    "Networks",
    "Prior",
    "State",
    "Terms",
    "Usage",
    "active_units",
    "bernoulli_nll",
    "binarise",
    "bits_per_dim",
    "continuous_bernoulli_mean",
    "continuous_bernoulli_nll",
    "convolutional",
    "dequantise",
    "dreg",
    "elbo",
    "gaussian",
    "gaussian_kl",
    "gaussian_log_density",
    "gaussian_nll",
    "heldout_elbo",
    "heldout_nll",
    "importance_sampled_nll",
    "init",
    "iwae",
    "kl_to_standard_normal",
    "ladder",
    "latent_usage",
    "log_weights",
    "logistic_log_mass",
    "logistic_mixture",
    "make",
    "mixture_log_density",
    "mlp",
    "networks_of",
    "one_layer",
    "reparameterise",
    "sample",
    "step",
    "vamp_prior",
]
