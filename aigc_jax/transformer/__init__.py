"""Transformers. `make(Config(vocabulary_size))` is the front door; `step` is the algorithm."""

from aigc_jax.transformer.architecture import LLAMA, TEXTBOOK, Architecture, Positions
from aigc_jax.transformer.config import (
    Config,
    char,
    gpt2,
    llama_small,
    make,
    nano,
    optimizer,
    textbook,
    tiny_mt,
)
from aigc_jax.transformer.decode import extender, sample
from aigc_jax.transformer.evaluate import documents_nll, heldout_nll, mean_nll
from aigc_jax.transformer.losses import Losses, in_chunks, next_token_nll, regularised_nll
from aigc_jax.transformer.networks import networks_of, sinusoidal_positions
from aigc_jax.transformer.optimisers import adamw, block_matrices, muon, projections
from aigc_jax.transformer.plain import plain_networks
from aigc_jax.transformer.step import (
    Batch,
    Cache,
    Info,
    Networks,
    Objective,
    Source,
    State,
    init,
    next_tokens,
    packed_documents,
    step,
    token_losses,
)

__all__ = [
    "LLAMA",
    "TEXTBOOK",
    "Architecture",
    "Batch",
    "Cache",
    "Config",
    "Info",
    "Losses",
    "Networks",
    "Objective",
    "Positions",
    "Source",
    "State",
    "adamw",
    "block_matrices",
    "char",
    "documents_nll",
    "extender",
    "gpt2",
    "heldout_nll",
    "in_chunks",
    "init",
    "llama_small",
    "make",
    "mean_nll",
    "muon",
    "nano",
    "networks_of",
    "next_token_nll",
    "next_tokens",
    "optimizer",
    "packed_documents",
    "plain_networks",
    "projections",
    "regularised_nll",
    "sample",
    "sinusoidal_positions",
    "step",
    "textbook",
    "tiny_mt",
    "token_losses",
]
