"""What a Transformer is built of: sizes, and the choices that its variants differ in."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax.layers import LayerNorm, RMSNorm, gelu


class Positions(Enum):
    """How a Transformer knows the order of its tokens."""

    LEARNED = "a vector of each position, added to the embedding"
    SINUSOIDAL = "sines and cosines, added to the embedding"
    ROTARY = "queries and keys rotated by an angle for each position"


@dataclass(frozen=True)
class Architecture:
    """A decoder, or with `encoder_layers` an encoder and a decoder. The defaults are GPT-2's.

    Attributes:
      vocabulary_size: V.
      context: T, the greatest number of tokens that the decoder sees at once.
      layers: blocks of the decoder.
      heads: N, of queries.
      width: D.
      encoder_layers: blocks of the encoder, which sees its tokens both ways; 0 for none.
      source_context: the greatest number of tokens that the encoder sees.
      num_kv_heads: K, heads of keys and values, a divisor of N; None for N.
      hidden: of the feed-forward layer; None for 4 D.
      positions: see `Positions`.
      rotary_base: of rotary positions' wavelengths.
      norm: the module of a normalisation, called without arguments.
      post_norm: normalise sums, as Vaswani et al. 2017 do, in place of what enters a layer.
      activation: f of the feed-forward layer.
      gated: W₂ (f(W₁ x) ⊙ W₃ x) in place of W₂ f(W₁ x).
      bias: whether linear layers have one.
      query_key_norm: normalise queries and keys, head by head.
      window: how many positions a query sees at most, its own included; None for all.
      score_cap: bounds attention's scores, see `attention.soft_cap`; None for no bound.
      logit_cap: bounds the logits likewise.
      tied: the output layer is the embedding.
      scaled_embedding: embeddings are multiplied by √D, and begin at N(0, 1 / D).
      dropout: p, of embeddings, attention's weights and what a layer adds.
      dtype: of the computation; parameters, softmax and logits are float32.
      scan: one program for all blocks, whose parameters are stacked: compiles faster.
      remat: recompute each block in the backward pass: less memory, a third more work.
    """

    vocabulary_size: int
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    encoder_layers: int = 0
    source_context: int = 64
    num_kv_heads: int | None = None
    hidden: int | None = None
    positions: Positions = Positions.LEARNED
    rotary_base: float = 10_000.0
    norm: Callable[..., Any] = LayerNorm
    post_norm: bool = False
    activation: Callable[[jax.Array], jax.Array] = gelu
    gated: bool = False
    bias: bool = True
    query_key_norm: bool = False
    window: int | None = None
    score_cap: float | None = None
    logit_cap: float | None = None
    tied: bool = True
    scaled_embedding: bool = False
    dropout: float = 0.0
    dtype: Any = jnp.float32
    scan: bool = False
    remat: bool = False

    def __post_init__(self):
        """Refuses sizes that do not fit each other.

        Raises:
          ValueError: says which.
        """
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"{self.heads} heads are not a multiple of num_kv_heads={self.kv_heads}"
            )
        if self.positions is Positions.ROTARY and self.head_size % 2:
            raise ValueError(f"rotary positions need heads of an even size, got {self.head_size}")
        if self.positions is Positions.SINUSOIDAL and self.width % 2:
            raise ValueError(f"sinusoidal positions need an even width, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.window is not None and self.window < 1:
            raise ValueError(f"window must be at least 1, got {self.window}")

    @property
    def head_size(self) -> int:
        """H = D / N."""
        return self.width // self.heads

    @property
    def kv_heads(self) -> int:
        """K: `num_kv_heads`, or N where that is None."""
        return self.num_kv_heads or self.heads

    @property
    def hidden_size(self) -> int:
        """Of the feed-forward layer."""
        return self.hidden or 4 * self.width


TEXTBOOK: dict[str, Any] = {
    "positions": Positions.SINUSOIDAL,
    "post_norm": True,
    "activation": jax.nn.relu,
    "tied": False,
    "scaled_embedding": True,
}
"""The blocks of Vaswani et al. 2017, which are the source article's."""

LLAMA: dict[str, Any] = {
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
