"""Learned codes of images, sound and video, and the prior over them."""

from aigc_jax.codec.coding import coder_of, decode, encode, reconstruct
from aigc_jax.codec.config import (
    AUDIO,
    IMAGE,
    PRESETS,
    VIDEO,
    Codec,
    Config,
    make,
    networks_of,
    quantiser_of,
)
from aigc_jax.codec.model import Coder, Critics, Info, Networks, Perception, State
from aigc_jax.codec.residual import ResidualQuantiser, residual_quantiser
from aigc_jax.codec.step import Weights, init, step

__all__ = [
    "AUDIO",
    "IMAGE",
    "PRESETS",
    "VIDEO",
    "Codec",
    "Coder",
    "Config",
    "Critics",
    "Info",
    "Networks",
    "Perception",
    "ResidualQuantiser",
    "State",
    "Weights",
    "coder_of",
    "decode",
    "encode",
    "init",
    "make",
    "networks_of",
    "quantiser_of",
    "reconstruct",
    "residual_quantiser",
    "step",
]
