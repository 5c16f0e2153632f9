"""Transformers in Flax Linen, as pure functions."""

from aigc_jax.transformer.networks.transformer import networks_of, sinusoidal_positions

__all__ = ["networks_of", "sinusoidal_positions"]
