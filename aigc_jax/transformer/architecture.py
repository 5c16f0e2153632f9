"""What a Transformer is built of: its blocks, and what surrounds them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax.layers import RMSNorm
from aigc_jax.nn.block_config import BlockConfig, Positions
from aigc_jax.settings import setting

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclass(frozen=True, repr=False)
class Architecture(BlockConfig):
    """A decoder, or with `encoder_layers` an encoder and a decoder. The defaults are GPT-2's.

    Attributes besides those of `BlockConfig`, whose `dropout` is of embeddings too:
      vocabulary_size: V.
      context: T, the greatest number of tokens that the decoder sees at once.
      axes: sides of a grid, row by row the last of the T positions. Learned vectors of these are
        sums of one for each side's index, as in VideoGPT; () for a vector of each position.
      layers: blocks of the decoder.
      encoder_layers: blocks of the encoder, which is bidirectional; 0 for none.
      source_context: the greatest number of tokens that the encoder sees.
      window: how many positions a query sees at most, its own included; None for all.
      logit_cap: bounds the logits as `score_cap` does the scores.
      tied: the output layer is the embedding.
      scaled_embedding: embeddings are multiplied by √D, and begin at N(0, 1 / D).
      dtype: of the computation; parameters, softmax and logits are float32.
    """

    vocabulary_size: int = 256
    context: int = setting(64, "Tokens that the model sees at once; of a target, too.", least=2)
    axes: tuple[int, ...] = ()
    layers: int = setting(4, "Transformer blocks; of the encoder too, where there is one.")
    encoder_layers: int = 0
    source_context: int = 64
    window: int | None = setting(
        None, "Tokens that a query sees at most, its own included. Default: all."
    )
    logit_cap: float | None = None
    tied: bool = True
    scaled_embedding: bool = False
    dtype: Any = setting(
        jnp.float32, "Type of the computation, not of the parameters.", choices=DTYPES
    )

    def __post_init__(self):
        """Refuses sizes that do not fit each other.

        Raises:
          ValueError: says which.
        """
        super().__post_init__()
        if self.window is not None and self.window < 1:
            raise ValueError(f"window must be at least 1, got {self.window}")
        if self.axes and not 0 < math.prod(self.axes) <= self.context:
            raise ValueError(f"a grid of {self.axes} does not fit into {self.context} tokens")
        if self.axes and self.positions is not Positions.LEARNED:
            raise ValueError("positions on axes are learned ones")


TEXTBOOK_BLOCKS: dict[str, Any] = {
    "positions": Positions.SINUSOIDAL,
    "post_norm": True,
    "activation": jax.nn.relu,
    "tied": False,
    "scaled_embedding": True,
}
"""The blocks of Vaswani et al. 2017, which are the source article's."""

LLAMA_BLOCKS: dict[str, Any] = {
    "positions": Positions.ROTARY,
    "norm": RMSNorm,
    "activation": jax.nn.silu,
    "gated": True,
    "bias": False,
    "tied": False,
}
"""Those of Llama: Touvron et al. 2023, https://arxiv.org/abs/2307.09288."""


def epsilon_norm(module: Callable[..., Any], epsilon: float) -> Callable[..., Any]:
    """A normalisation with another ε."""
    return partial(module, epsilon=epsilon)
