"""Decoder-only Transformers in Flax Linen, handed out as pure functions.

Dimensions: B batch, T positions, D width, N heads, V vocabulary.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Key, Params
from aigc_jax.attention import attention, causal_mask
from aigc_jax.layers import Dense, LayerNorm, gelu
from aigc_jax.transformer.step import Networks

INIT_STD = 0.02


def sinusoidal_positions(length: int, width: int) -> np.ndarray:
    """PE[t, 2i] = sin(t / 10000^(2i/D)), PE[t, 2i+1] = cos(t / 10000^(2i/D)).

    Args:
      length: T.
      width: D, even.

    Raises:
      ValueError: D is odd.

    Returns:
      float32 `[T, D]`. Source: Vaswani et al. 2017, section 3.5.
    """
    if width % 2:
        raise ValueError(f"width {width} is odd, and sinusoidal positions come in pairs")
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)[None, :]
    return (
        np.stack([np.sin(angles), np.cos(angles)], axis=-1)
        .reshape(length, width)
        .astype(np.float32)
    )


class SelfAttention(nn.Module):
    """Causal multi-head self-attention: `[B, T, D] -> [B, T, D]`, heads of size D / N."""

    heads: int
    out_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, width = x.shape
        qkv = Dense(3 * width, kernel_init=nn.initializers.normal(INIT_STD), name="qkv")(x)
        query, key, value = jnp.split(qkv, 3, axis=-1)

        def split_heads(a):
            return a.reshape(batch, length, self.heads, width // self.heads)

        mixed = attention(
            split_heads(query), split_heads(key), split_heads(value), causal_mask(length)
        )
        return Dense(width, kernel_init=self.out_init, name="out")(mixed.reshape(x.shape))


class FeedForward(nn.Module):
    """W₂ f(W₁ x): `[B, T, D] -> [B, T, D]` through 4 D."""

    activation: Callable[[jax.Array], jax.Array]
    out_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        h = Dense(4 * width, kernel_init=nn.initializers.normal(INIT_STD), name="in")(x)
        return Dense(width, kernel_init=self.out_init, name="out")(self.activation(h))


class PreNormBlock(nn.Module):
    """x + Attention(LN(x)), then x + FFN(LN(x)) with GELU, as in GPT-2."""

    heads: int
    layers: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # The residual stream sums 2 L branches; this keeps its variance at initialisation
        # independent of L.
        out_init = nn.initializers.normal(INIT_STD / (2 * self.layers) ** 0.5)
        x = x + SelfAttention(self.heads, out_init)(LayerNorm()(x))
        return x + FeedForward(gelu, out_init)(LayerNorm()(x))


class PostNormBlock(nn.Module):
    """LN(x + Attention(x)), then LN(x + FFN(x)) with ReLU, as in Vaswani et al. 2017."""

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        out_init = nn.initializers.normal(INIT_STD)
        x = LayerNorm()(x + SelfAttention(self.heads, out_init)(x))
        return LayerNorm()(x + FeedForward(nn.relu, out_init)(x))


class NanoTransformer(nn.Module):
    """Learned positions, pre-norm blocks, tied output: tokens [B, T] → logits [B, T, V]."""

    vocabulary_size: int
    context: int
    layers: int
    heads: int
    width: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        embed = nn.Embed(
            self.vocabulary_size, self.width, embedding_init=nn.initializers.normal(INIT_STD)
        )
        table = self.param(
            "positions", nn.initializers.normal(INIT_STD), (self.context, self.width)
        )
        x = embed(tokens) + table[None, : tokens.shape[1]]
        for _ in range(self.layers):
            x = PreNormBlock(self.heads, self.layers)(x)
        return embed.attend(LayerNorm()(x))


class TextbookTransformer(nn.Module):
    """The blocks of Vaswani et al. 2017, decoder only: tokens [B, T] → logits [B, T, V].

    Embeddings times √D plus sinusoidal positions, post-norm blocks with ReLU, a linear output of
    its own.
    """

    vocabulary_size: int
    context: int
    layers: int
    heads: int
    width: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        embedding_init = nn.initializers.normal(self.width**-0.5)
        embed = nn.Embed(self.vocabulary_size, self.width, embedding_init=embedding_init)
        positions = jnp.asarray(sinusoidal_positions(self.context, self.width))
        x = embed(tokens) * self.width**0.5 + positions[None, : tokens.shape[1]]
        for _ in range(self.layers):
            x = PostNormBlock(self.heads)(x)
        return Dense(
            self.vocabulary_size, kernel_init=nn.initializers.normal(INIT_STD), name="logits"
        )(x)


def decoder(
    module: Callable[..., Any],
    vocabulary_size: int,
    context: int = 64,
    layers: int = 4,
    heads: int = 4,
    width: int = 128,
) -> Networks:
    """A decoder-only Transformer as pure functions.

    Args:
      module: `NanoTransformer` or `TextbookTransformer`.
      vocabulary_size: V.
      context: the greatest T.
      layers, heads, width: the number of blocks, N, and D, a multiple of N.

    Raises:
      ValueError: the width is not a multiple of the number of heads.
    """
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of {heads} heads")
    net = module(vocabulary_size, context, layers, heads, width)

    def init(key: Key) -> Params:
        return net.init(key, jnp.zeros((1, context), jnp.int32))

    return Networks(init, net.apply, vocabulary_size, context)
