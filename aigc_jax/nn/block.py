"""A Transformer's block in Flax Linen: attention, to itself and to a memory, and feed-forward.

Without a mask attention is bidirectional. With a condition, such as a time or a class,
normalisation is adaptive.

Whatever a pass needs beyond the stream x enters as arrays: the tokens' positions and what each may
attend to (`PositionsAndMask`), the keys and values of tokens before (`KVCache`), an encoder's
output (`Memory`), one key per row for dropout. A pass with a `KVCache` writes each token's keys and
values at the slot of its position, so that a pass over one token costs what one token costs.

Dimensions: B batch, T positions, S slots or source positions, D width, N query heads, K key heads,
H size of a head.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from aigc_jax.algorithm import Keys
from aigc_jax.attention import attention, cached_attention, rotate
from aigc_jax.layers import Dense, RMSNorm, dropout
from aigc_jax.nn.adaptive import AdaptiveLayerNorm
from aigc_jax.nn.block_config import BlockConfig, Positions

INIT_STD = 0.02


@struct.dataclass
class PositionsAndMask:
    """The positions of a pass's tokens, and what each of them may attend to."""

    positions: jax.Array  # int [B, T] or [1, T]
    mask: jax.Array | None  # bool [B or 1, 1, T, S]; None: everything
    # Known when it is compiled, and not in the mask: T = S, no token sees later ones, and at most
    # `window` up to itself.
    causal: bool = struct.field(pytree_node=False, default=False)
    window: int | None = struct.field(pytree_node=False, default=None)


class Memory(NamedTuple):
    """What an encoder made of the source."""

    states: jax.Array | None  # [B, S, D]; None where its keys and values are in the cache
    mask: jax.Array  # bool [B, 1, 1 or T, S]: which of them a token may attend to


class KVCache(NamedTuple):
    """Keys and values of one layer, or of all with a layer axis after B."""

    key: jax.Array  # [B, K, S, H], by head: see `cached_attention`
    value: jax.Array  # [B, K, S, H]
    memory_key: jax.Array | None = None  # of the source, likewise
    memory_value: jax.Array | None = None


def fold(keys: Keys | None, number: int | jax.Array) -> Keys | None:
    """Separate keys for a place in the network."""
    return None if keys is None else jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def _write(slots: jax.Array, new: jax.Array, positions: jax.Array) -> jax.Array:
    """`new` [B, T, K, H] at the slots `positions` [B, T] of each row of [B, K, S, H]."""
    positions = jnp.broadcast_to(positions, new.shape[:2])
    new = new.astype(slots.dtype).swapaxes(1, 2)
    return jax.vmap(lambda row, at, x: row.at[:, at].set(x))(slots, positions, new)


class Attention(nn.Module):
    """Multi-head attention of the stream to itself, or to a memory: `[B, T, D] -> [B, T, D]`."""

    config: BlockConfig
    out_init: nn.initializers.Initializer

    def _project(self, x: jax.Array, heads: tuple[int, ...], name: str) -> list[jax.Array]:
        """Several groups of heads from one product: `[B, T, heads, H]` each."""
        size = self.config.head_size
        initial = nn.initializers.normal(INIT_STD)
        y = Dense(sum(heads) * size, self.config.bias, initial, name=name)(x)
        ends = [sum(heads[: i + 1]) * size for i in range(len(heads) - 1)]
        parts = jnp.split(y, ends, axis=-1)
        return [p.reshape(*p.shape[:2], -1, size) for p in parts]

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        where: PositionsAndMask,
        memory: Memory | None,
        cache: KVCache | None,
        keys: Keys | None,
    ) -> tuple[jax.Array, KVCache | None]:
        c = self.config
        if memory is None:
            heads = (c.heads, c.kv_heads, c.kv_heads)
            query, key, value = self._project(x, heads, "qkv")
            query, key = self._placed(query, key, where)
            if cache is not None:
                key = _write(cache.key, key, where.positions)
                value = _write(cache.value, value, where.positions)
                cache = cache._replace(key=key, value=value)
            mask = where.mask
        else:
            (query,) = self._project(x, (c.heads,), "query")
            if memory.states is None:
                assert cache is not None
                assert cache.memory_key is not None
                assert cache.memory_value is not None
                key, value = cache.memory_key, cache.memory_value
            else:
                key, value = self._project(memory.states, (c.kv_heads, c.kv_heads), "memory")
                if cache is not None:
                    key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)
                    cache = cache._replace(memory_key=key, memory_value=value)
            mask = memory.mask
        if cache is None:
            order = {"causal": where.causal, "window": where.window} if memory is None else {}
            mixed = self._mixed(query, key, value, mask, order, keys)
        else:
            mixed = cached_attention(query, key, value, mask, softcap=c.score_cap)
        y = Dense(c.width, c.bias, self.out_init, name="out")(mixed.reshape(*x.shape[:2], -1))
        return dropout(y, fold(keys, 1), c.dropout), cache

    def _mixed(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        mask: jax.Array | None,
        order: dict[str, Any],
        keys: Keys | None,
    ) -> jax.Array:
        """Attention of a whole pass, in training with dropout."""
        c, drop = self.config, None
        if keys is not None and c.dropout:
            own = fold(keys, 0)

            def drop(weights, first):
                return dropout(weights, own if first is None else fold(own, first), c.dropout)

        return attention(query, key, value, mask, softcap=c.score_cap, drop=drop, **order)

    def _placed(
        self, query: jax.Array, key: jax.Array, where: PositionsAndMask
    ) -> tuple[jax.Array, jax.Array]:
        c = self.config
        if c.query_key_norm:
            query, key = RMSNorm(name="query_norm")(query), RMSNorm(name="key_norm")(key)
        if c.positions is Positions.ROTARY:
            query, key = (rotate(a, where.positions, c.rotary_base) for a in (query, key))
        return query, key


