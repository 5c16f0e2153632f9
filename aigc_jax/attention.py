"""Scaled dot-product attention, its masks, and rotary positions, as pure functions.

Dimensions: B batch, T query positions, S key positions, N query heads, K key-value heads, H size
of a head.
"""

import math
from collections.abc import Callable
from functools import reduce
from operator import and_

import jax
import jax.numpy as jnp

from aigc_jax.fused_attention import cudnn_attention, fits

LONG = 1024
"""More queries than this are treated in blocks."""
BLOCK = 64
"""Of a long sequence, the queries whose scores exist at the same time."""
_STRETCHES = 8  # of a long causal sequence: each sees the keys up to its own end alone

Drop = Callable[[jax.Array, jax.Array | None], jax.Array]


def scaled_dot_product_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None = None,
    *,
    softcap: float | None = None,
    drop: Drop | None = None,
) -> jax.Array:
    """Attention(Q, K, V) = softmax(Q Kᵀ / √H) V for each head: the formula.

    Args:
      query: `[B, T, N, H]`.
      key, value: `[B, S, K, H]`, K a divisor of N: each key-value head serves N / K consecutive
        query heads.
      mask: boolean, broadcastable to `[B, N, T, S]`: True where a query may attend. None
        lets all attend everywhere.
      softcap: c, which bounds the scores: s ← c tanh(s / c).
      drop: `(weights, first) -> weights`, dropout of the weights `[B, N, T, S]`; `first` is None.

    Returns:
      `[B, T, N, H]` in the query's dtype; scores and softmax are float32. A query that may
      attend to nothing gets the mean of all values.

    Source: Vaswani et al. 2017, equation 1, https://arxiv.org/abs/1706.03762; shared key-value
    heads: Ainslie et al. 2023, https://arxiv.org/abs/2305.13245; the cap: Gemma Team 2024,
    https://arxiv.org/abs/2408.00118.
    """
    return cached_attention(
        query, key.swapaxes(1, 2), value.swapaxes(1, 2), mask, softcap=softcap, drop=drop
    )


