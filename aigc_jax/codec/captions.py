"""Captions: texts that a prior is told, read by an encoder to which the codes attend.

A caption is its tokens, such as bytes, and one that ends it. The null caption, for one that is not
known, is the end alone, so that there is always something to attend to.

Dimensions: B rows, S tokens of a caption.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys
from aigc_jax.codec.conditions import dropped
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer import Source


class Captions(NamedTuple):
    """The tokens of captions, which follow those of conditions.

    Attributes:
      symbols: how many tokens captions are written in, the last of which ends one; 0 for a prior
        that is told no captions.
      length: S at most, the end included.
      offset: the prior's token of a caption's token 0.
    """

    symbols: int
    length: int
    offset: int

    @property
    def end(self) -> int:
        """One more than the last token: V."""
        return self.offset + self.symbols

    def source(self, captions: Source | None, rows: int) -> Source | None:
        """Captions as the encoder reads them, in the prior's tokens; None if it is told none.

        Args:
          captions: of B rows, see `transformer.padded_source`; tokens from 0, without positions.
            None, and a row of padding alone, is the null caption.
          rows: B.

        Raises:
          InputError: captions do not fit the prior.
        """
        if not self.symbols:
            if captions is not None:
                raise InputError("captions are for a prior that is told them, and this one is not")
            return None
        if captions is None:
            return self.null(rows, 1)
        tokens, segments = self._checked(captions, rows)
        present = jnp.asarray(segments) > 0
        told = Source(jnp.asarray(tokens, jnp.int32) + self.offset, present.astype(jnp.int32))
        return _where(present.any(axis=1), told, self.null(rows, tokens.shape[1]))

    def null(self, rows: int, length: int) -> Source:
        """The null caption, `length` tokens with its padding."""
        present = jnp.broadcast_to(jnp.arange(length) == 0, (rows, length))
        tokens = jnp.where(present, self.end - 1, self.offset)
        return Source(tokens.astype(jnp.int32), present.astype(jnp.int32))

    def _checked(self, captions: Any, rows: int) -> tuple[Any, Any]:
        if not isinstance(captions, Source):
            raise InputError("captions must be a transformer.Source, as padded_source makes one")
        if captions.positions is not None:
            raise InputError("captions must have no positions: each is a row of its own")
        shape = jnp.shape(captions.tokens)
        if len(shape) != 2 or shape[0] != rows or not 0 < shape[1] <= self.length:
            wanted = f"[{rows}, S], S from 1 to {self.length}"
            raise InputError(f"captions must be tokens of shape {wanted}, got {shape}")
        if jnp.shape(captions.segments) != shape:
            got = jnp.shape(captions.segments)
            raise InputError(f"captions' segments must be of shape {shape}, got {got}")
        return check_choices("captions", captions.tokens, self.symbols), captions.segments


def drop(captions: Captions, source: Source | None, keys: Keys, rate: float) -> Source | None:
    """An example's caption replaced by the null caption with probability p.

    Args:
      captions: which tokens there are.
      source: of `Captions.source`.
      keys: `[B]`; those of `conditions.drop` drop an example's labels together with its caption.
      rate: p.
    """
    if source is None or not rate:
        return source
    return _where(~dropped(keys, rate), source, captions.null(*source.tokens.shape))


def doubled(captions: Captions, source: Source | None) -> Source | None:
    """The 2B rows of `conditions.guided`: those told their captions, then those told none."""
    if source is None:
        return None
    null = captions.null(*source.tokens.shape)
    return jax.tree.map(lambda told, untold: jnp.concatenate([told, untold]), source, null)


def of_each(source: Source | None, sequences: int) -> Source | None:
    """The captions of examples `[B, S]` for the R sequences of each: `[B R, S]`."""
    return jax.tree.map(lambda x: jnp.repeat(x, sequences, axis=0), source)


def _where(chosen: jax.Array, a: Source, b: Source) -> Source:
    """The rows of a where `chosen`, bool `[B]`, else those of b."""
    return jax.tree.map(lambda x, y: jnp.where(chosen[:, None], x, y), a, b)