class FeedForward(nn.Module):
    """W₂ f(W₁ x), or with a gate W₂ (f(W₁ x) ⊙ W₃ x): `[B, T, D] -> [B, T, D]`.

    Source of the gate: Shazeer 2020, https://arxiv.org/abs/2002.05202.
    """

    config: BlockConfig
    out_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array, keys: Keys | None) -> jax.Array:
        c = self.config
        initial = nn.initializers.normal(INIT_STD)
        h = c.activation(Dense(c.hidden_size, c.bias, initial, name="in")(x))
        if c.gated:
            h = h * Dense(c.hidden_size, c.bias, initial, name="gate")(x)
        y = Dense(c.width, c.bias, self.out_init, name="out")(h)
        return dropout(y, keys, c.dropout)


class Block(nn.Module):
    """x + layer(norm(x)) for each of its layers; with `post_norm`, norm(x + layer(x)).

    The layers: attention, attention to the memory where there is one, feed-forward. With a
    condition c `[B, E]`, x + α(c) ⊙ layer(norm(x, c)), by `AdaptiveLayerNorm` in place of
    `config.norm`, so that a block starts as the identity.

    Attributes:
      config: see `BlockConfig`.
      layers: of the stack, which the initial scale of the residual branches depends on.
    """

    config: BlockConfig
    layers: int

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        where: PositionsAndMask,
        memory: Memory | None,
        cache: KVCache | None,
        keys: Keys | None,
        number: int | jax.Array,
        condition: jax.Array | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        c = self.config
        if condition is not None and c.post_norm:
            raise ValueError("a condition adapts the input of a layer: it needs post_norm=False")
        # The residual stream sums 2 L branches; this keeps its variance at initialisation
        # independent of L. Sums that are normalised do not grow.
        out_init = nn.initializers.normal(
            INIT_STD if c.post_norm else INIT_STD / (2 * self.layers) ** 0.5
        )
        keys = fold(keys, number)

        def residual(x, layer, name):
            if condition is not None:
                h, gate = AdaptiveLayerNorm(name=name)(x, condition)
                y, *rest = layer(h)
                return x + gate * y, *rest
            norm = c.norm(name=name)
            if c.post_norm:
                y, *rest = layer(x)
                return norm(x + y), *rest
            y, *rest = layer(norm(x))
            return x + y, *rest

        to_self = Attention(c, out_init, name="attention")
        x, cache = residual(
            x, lambda h: to_self(h, where, None, cache, fold(keys, 0)), "attention_norm"
        )
        if memory is not None:
            to_memory = Attention(c, out_init, name="memory_attention")
            before = cache
            x, cache = residual(
                x, lambda h: to_memory(h, where, memory, before, fold(keys, 1)), "memory_norm"
            )
        feed_forward = FeedForward(c, out_init, name="feed_forward")
        (x,) = residual(x, lambda h: (feed_forward(h, fold(keys, 2)),), "feed_forward_norm")
        return x, cache


class Stack(nn.Module):
    """Blocks one after another, and a last normalisation where they do not end with one.

    `cache` has leaves `[B, K, S, H]` for each layer, or with `scan` those of all as
    `[B, L, K, S, H]`.
    """

    config: BlockConfig
    layers: int

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        where: PositionsAndMask,
        memory: Memory | None = None,
        cache: Any = None,
        keys: Keys | None = None,
        condition: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        c, block = self.config, Block
        if c.remat:
            block = nn.remat(Block, prevent_cse=not c.scan)
        if c.scan:
            everywhere = nn.broadcast
            scanned = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                in_axes=(everywhere, everywhere, 1, everywhere, 0, everywhere),
                out_axes=1,
                length=self.layers,
            )
            numbers = jnp.arange(self.layers)
            x, cache = scanned(c, self.layers, name="blocks")(
                x, where, memory, cache, keys, numbers, condition
            )
        else:
            new = []
            for i in range(self.layers):
                layer = block(c, self.layers, name=f"block_{i}")
                own = None if cache is None else cache[i]
                x, own = layer(x, where, memory, own, keys, i, condition)
                new.append(own)
            cache = None if cache is None else tuple(new)
        if condition is not None:
            return AdaptiveLayerNorm(gated=False, name="norm")(x, condition)[0], cache
        return x if c.post_norm else c.norm(name="norm")(x), cache
