"""What is masked: how many tokens, which, and the batch that a model makes of them.

Of the V ids, the first C are tokens that may be masked and written; `mask_id` and conditions, such
as classes, come after them.

Dimensions: B batch, T positions, N_i tokens of row i that may be masked, n_i that are, V
vocabulary, C choices.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys, Params
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer.model import Batch, Networks, Source


class MaskedBatch(NamedTuple):
    """What is to be filled in, and what is given: conditions, a prompt, padding."""

    tokens: jax.Array  # int32 [B, T]
    maskable: jax.Array  # bool [B, T]: which may be masked; the others are always seen
    source: Source | None = None  # what an encoder reads: where there is one, it must be given


def all_maskable(tokens: jax.Array) -> MaskedBatch:
    """The batch of texts `[B, T]` any token of which may be masked."""
    return MaskedBatch(tokens, jnp.ones(jnp.shape(tokens), bool))


Schedule = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""`(r float32 [B], N int32 [B]) -> (n int32 [B], w float32 [B])`: how many tokens of each row are
masked, r being uniform on [0, 1); and what the loss of each of them weighs."""


def cosine_count(r: jax.Array, n: jax.Array) -> jax.Array:
    """⌈n cos(π r / 2)⌉, at least 1 and at most n.

    Args:
      r: float `[B]`, in [0, 1].
      n: int `[B]`; of 0 the count is 0.

    Returns:
      int32 `[B]`.
    """
    count = jnp.ceil(n * jnp.cos(jnp.pi / 2 * jnp.float32(r))).astype(jnp.int32)
    return jnp.clip(count, 1, n)


def uniform_count(r: jax.Array, n: jax.Array) -> jax.Array:
    """1 + ⌊r n⌋: uniform on 1 … n where r is on [0, 1); of n = 0 it is 0.

    Arguments are those of `cosine_count`.
    """
    return jnp.clip(1 + jnp.floor(jnp.float32(r) * n).astype(jnp.int32), 1, n)


def maskgit(r: jax.Array, n: jax.Array) -> tuple[jax.Array, jax.Array]:
    """MaskGIT's `Schedule`: `cosine_count`, all masked tokens of a batch alike.

    Source: Chang et al. 2022, https://arxiv.org/abs/2202.04200, section 3.1. There r is
    independent for each example; here it is stratified, see `strata`.
    """
    return cosine_count(r, n), jnp.ones(jnp.shape(n), jnp.float32)


