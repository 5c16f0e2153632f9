"""Discrete latents: VQ-VAE and finite scalar quantisation. `make(VQ)` builds the algorithm."""

from aigc_jax.vq.codebook import vector_quantiser
from aigc_jax.vq.coding import decode_codes, encode_images, reconstruct, sample
from aigc_jax.vq.config import (
    FSQ,
    PRESETS,
    VQ,
    Codebook,
    Config,
    Convolutional,
    FiniteScalar,
    make,
    networks_of,
    quantiser_of,
)
from aigc_jax.vq.evaluate import code_perplexity, code_usage, heldout_metrics
from aigc_jax.vq.fsq import finite_scalar_quantiser
from aigc_jax.vq.model import DiscreteNetworks, Info, Quantised, Quantiser, State, straight_through
from aigc_jax.vq.networks import convolutional
from aigc_jax.vq.step import init, step

__all__ = [
    "FSQ",
    "PRESETS",
    "VQ",
    "Codebook",
    "Config",
    "Convolutional",
    "DiscreteNetworks",
    "FiniteScalar",
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
    "heldout_metrics",
    "init",
    "make",
    "networks_of",
    "quantiser_of",
    "reconstruct",
    "sample",
    "step",
    "straight_through",
    "vector_quantiser",
]
