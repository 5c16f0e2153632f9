"""Encoders and decoders, a file for each architecture, as pure functions."""

from aigc_jax.vae.networks.common import Context, one_layer
from aigc_jax.vae.networks.convolutional import convolutional
from aigc_jax.vae.networks.ladder import ladder
from aigc_jax.vae.networks.mlp import mlp

__all__ = ["Context", "convolutional", "ladder", "mlp", "one_layer"]
