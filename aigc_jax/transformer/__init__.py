"""Transformers: `make(Config(vocabulary_size))` gives the algorithm, and `step` is its update."""

from aigc_jax.optim import State
from aigc_jax.transformer.architecture import LLAMA, TEXTBOOK, Architecture, Positions
from aigc_jax.transformer.config import (
    Config,
    Translator,
    char,
    gpt2,
    llama_small,
    make,
    nano,
    optimizer,
    textbook,
    tiny_mt,
)
from aigc_jax.transformer.evaluate import documents_nll, heldout_nll, mean_nll
from aigc_jax.transformer.losses import Losses, in_chunks, next_token_nll, regularised_nll
from aigc_jax.transformer.model import (
    Batch,
    Cache,
    Info,
    Networks,
    Objective,
    Source,
    extender,
    next_tokens,
    packed_documents,
    padded_source,
)
from aigc_jax.transformer.networks import networks_of, sinusoidal_positions
from aigc_jax.transformer.optimisers import adamw, block_matrices, muon, projections
from aigc_jax.transformer.plain import plain_networks
from aigc_jax.transformer.step import init, step, token_losses
from aigc_jax.transformer.stream import complete, sample, stream, translate

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
    "Translator",
    "adamw",
    "block_matrices",
    "char",
    "complete",
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
    "padded_source",
    "plain_networks",
    "projections",
    "regularised_nll",
    "sample",
    "sinusoidal_positions",
    "step",
    "stream",
    "textbook",
    "tiny_mt",
    "token_losses",
    "translate",
]