def cached_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None = None,
    *,
    softcap: float | None = None,
    drop: Drop | None = None,
) -> jax.Array:
    """The same function of keys and values that are stored by head, as in a cache for decoding.

    What a query needs of a head is then contiguous. Stored by slot, the whole cache is copied into
    this order by XLA:CPU for each token: 64 rows of 264 slots, 4 heads of 32, took 6.3 ms for one
    layer where these take 0.5.

    Arguments and result are those of `scaled_dot_product_attention`, except that `key` and `value`
    are `[B, K, S, H]`.
    """
    batch, length, heads, size = query.shape
    kv_heads, keys = key.shape[1:3]
    # The queries that share a key head are rows of one product.
    query_by_head = query.swapaxes(1, 2).reshape(batch, kv_heads, -1, size)
    scores = jnp.einsum("bkqh,bksh->bkqs", query_by_head, key, preferred_element_type=jnp.float32)
    scores = scores.reshape(batch, heads, length, keys) / math.sqrt(size)
    if softcap is not None:
        scores = soft_cap(scores, softcap)
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    # Divided by the sum at the end, so that the backward pass sums over H in place of S: the layer
    # of `attention`'s docstring took 22.9 ms by jax.nn.softmax, and takes 13.1 (18.4 and 14.7).
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = weights.sum(-1)
    if drop is not None:
        weights = drop(weights, None)
    weights = weights.astype(value.dtype).reshape(batch, kv_heads, -1, keys)
    mixed = jnp.einsum("bkqs,bksh->bkqh", weights, value, preferred_element_type=jnp.float32)
    mixed = mixed.reshape(batch, heads, length, size) / total[..., None]
    return mixed.swapaxes(1, 2).astype(query.dtype)


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    lengths: jax.Array | None = None,
    softcap: float | None = None,
    drop: Drop | None = None,
) -> jax.Array:
    """The same function in the form that is fast on each backend.

    On a CUDA GPU it is cuDNN's kernel where the arrays fit (half precision, heads of a multiple of
    8 up to 128, see `fused_attention.fits`) and all that is hidden is given by `causal`, `window`
    and `lengths`: not with a mask, which JAX would turn into a bias `[B, N, T, S]` with a gradient,
    and not with a cap or dropout. Such arrays have no forward-mode and no second derivative, and on
    other backends too the backward pass recomputes the weights.

    Otherwise more than `LONG` queries are treated `BLOCK` at a time, of which the backward pass
    recomputes the weights: memory grows with T, not T², beyond what a mask itself takes. Causal
    ones leave out most of what is hidden. Gradient and value of a layer, one row of 2,048 and 6
    heads of 64 on 2 cores, take 111 ms and 69 MB so, where the form below takes 123 ms and 150 MB
    (jax 0.10.2; 103 and 116 ms on 0.12.0). Off the CPU this is for the sake of memory; its time
    there has not been measured.

    Otherwise, on a CPU, it is the formula and, where `causal`, without a quarter of its products:
    gradient and value of a layer, 8 rows of 256 and 6 heads of 64 on 2 cores, took 46 ms with
    `jax.nn.dot_product_attention`, 36 with the formula and 25 without that quarter (jax 0.10.2; 30,
    27 and 20 on 0.12.0). Elsewhere it is that function, as XLA compiles it.

    Arguments and result are those of `scaled_dot_product_attention`, except that `mask` must have
    four dimensions, and hides what it hides in addition to the following, and that a query that may
    attend to nothing gets the mean of the values that are not left out for it.

    Args:
      causal: hide from each query the keys after it; there must be as many keys as queries.
      window: for causal attention, how many keys a query sees at most, its own included.
      lengths: int `[B]`, the number of keys in each row, at least 1; later ones are hidden.
      drop: where queries are in blocks, it is given the weights of one block at a time and the
        number of its first query, so that no two blocks need share a mask; else all weights and
        None.

    Raises:
      ValueError: `causal` without as many keys as queries, or a window without `causal`.
    """
    queries, keys = query.shape[1], key.shape[1]
    if causal and queries != keys:
        raise ValueError(
            f"causal needs as many keys as queries, got {keys} and {queries}; "
            "where they differ, give a mask"
        )
    if window is not None and not causal:
        raise ValueError("a window needs causal attention: give causal=True, or a mask")

    def visible(mask, lengths):
        order = causal_mask(queries, window=window) if causal else None
        return _all_of(mask, order, None if lengths is None else padding_mask(lengths, keys))

    def formula(query, key, value, mask, lengths):
        mask = visible(mask, lengths)
        if causal and drop is None:  # with one key both halves would drop the same
            return _in_halves(query, key, value, mask, softcap)
        return scaled_dot_product_attention(query, key, value, mask, softcap=softcap, drop=drop)

    def xla(query, key, value, mask, lengths):
        return _by_xla(query, key, value, visible(mask, lengths))

    def blocks(query, key, value, mask, lengths):
        mask = _all_of(mask, None if lengths is None else padding_mask(lengths, keys))
        return _in_blocks(query, key, value, mask, causal, window, softcap, drop)

    def cudnn(query, key, value, mask, lengths):
        return cudnn_attention(query, key, value, lengths, causal=causal, window=window)

    arrays = (query, key, value, mask, lengths)
    plain = softcap is None and drop is None
    kernel = plain and mask is None and fits(query, key, value)
    if queries > LONG:
        if kernel:
            return jax.lax.platform_dependent(*arrays, cuda=cudnn, default=blocks)
        return blocks(*arrays)
    if not plain:
        return formula(*arrays)
    if not kernel:
        return jax.lax.platform_dependent(*arrays, cpu=formula, default=xla)
    # Each branch returns what any of them saves for its backward pass: the weights [B, N, T, S] of
    # one would be zeros in the kernel's.
    return jax.lax.platform_dependent(
        *arrays, cuda=cudnn, cpu=jax.checkpoint(formula), default=jax.checkpoint(xla)
    )


def _all_of(*masks: jax.Array | None) -> jax.Array | None:
    """True where all that are given are."""
    given = [mask for mask in masks if mask is not None]
    return reduce(and_, given) if given else None


