"""Discrete latents: VQ-VAE and finite scalar quantisation. `make(VQ)` is the front door."""

from aigc_jax.vae.discrete.codebook import Codebook, vector_quantiser
from aigc_jax.vae.discrete.coding import decode_codes, encode_images, reconstruct, sample
from aigc_jax.vae.discrete.config import FSQ, VQ, Config, make, networks_of
from aigc_jax.vae.discrete.evaluate import code_perplexity, code_usage, heldout_figures
from aigc_jax.vae.discrete.fsq import finite_scalar_quantiser
from aigc_jax.vae.discrete.model import DiscreteNetworks, Quantised, Quantiser, straight_through
from aigc_jax.vae.discrete.networks import convolutional
from aigc_jax.vae.discrete.step import Info, State, init, step

__all__ = [
    "FSQ",
    "VQ",
    "Codebook",
    "Config",
    "DiscreteNetworks",
    "Info",
    "Quantised",
    "Quantiser",
    "State",
    "code_perplexity",
    "code_usage",
    "convolutional",
    "decode_codes",
    "encode_images",
    "finite_scalar_quantiser",
    "heldout_figures",
    "init",
    "make",
    "networks_of",
    "reconstruct",
    "sample",
    "step",
    "straight_through",
    "vector_quantiser",
]
