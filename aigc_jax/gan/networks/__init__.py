"""Generators and discriminators, a file for each architecture, as pure functions."""

from aigc_jax.gan.networks.dcgan import dcgan
from aigc_jax.gan.networks.mlp import mlp
from aigc_jax.gan.networks.resnet import resnet

__all__ = ["dcgan", "mlp", "resnet"]
