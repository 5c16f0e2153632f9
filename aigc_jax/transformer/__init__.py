"""Transformers. `make(Config(vocabulary_size))` is the front door; `step` is the algorithm."""

from aigc_jax.transformer.config import Config, make, networks_of, optimizer, textbook
from aigc_jax.transformer.decode import sample
from aigc_jax.transformer.evaluate import heldout_nll
from aigc_jax.transformer.losses import next_token_nll
from aigc_jax.transformer.networks import (
    NanoTransformer,
    TextbookTransformer,
    decoder,
    sinusoidal_positions,
)
from aigc_jax.transformer.step import Batch, Info, Networks, State, init, step, token_losses

__all__ = [
    "Batch",
    "Config",
    "Info",
    "NanoTransformer",
    "Networks",
    "State",
    "TextbookTransformer",
    "decoder",
    "heldout_nll",
    "init",
    "make",
    "networks_of",
    "next_token_nll",
    "optimizer",
    "sample",
    "sinusoidal_positions",
    "step",
    "textbook",
    "token_losses",
]
