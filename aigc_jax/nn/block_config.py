"""Sizes of a Transformer's block, and the choices that its variants differ in."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import jax

from aigc_jax.layers import LayerNorm, RMSNorm, gelu, gelu_tanh
from aigc_jax.settings import Settings, constant, setting


class Positions(Enum):
    """How a Transformer knows the order of its tokens."""

    LEARNED = "a vector of each position, added to the embedding"
    SINUSOIDAL = "sines and cosines, added to the embedding"
    ROTARY = "queries and keys rotated by an angle for each position"


NORMS = {"layer": LayerNorm, "rms": RMSNorm}
ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": jax.nn.relu, "silu": jax.nn.silu}


@dataclass(frozen=True, kw_only=True, repr=False)
class BlockConfig(Settings):
    """What a stack of blocks is built of. The defaults are GPT-2's.

    Attributes:
      heads: N, of queries.
      width: D.
      num_kv_heads: K, heads of keys and values, a divisor of N; None for N.
      hidden: of the feed-forward layer; None for 4 D.
      positions: see `Positions`; a block itself applies only rotary ones.
      rotary_base: of rotary positions' wavelengths.
      norm: the module of a normalisation, called without arguments.
      post_norm: normalise sums, as Vaswani et al. 2017 do, instead of the inputs of layers.
      activation: f of the feed-forward layer.
      gated: W₂ (f(W₁ x) ⊙ W₃ x) in place of W₂ f(W₁ x).
      bias: whether linear layers have one.
      query_key_norm: normalise queries and keys, head by head.
      score_cap: bounds attention's scores, see `attention.soft_cap`; None for no bound.
      dropout: p, of attention's weights and what a layer adds.
      scan: one program for all blocks, whose parameters are stacked: compiles faster.
      remat: recompute each block in the backward pass: less memory, a third more work.
    """

    heads: int = setting(4, "Attention heads in a block.")
    width: int = setting(128, "Width of the model, a multiple of the heads.")
    num_kv_heads: int | None = setting(
        None,
        "Heads of keys and values, a divisor of the heads. Default: as many.",
        formerly="key_heads",
    )
    hidden: int | None = setting(
        None, "Width of the feed-forward layers. Default: four times --width."
    )
    positions: Positions = Positions.LEARNED
    rotary_base: float = 10_000.0
    norm: Callable[..., Any] = constant(NORMS, LayerNorm)
    post_norm: bool = False
    activation: Callable[[jax.Array], jax.Array] = constant(ACTIVATIONS, gelu)
    gated: bool = False
    bias: bool = True
    query_key_norm: bool = False
    score_cap: float | None = None
    dropout: float = setting(
        0.0, "Share of activations and attention weights dropped in training.", least=0
    )
    scan: bool = setting(False, "One program for all blocks: compiles faster.")
    remat: bool = setting(False, "Recompute blocks in the backward pass: less memory.")

    def __post_init__(self):
        """Refuses sizes that do not fit each other.

        Raises:
          ValueError: says which.
        """
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"{self.heads} heads are not a multiple of {self.kv_heads} key-value heads"
            )
        if self.positions is Positions.ROTARY and self.head_size % 2:
            raise ValueError(f"rotary positions need heads of an even size, got {self.head_size}")
        if self.positions is Positions.SINUSOIDAL and self.width % 2:
            raise ValueError(f"sinusoidal positions need an even width, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

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
