"""Transformers, a decoder or an encoder and a decoder, as pure functions.

Dimensions: B batch, T positions, S source positions, D width, V vocabulary.
"""

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.attention import same_segment, soft_cap, visibility
from aigc_jax.errors import InputError
from aigc_jax.layers import Dense, dropout, rounded_once
from aigc_jax.nn.block import INIT_STD, KVCache, Memory, PositionsAndMask, Stack, fold
from aigc_jax.transformer.architecture import Architecture, Positions
from aigc_jax.transformer.model import Batch, Cache, Networks, Source, check_source


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


def on_grid(along: Sequence[jax.Array]) -> jax.Array:
    """Sums of a vector for each axis's index, v_ij… = a_i + b_j + …, row by row: `[Π sides, D]`.

    Args:
      along: of each axis, `[side, D]`.
    """
    total = along[0]
    for vectors in along[1:]:
        total = (total[:, None] + vectors[None]).reshape(-1, vectors.shape[-1])
    return total


class Transformer(nn.Module):
    """Embedding, stacks of blocks, output layer; `__call__` only exists to make all parameters."""

    config: Architecture

    def setup(self):
        c = self.config
        std = c.width**-0.5 if c.scaled_embedding else INIT_STD
        initial = nn.initializers.normal(std)
        self.embedding = nn.Embed(c.vocabulary_size, c.width, embedding_init=initial)
        if c.positions is Positions.LEARNED:
            places = nn.initializers.normal(INIT_STD)
            self.positions = self._learned(places)
            if c.encoder_layers:
                self.source_positions = self.param(
                    "source_positions", places, (c.source_context, c.width), jnp.float32
                )
        if c.encoder_layers:
            self.encoder = Stack(c, c.encoder_layers)
        self.decoder = Stack(c, c.layers)
        if not c.tied:
            small = nn.initializers.normal(INIT_STD)
            self.output = Dense(c.vocabulary_size, c.bias, small, out_dtype=jnp.float32)

    def __call__(self, batch: Batch) -> jax.Array:
        return self.unembed(self.hidden(batch, None))

    def _learned(self, initial: nn.initializers.Initializer) -> jax.Array:
        """Vectors of all positions `[context, D]`: those before the grid have one of their own."""
        c = self.config
        on_axes = [
            self.param(f"positions_{axis}", initial, (side, c.width), jnp.float32)
            for axis, side in enumerate(c.axes)
        ]
        apart = c.context - (math.prod(c.axes) if c.axes else 0)
        own = [self.param("positions", initial, (apart, c.width), jnp.float32)] if apart else []
        return jnp.concatenate([*own, *([on_grid(on_axes)] if on_axes else [])])

    def hidden(self, batch: Batch, keys: Keys | None) -> jax.Array:
        """The decoder's states `[B, T, D]` at all positions of a batch."""
        c = self.config
        memory = None
        if batch.source is not None:
            states = self.encode(batch.source, fold(keys, 0))
            own = batch.segments
            if own is None:
                own = jnp.ones(batch.inputs.shape, jnp.int32)
            memory = Memory(states, same_segment(own, batch.source.segments))
        length = batch.inputs.shape[1]
        where = _causal(length, batch.positions, batch.segments, c.window, batch.prefix)
        x = self._embed(batch.inputs, batch.positions, "positions", fold(keys, 1))
        return self.decoder(x, where, memory, None, fold(keys, 2))[0]

    def encode(self, source: Source, keys: Keys | None = None) -> jax.Array:
        """The encoder's states `[B, S, D]`, bidirectional within a segment."""
        positions = source.positions
        if positions is None:
            positions = jnp.arange(source.tokens.shape[1])[None]
        where = PositionsAndMask(positions, same_segment(source.segments, source.segments))
        x = self._embed(source.tokens, source.positions, "source_positions", fold(keys, 0))
        return self.encoder(x, where, None, None, fold(keys, 1))[0]

    def extend(
        self,
        tokens: jax.Array,
        positions: jax.Array,
        cache: Cache,
        prefix: jax.Array | None = None,
        states: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        """States of further tokens `[B, T, D]`, which see those in the cache and join them."""
        c, layers = self.config, cache.layers
        slots = (layers if c.scan else layers[0]).key.shape[-2]
        seen = visibility(positions, jnp.arange(slots)[None], window=c.window, prefix=prefix)
        memory = None if cache.source is None else Memory(states, cache.source)
        x = self._embed(tokens, positions, "positions", None)
        h, layers = self.decoder(x, PositionsAndMask(positions, seen), memory, layers)
        return h, cache._replace(layers=layers)

    def unembed(self, h: jax.Array) -> jax.Array:
        """Logits, float32 `[..., V]`."""
        c = self.config
        if c.tied:
            table = self.embedding.embedding.astype(h.dtype)
            by_row = partial(jnp.einsum, "...d,vd->...v")
            if h.dtype == jnp.float32:
                logits = by_row(h, table)
            else:
                logits = rounded_once(by_row, h, table, jnp.float32)
        else:
            logits = self.output(h)
        return logits if c.logit_cap is None else soft_cap(logits, c.logit_cap)

    def _embed(
        self, tokens: jax.Array, positions: jax.Array | None, table: str, keys: Keys | None
    ) -> jax.Array:
        c, length = self.config, tokens.shape[1]
        x = self.embedding(tokens)
        if c.scaled_embedding:
            x = x * c.width**0.5
        if c.positions is not Positions.ROTARY:
            x = x + self._places(table, length, positions)
        return dropout(x.astype(c.dtype), keys, c.dropout)

    def _places(self, name: str, length: int, positions: jax.Array | None) -> jax.Array:
        """Vectors of the positions, `[B, T, D]`; a slice where they are 0 … T − 1.

        Raises:
          ValueError: there are more than the table has.
        """
        c = self.config
        limit, kind = c.context, "context"
        if name != "positions":
            limit, kind = c.source_context, "source_context"
        if length > limit:
            raise ValueError(f"{length} tokens are more than {kind}={limit} allows")
        if c.positions is Positions.LEARNED:
            table = jnp.asarray(getattr(self, name))
        else:
            table = jnp.asarray(sinusoidal_positions(limit, c.width))
        return table[None, :length] if positions is None else table[positions]


def _causal(
    length: int,
    positions: jax.Array | None,
    segments: jax.Array | None,
    window: int | None,
    prefix: jax.Array | None,
) -> PositionsAndMask:
    """Causal attention within the segments of a batch, without a cache."""
    order = jnp.arange(length)[None]
    causal = prefix is None  # which attention has an argument for
    mask = None if causal else visibility(order, order, window=window, prefix=prefix)
    if segments is not None:
        # The order within a row is that within a sequence.
        own = same_segment(segments, segments)
        mask = own if mask is None else mask & own
    seen_back = window if causal else None
    return PositionsAndMask(order if positions is None else positions, mask, causal, seen_back)


def check_encoded(config: Architecture, source: Source | None) -> None:
    """Refuses a source that is missing, superfluous, or of what the encoder cannot read.

    Raises:
      InputError: says which.
    """
    if source is not None and not config.encoder_layers:
        raise InputError("source is for models with an encoder, and this one has encoder_layers=0")
    if config.encoder_layers:
        check_source(source, config.vocabulary_size)


@lru_cache(maxsize=16)
def networks_of(config: Architecture) -> Networks:
    """The Transformer that `config` describes: the same, compiled once, for equal configs."""
    net = Transformer(config)
    apply: Any = net.apply  # Linen's types leave open what a method returns

    def init(key: Key) -> Params:
        tokens = jnp.zeros((1, 1), jnp.int32)
        source = Source(tokens, tokens + 1) if config.encoder_layers else None
        return net.init(key, Batch(tokens, tokens, tokens, source=source))

    def hidden(params: Params, batch: Batch, keys: Keys | None = None) -> jax.Array:
        check_encoded(config, batch.source)
        return apply(params, batch, keys, method="hidden")

    def logits(params: Params, states: jax.Array) -> jax.Array:
        return apply(params, states, method="unembed")

    def start(params: Params, rows: int, length: int, source: Source | None = None) -> Cache:
        check_encoded(config, source)
        # The last token of a row is not read. Rotary positions come from no table.
        if length > config.context + 1 and config.positions is not Positions.ROTARY:
            raise ValueError(f"rows of {length} tokens do not fit context={config.context}")
        empty = _empty(config, rows, length, 0 if source is None else source.tokens.shape[1])
        if source is None:
            return empty
        states = apply(params, source, method="encode")
        cache = empty._replace(source=(source.segments > 0)[:, None, None])
        # One pass keeps the keys and values of the source; its token is in slot 0, where the
        # first one of the text will overwrite it.
        nothing = jnp.zeros((rows, 1), jnp.int32)
        return apply(params, nothing, nothing, cache, None, states, method="extend")[1]

    def extend(
        params: Params,
        cache: Cache,
        tokens: jax.Array,
        positions: jax.Array,
        prefix: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        return apply(params, tokens, positions, cache, prefix, method="extend")

    sizes = (config.vocabulary_size, config.context)
    return Networks(init, hidden, logits, start, _grow, extend, *sizes)


def _empty(config: Architecture, rows: int, length: int, source: int) -> Cache:
    """Slots for `length` tokens in each row, and for the source's."""

    def slots(count: int) -> Any:
        layers = (config.layers,) if config.scan else ()
        shape = (rows, *layers, config.kv_heads, count, config.head_size)
        return jnp.zeros(shape, config.dtype)

    def layer() -> KVCache:
        empty = KVCache(slots(length), slots(length))
        if source:
            empty = empty._replace(memory_key=slots(source), memory_value=slots(source))
        return empty

    return Cache(layer() if config.scan else tuple(layer() for _ in range(config.layers)))


def _grow(cache: Cache, length: int) -> Cache:
    """Empty slots added behind those that exist, `length` in total."""

    def longer(slots: jax.Array) -> jax.Array:
        more = [(0, 0)] * slots.ndim
        more[-2] = (0, length - slots.shape[-2])
        return jnp.pad(slots, more)

    def grown(layer: KVCache) -> KVCache:
        return layer._replace(key=longer(layer.key), value=longer(layer.value))

    layers = jax.tree.map(grown, cache.layers, is_leaf=lambda x: isinstance(x, KVCache))
    return cache._replace(layers=layers)