def _by_xla(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> jax.Array:
    return jax.nn.dot_product_attention(query, key, value, mask=mask)


def _in_halves(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array, softcap: float | None
) -> jax.Array:
    """The formula where the first half of the queries sees only the first half of the keys."""
    half = query.shape[1] // 2
    parts = (
        scaled_dot_product_attention(
            query[:, begin:end],
            key[:, :end],
            value[:, :end],
            mask[..., begin:end, :end],
            softcap=softcap,
        )
        for begin, end in ((0, half), (half, query.shape[1]))
        if end > begin
    )
    return jnp.concatenate(list(parts), axis=1)


def _in_blocks(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    causal: bool,
    window: int | None,
    softcap: float | None,
    drop: Drop | None,
) -> jax.Array:
    """The formula for `BLOCK` queries after another, in a loop.

    A causal sequence is cut into stretches, each of which is a loop over the keys that its queries
    may see. Arguments are those of `attention`.
    """
    batch, queries, heads, size = query.shape
    blocks = -(-queries // BLOCK)
    surplus = blocks * BLOCK - queries
    query = jnp.pad(query, ((0, 0), (0, surplus), (0, 0), (0, 0)))
    query = query.reshape(batch, blocks, BLOCK, heads, size).swapaxes(0, 1)
    key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)
    if mask is not None and mask.shape[2] > 1:
        mask = jnp.pad(mask, ((0, 0), (0, 0), (0, surplus), (0, 0)))

    def stretch(begin: int, end: int) -> jax.Array:
        """The blocks from one to before another, `[blocks, B, BLOCK, N, H]`."""
        first, last = 0, key.shape[2]
        if causal:
            last = min(last, end * BLOCK)
            first = 0 if window is None else max(0, begin * BLOCK - window + 1)
        keys, values = key[:, :, first:last], value[:, :, first:last]
        seen = mask if mask is None or mask.shape[3] == 1 else mask[..., first:last]

        @jax.checkpoint
        def block(queries, start, keys, values, seen):
            if seen is not None and seen.shape[2] > 1:
                seen = jax.lax.dynamic_slice_in_dim(seen, start, BLOCK, axis=2)
            if causal:
                i, j = start + jnp.arange(BLOCK)[None], jnp.arange(first, last)[None]
                seen = _all_of(seen, visibility(i, j, window=window))
            own = None if drop is None else lambda weights, _: drop(weights, start)
            return cached_attention(queries, keys, values, seen, softcap=softcap, drop=own)

        starts = BLOCK * jnp.arange(begin, end)
        return jax.lax.map(lambda x: block(*x, keys, values, seen), (query[begin:end], starts))

    length = -(-blocks // _STRETCHES) if causal else blocks
    ends = [(b, min(b + length, blocks)) for b in range(0, blocks, length)]
    found = jnp.concatenate([stretch(*pair) for pair in ends])
    return found.swapaxes(0, 1).reshape(batch, -1, heads, size)[:, :queries]


def soft_cap(x: jax.Array, cap: float) -> jax.Array:
    """c tanh(x / c): x near 0, and never beyond ± c."""
    return cap * jnp.tanh(x / cap)


def causal_mask(queries: int, keys: int | None = None, window: int | None = None) -> jax.Array:
    """True where key j is not in the future of query i; the last query is at the last key.

    Alignment matters when there are more keys than queries, as in decoding with a cache: aligned at
    the top left, as `is_causal` of `jax.nn.dot_product_attention` is, a single query would see only
    the first key.

    Args:
      queries: T.
      keys: S ≥ T; T when None.
      window: how many keys a query sees at most, its own included; None is all of the past.

    Returns:
      boolean `[1, 1, T, S]`.

    Raises:
      ValueError: there are fewer keys than queries.
    """
    keys = queries if keys is None else keys
    if keys < queries:
        raise ValueError(
            f"causal_mask needs at least as many keys as queries, got {keys} and {queries}"
        )
    position = jnp.arange(queries)[None] + (keys - queries)
    return visibility(position, jnp.arange(keys)[None], window=window)


def visibility(
    queries: jax.Array,
    keys: jax.Array,
    *,
    window: int | None = None,
    prefix: jax.Array | None = None,
) -> jax.Array:
    """True where a key is not in the future of a query, by their positions in the text.

        j ≤ i, and j > i − window;  or j < prefix

    Args:
      queries: int `[B, T]`, i; or `[1, T]`, the same for all rows.
      keys: int `[B, S]` or `[1, S]`, j.
      window: how many positions a query sees at most, its own included.
      prefix: int `[B]`, tokens at the beginning of a row that all its queries see, so that
        attention among them is bidirectional.

    Returns:
      boolean `[B, 1, T, S]`, or `[1, 1, T, S]`.
    """
    i, j = queries[:, :, None], keys[:, None, :]
    seen = j <= i
    if window is not None:
        seen &= j > i - window
    if prefix is not None:
        seen |= j < prefix[:, None, None]
    return seen[:, None]


def same_segment(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """True where query and key belong to the same sequence, of several packed into a row.

    Args:
      queries: int `[B, T]`, the number of the sequence; 0 is padding, which sees padding alone.
      keys: int `[B, S]`.

    Returns:
      boolean `[B, 1, T, S]`.
    """
    return (queries[:, :, None] == keys[:, None, :])[:, None]


def padding_mask(lengths: jax.Array, keys: int) -> jax.Array:
    """True at the first `lengths[b]` keys of each row.

    Args:
      lengths: int `[B]`.
      keys: S.

    Returns:
      boolean `[B, 1, 1, S]`.
    """
    return (jnp.arange(keys)[None, :] < lengths[:, None])[:, None, None, :]


def rotate(x: jax.Array, positions: jax.Array, base: float = 10_000.0) -> jax.Array:
    """Rotary positions: each pair (x_i, x_{i + H/2}) is rotated by the angle t · base^(−2i / H).

    The product of a query and a key rotated this way depends only on the difference of their
    positions.

    Args:
      x: `[B, T, N, H]`, H even.
      positions: int `[B, T]` or `[1, T]`, t.
      base: of the wavelengths, which go from 2π to 2π · base.

    Returns:
      `[B, T, N, H]` in x's dtype; the angles are float32.

    Source: Su et al. 2021, https://arxiv.org/abs/2104.09864; pairs are halves apart, as in Llama,
    where the paper pairs neighbours.
    """
    half = x.shape[-1] // 2
    frequencies = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = positions[..., None].astype(jnp.float32) * frequencies[None, None]
    cos, sin = (
        jnp.broadcast_to(f(angles)[:, :, None], (*x.shape[:-1], half)) for f in (jnp.cos, jnp.sin)
    )
    first, second = jnp.split(x, 2, axis=-1)
    rotated = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(rotated, axis=-1).astype(x.dtype)
