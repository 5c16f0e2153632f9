"""Transformers: `make(Config(vocabulary_size))` builds the algorithm; `step` is its update."""

from aigc_jax.optim import State
from aigc_jax.transformer.architecture import (
    LLAMA_BLOCKS,
    TEXTBOOK_BLOCKS,
    Architecture,
    Positions,
)
from aigc_jax.transformer.bound import Bound, heldout_nelbo
from aigc_jax.transformer.config import Config, Translator, make, optimizer
from aigc_jax.transformer.evaluate import documents_nll, heldout_nll, mean_nll
from aigc_jax.transformer.losses import Losses, in_chunks, next_token_nll, regularised_nll
from aigc_jax.transformer.masked import masked_step, nelbo
from aigc_jax.transformer.masking import MaskedBatch, all_maskable, diffusion, maskgit
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
from aigc_jax.transformer.presets import (
    CHAR,
    DATES,
    DEFAULT,
    GPT2,
    LLAMA_SMALL,
    MASKED,
    NANO,
    PRESETS,
    TEXTBOOK,
    TINY_MT,
    TRANSLATORS,
    char,
    gpt2,
    llama_small,
    nano,
    textbook,
    tiny_mt,
)
from aigc_jax.transformer.step import init, step, token_losses
from aigc_jax.transformer.stream import complete, sample, stream, translate
from aigc_jax.transformer.unmasking import predictor, unmask, unmask_at_random

__all__ = [
    "CHAR",
    "DATES",
    "DEFAULT",
    "GPT2",
    "LLAMA_BLOCKS",
    "LLAMA_SMALL",
    "MASKED",
    "NANO",
    "PRESETS",
    "TEXTBOOK",
    "TEXTBOOK_BLOCKS",
    "TINY_MT",
    "TRANSLATORS",
    "Architecture",
    "Batch",
    "Bound",
    "Cache",
    "Config",
    "Info",
    "Losses",
    "MaskedBatch",
    "Networks",
    "Objective",
    "Positions",
    "Source",
    "State",
    "Translator",
    "adamw",
    "all_maskable",
    "block_matrices",
    "char",
    "complete",
    "diffusion",
    "documents_nll",
    "extender",
    "gpt2",
    "heldout_nelbo",
    "heldout_nll",
    "in_chunks",
    "init",
    "llama_small",
    "make",
    "masked_step",
    "maskgit",
    "mean_nll",
    "muon",
    "nano",
    "nelbo",
    "networks_of",
    "next_token_nll",
    "next_tokens",
    "optimizer",
    "packed_documents",
    "padded_source",
    "plain_networks",
    "predictor",
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
    "unmask",
    "unmask_at_random",
]