def diffusion(r: jax.Array, n: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Masked diffusion's `Schedule`: `uniform_count`, and N / n, by which the loss is a bound.

    Source: see `nelbo`.
    """
    count = uniform_count(r, n)
    return count, jnp.float32(n) / jnp.maximum(count, 1)


def strata(u: jax.Array, index: jax.Array, count: int) -> jax.Array:
    """r_i = (u + i / B) mod 1: each uniform on [0, 1), and one in each B-th of it.

    Source: Kingma et al. 2021, https://arxiv.org/abs/2107.00630, appendix I.

    Args:
      u: float, uniform on [0, 1).
      index: i, int `[...]`, in the whole batch.
      count: B, of the whole batch.
    """
    return (u + jnp.float32(index) / count) % 1.0


def ranks(scores: jax.Array) -> jax.Array:
    """The place of each of `[B, T]` in its row's ascending order, from 0; equals by position."""
    return jnp.argsort(jnp.argsort(scores, axis=1), axis=1)


def random_order(keys: Keys, some: jax.Array) -> jax.Array:
    """Places 0 … n_i − 1 for the n_i positions of `some`, bool `[B, T]`, in random order.

    Returns:
      int32 `[B, T]`; the other positions come after them.
    """
    length = some.shape[1]
    shuffled = jax.vmap(lambda key: jax.random.permutation(key, length))(keys)
    return ranks(jnp.where(some, shuffled, length)).astype(jnp.int32)


def mask_random(keys: Keys, maskable: jax.Array, counts: jax.Array) -> jax.Array:
    """A uniformly random subset of `counts[i]` of the maskable positions of row i.

    Args:
      keys: `[B]`.
      maskable: bool `[B, T]`.
      counts: int `[B]`; where there are fewer positions, all are taken.

    Returns:
      bool `[B, T]`.
    """
    return maskable & (random_order(keys, maskable) < counts[:, None])


def masked(
    batch: MaskedBatch, r: jax.Array, keys: Keys, *, mask_id: int, schedule: Schedule
) -> Batch:
    """What a model reads and is to predict: the masked tokens, each weighted by the schedule.

    Args:
      batch: see `MaskedBatch`.
      r: float `[B]`, see `Schedule`.
      keys: `[B]`, which decide what is masked.
      mask_id: the id that stands for a masked token.
      schedule: see `Schedule`.

    Returns:
      A `Batch` whose prefix is all of each row.
    """
    counts, weights = schedule(r, jnp.sum(batch.maskable, axis=1, dtype=jnp.int32))
    mask = mask_random(keys, batch.maskable, counts)
    return bidirectional(
        jnp.where(mask, mask_id, batch.tokens),
        labels=jnp.where(mask, batch.tokens, 0),  # conditions are no choices
        weights=mask * weights[:, None],
        source=batch.source,
    )


def bidirectional(
    inputs: jax.Array,
    labels: jax.Array | None = None,
    weights: jax.Array | None = None,
    source: Source | None = None,
) -> Batch:
    """The `Batch` of rows `[B, T]` whose positions all see each other."""
    rows, length = inputs.shape
    labels = jnp.zeros_like(inputs) if labels is None else labels
    weights = jnp.zeros(inputs.shape, jnp.float32) if weights is None else weights
    prefix = jnp.full((rows,), length, jnp.int32)
    return Batch(inputs, labels, weights, prefix=prefix, source=source)


def restricted(networks: Networks, choices: int) -> Networks:
    """The networks with logits of the first `choices` ids alone, `[..., C]`."""

    def logits(params: Params, states: jax.Array) -> jax.Array:
        return networks.logits(params, states)[..., :choices]

    return networks._replace(logits=logits)


def mask_of(networks: Networks) -> int:
    """The id of a masked token in a model of text: the last one; those before it are choices."""
    return networks.vocabulary_size - 1


def check_ids(vocabulary_size: int | None, mask_id: int, choices: int) -> None:
    """Refuses a mask id that might be written; V is None where it is not known.

    Raises:
      InputError: says what is wrong.
    """
    if choices < 1:
        raise InputError(f"choices must be at least 1, got {choices}")
    if mask_id < choices:
        raise InputError(f"mask_id must be no choice, from {choices} on, got {mask_id}")
    if vocabulary_size is not None and mask_id >= vocabulary_size:
        raise InputError(f"mask_id must be below {vocabulary_size}, got {mask_id}")


def check_masked(batch: MaskedBatch, vocabulary_size: int, choices: int) -> None:
    """Refuses a batch whose arrays do not fit each other, or the ids.

    Raises:
      InputError: names the array.
    """
    if not isinstance(batch, MaskedBatch):
        raise InputError("batch must be a transformer.MaskedBatch of tokens and maskable")
    shape = jnp.shape(batch.tokens)
    if len(shape) != 2 or not shape[1]:
        raise InputError(f"tokens must be of shape [B, T], T at least 1, got {shape}")
    check_mask("maskable", batch.maskable, shape)
    check_choices("tokens", batch.tokens, vocabulary_size)
    check_choices("maskable tokens", jnp.where(batch.maskable, batch.tokens, 0), choices)


def check_mask(name: str, mask: jax.Array, shape: tuple[int, ...]) -> None:
    """Refuses what is no boolean array of that shape.

    Raises:
      InputError: says what it is.
    """
    if jnp.shape(mask) != shape or jnp.result_type(mask) != jnp.bool_:
        found = f"{jnp.result_type(mask)} {jnp.shape(mask)}"
        raise InputError(f"{name} must be booleans of shape {shape}, got {found}")
