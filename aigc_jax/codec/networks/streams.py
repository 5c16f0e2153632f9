"""A Transformer that reads and writes several tokens at each step: one of each stage's sequence.

Dimensions: B examples, R sequences of each, T steps, S source positions, D width, V vocabulary.
"""

from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.attention import visibility
from aigc_jax.errors import InputError
from aigc_jax.layers import Dense, dropout, rounded_once
from aigc_jax.nn.block import Memory, PositionsAndMask, fold
from aigc_jax.transformer import (
    Architecture,
    Batch,
    Cache,
    Networks,
    Positions,
    Source,
    networks_of,
)
from aigc_jax.transformer.networks.transformer import Transformer, check_encoded

# What of an `Architecture` has no effect here.
_FIXED: dict[str, Any] = {
    "positions": Positions.LEARNED,
    "window": None,
    "logit_cap": None,
    "tied": True,
    "scaled_embedding": False,
}


class Streams(Transformer):
    """x_t = Σ_r E[token_rt] + p_t → blocks → W_r h_t, the state of sequence r.

    The blocks, and an encoder where there is one, are a `Transformer`'s, whose methods fill a cache
    with what the encoder says.

    Source: Copet et al. 2023 (MusicGen), https://arxiv.org/abs/2306.05284, section 2.2; logits by
    the one embedding, whose tokens of different stages are different.
    """

    sequences: int

    def setup(self):
        super().setup()
        wide = self.sequences * self.config.width
        self.apart = Dense(wide, False, nn.initializers.glorot_uniform())

    def _together(self, tokens: jax.Array, positions: jax.Array, keys: Keys | None) -> jax.Array:
        """Tokens `[B R, T]` → `[B, T, D]`."""
        c = self.config
        x = self.embedding(tokens).reshape(-1, self.sequences, tokens.shape[1], c.width).sum(1)
        x = x + jnp.asarray(self.positions)[positions]
        return dropout(x.astype(c.dtype), keys, c.dropout)

    def _apart(self, h: jax.Array) -> jax.Array:
        """`[B, T, D]` → `[B R, T, D]`."""
        batch, length, width = h.shape
        each = self.apart(h).reshape(batch, length, self.sequences, width)
        return each.swapaxes(1, 2).reshape(-1, length, width)

    def hidden(self, batch: Batch, keys: Keys | None) -> jax.Array:
        """The states of all steps, which see themselves, the ones before and the source."""
        tokens, own = batch.inputs, None if keys is None else keys[:: self.sequences]
        memory = None
        if (source := _of_examples(batch.source, self.sequences)) is not None:
            present = source.segments > 0
            memory = Memory(self.encode(source, fold(own, 0)), present[:, None, None])
        order = jnp.arange(tokens.shape[1])[None]
        x = self._together(tokens, order, fold(own, 1))
        where = PositionsAndMask(order, None, True)
        return self._apart(self.decoder(x, where, memory, None, fold(own, 2))[0])

    def further(
        self, tokens: jax.Array, positions: jax.Array, cache: Cache
    ) -> tuple[jax.Array, Cache]:
        """The states of further steps, which see those in the cache and join them."""
        places, layers = positions[:: self.sequences], cache.layers
        slots = (layers if self.config.scan else layers[0]).key.shape[-2]
        seen = visibility(places, jnp.arange(slots)[None])
        memory = None if cache.source is None else Memory(None, cache.source)
        x = self._together(tokens, places, None)
        h, layers = self.decoder(x, PositionsAndMask(places, seen), memory, layers)
        return self._apart(h), cache._replace(layers=layers)

    def unembed(self, h: jax.Array) -> jax.Array:
        """Logits, float32 `[..., V]`."""
        table = self.embedding.embedding.astype(h.dtype)
        return rounded_once(partial(jnp.einsum, "...d,vd->...v"), h, table, jnp.float32)

    def unembed_own(self, h: jax.Array, count: int) -> jax.Array:
        """Logits of sequence r's own tokens, the `count` from r `count` on: `[B R, T, count]`."""
        table = self.embedding.embedding[: self.sequences * count].astype(h.dtype)
        table = table.reshape(self.sequences, count, -1)
        rows = h.reshape(-1, self.sequences, *h.shape[1:])
        own = rounded_once(partial(jnp.einsum, "brtd,rkd->brtk"), rows, table, jnp.float32)
        return own.reshape(*h.shape[:-1], count)


@lru_cache(maxsize=16)
def streams(config: Architecture, sequences: int) -> Networks:
    """The `Networks` of `Streams`: an example's R sequences are neighbouring rows of a batch.

    Args:
      config: sizes; positions are learned, the output layer is the embedding, and there is no
        window. Sources, for an encoder, are of one segment, and the same in an example's rows.
      sequences: R.

    Raises:
      InputError: the config says otherwise.
    """
    if wrong := [name for name, value in _FIXED.items() if getattr(config, name) != value]:
        fixed = getattr(_FIXED[wrong[0]], "name", _FIXED[wrong[0]])
        raise InputError(
            f"{wrong[0]} must be {fixed} where several sequences are read side by side"
        )
    net = Streams(config, sequences)
    plain = networks_of(config)  # whose cache is that of an example here
    apply: Any = net.apply

    def init(key: Key) -> Params:
        tokens = jnp.zeros((sequences, 1), jnp.int32)
        source = Source(tokens, tokens + 1) if config.encoder_layers else None
        return net.init(key, Batch(tokens, tokens, tokens, source=source))

    def hidden(params: Params, batch: Batch, keys: Keys | None = None) -> jax.Array:
        for name in ("segments", "positions", "prefix"):
            if getattr(batch, name) is not None:
                raise InputError(f"{name} must be None: several sequences are read from the left")
        check_encoded(config, batch.source)
        return apply(params, batch, keys, method="hidden")

    def logits(params: Params, states: jax.Array) -> jax.Array:
        return apply(params, states, method="unembed")

    def own_logits(params: Params, states: jax.Array, count: int) -> jax.Array:
        return apply(params, states, count, method="unembed_own")

    def start(params: Params, rows: int, length: int, source: Source | None = None) -> Cache:
        return plain.start(params, rows // sequences, length, _of_examples(source, sequences))

    def extend(
        params: Params, cache: Cache, tokens: jax.Array, positions: jax.Array, prefix: Any = None
    ) -> tuple[jax.Array, Cache]:
        if prefix is not None:
            raise InputError("prefix must be None: several sequences are read from the left")
        return apply(params, tokens, positions, cache, method="further")

    sizes = config.vocabulary_size, config.context
    return Networks(init, hidden, logits, start, plain.grow, extend, *sizes, own_logits)


def _of_examples(source: Source | None, sequences: int) -> Source | None:
    """One row for each example, of the equal ones of its R sequences."""
    return jax.tree.map(lambda x: x[::sequences], source)
