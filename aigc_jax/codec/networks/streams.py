"""A Transformer that reads and writes several tokens at each step: one of each stage's sequence.

Dimensions: B examples, R sequences of each, T steps, D width, V vocabulary.
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
from aigc_jax.nn.block import INIT_STD, PositionsAndMask, Stack, fold
from aigc_jax.transformer import Architecture, Batch, Cache, Networks, Positions, networks_of

# What of an `Architecture` has no effect here.
_FIXED: dict[str, Any] = {
    "positions": Positions.LEARNED,
    "encoder_layers": 0,
    "window": None,
    "logit_cap": None,
    "tied": True,
    "scaled_embedding": False,
}


class Streams(nn.Module):
    """x_t = Σ_r E[token_rt] + p_t → blocks → W_r h_t, the state of sequence r.

    Source: Copet et al. 2023 (MusicGen), https://arxiv.org/abs/2306.05284, section 2.2; logits by
    the one embedding, whose tokens of different stages are different.
    """

    config: Architecture
    sequences: int

    def setup(self):
        c = self.config
        initial = nn.initializers.normal(INIT_STD)
        self.embedding = nn.Embed(c.vocabulary_size, c.width, embedding_init=initial)
        self.positions = self.param("positions", initial, (c.context, c.width), jnp.float32)
        self.decoder = Stack(c, c.layers)
        self.apart = Dense(self.sequences * c.width, False, nn.initializers.glorot_uniform())

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.unembed(self.hidden(tokens, None))

    def _embed(self, tokens: jax.Array, positions: jax.Array, keys: Keys | None) -> jax.Array:
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

    def hidden(self, tokens: jax.Array, keys: Keys | None) -> jax.Array:
        """The states of all steps, which see themselves and the ones before."""
        own = None if keys is None else keys[:: self.sequences]
        order = jnp.arange(tokens.shape[1])[None]
        x = self._embed(tokens, order, fold(own, 1))
        where = PositionsAndMask(order, None, True)
        return self._apart(self.decoder(x, where, None, None, fold(own, 2))[0])

    def extend(
        self, tokens: jax.Array, positions: jax.Array, cache: Cache
    ) -> tuple[jax.Array, Cache]:
        """The states of further steps, which see those in the cache and join them."""
        places, layers = positions[:: self.sequences], cache.layers
        slots = (layers if self.config.scan else layers[0]).key.shape[-2]
        seen = visibility(places, jnp.arange(slots)[None])
        x = self._embed(tokens, places, None)
        h, layers = self.decoder(x, PositionsAndMask(places, seen), None, layers)
        return self._apart(h), cache._replace(layers=layers)

    def unembed(self, h: jax.Array) -> jax.Array:
        """Logits, float32 `[..., V]`."""
        table = self.embedding.embedding.astype(h.dtype)
        return rounded_once(partial(jnp.einsum, "...d,vd->...v"), h, table, jnp.float32)


@lru_cache(maxsize=16)
def streams(config: Architecture, sequences: int) -> Networks:
    """The `Networks` of `Streams`: an example's R sequences are neighbouring rows of a batch.

    Args:
      config: sizes; positions are learned, the output layer is the embedding, and there is neither
        an encoder nor a window.
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
        return net.init(key, jnp.zeros((sequences, 1), jnp.int32))

    def hidden(params: Params, batch: Batch, keys: Keys | None = None) -> jax.Array:
        for name in ("segments", "positions", "prefix", "source"):
            if getattr(batch, name) is not None:
                raise InputError(f"{name} must be None: several sequences are read from the left")
        return apply(params, batch.inputs, keys, method="hidden")

    def logits(params: Params, states: jax.Array) -> jax.Array:
        return apply(params, states, method="unembed")

    def start(params: Params, rows: int, length: int, source: Any = None) -> Cache:
        return plain.start(params, rows // sequences, length, source)

    def extend(
        params: Params, cache: Cache, tokens: jax.Array, positions: jax.Array, prefix: Any = None
    ) -> tuple[jax.Array, Cache]:
        if prefix is not None:
            raise InputError("prefix must be None: several sequences are read from the left")
        return apply(params, tokens, positions, cache, method="extend")

    return Networks(
        init, hidden, logits, start, plain.grow, extend, config.vocabulary_size, config.context
    )
