"""Attention by cuDNN's kernel, which never holds the scores [B, N, T, S] of all queries and keys.

The kernel is JAX's: `jax.nn.dot_product_attention(implementation="cudnn")`. Here is what it takes,
and how a program that contains it is traced where there is no cuDNN.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
import jax.numpy as jnp
from jax._src.cudnn import fused_attention_stablehlo as _kernel

DTYPES = tuple(jnp.dtype(t) for t in (jnp.bfloat16, jnp.float16))
LARGEST_HEAD = 128  # in value and gradient on every GPU that has the kernel
LEAST_CAPABILITY = 8  # Ampere's
_ANY_VERSION = 91_000  # 9.10; JAX asks for the version because of features not used here
_ONE_AT_A_TIME = threading.Lock()


def fits(query: jax.Array, key: jax.Array, value: jax.Array) -> bool:
    """Whether the kernel takes arrays of these types and sizes, on the GPUs here if there are some.

    Half precision, the same in all three; heads of a multiple of 8 up to 128; even numbers of
    queries and of keys, without which JAX refuses the gradient.
    """
    size = query.shape[-1]
    return (
        query.dtype in DTYPES
        and query.dtype == key.dtype == value.dtype
        and size % 8 == 0
        and size <= LARGEST_HEAD
        and query.shape[1] % 2 == key.shape[1] % 2 == 0
        and not any(_is_older(device) for device in jax.local_devices())
    )


def cudnn_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    lengths: jax.Array | None,
    *,
    causal: bool,
    window: int | None,
) -> jax.Array:
    """`attention.attention` of arrays that fit; it can be lowered only for CUDA.

    The arguments are those of `attention.attention`.
    """
    present = [] if lengths is None else [jnp.full_like(lengths, query.shape[1]), lengths]
    arrays = [query, key, value, *(x.astype(jnp.int32) for x in present)]
    arrays = [_mapped_with(x, arrays) for x in arrays]

    def attend() -> jax.Array:
        query, key, value, *present = arrays
        found = jax.nn.dot_product_attention(
            query,
            key,
            value,
            query_seq_lengths=present[0] if present else None,
            key_value_seq_lengths=present[1] if present else None,
            is_causal=causal,
            local_window_size=None if window is None else (window - 1, 0),
            implementation="cudnn",
        )
        return _sloped_with(found, query)

    try:
        return attend()
    except RuntimeError:  # cuDNN is not detected: the program is for another machine, or for none
        with _of_any_version():
            return attend()


def _mapped_with(array: jax.Array, others: Sequence[jax.Array]) -> jax.Array:
    """The array, mapped by `vmap` where any of the others is: JAX 0.10 can map all of the kernel's
    arrays or none.
    """
    numbers = [jnp.ravel(other)[0].astype(array.dtype) for other in others]
    return jnp.where(False, sum(numbers), array)  # XLA removes it


@jax.custom_vjp
def _sloped_with(found: jax.Array, other: jax.Array) -> jax.Array:
    """The array, whose cotangent is `_mapped_with` the other."""
    return found


_sloped_with.defvjp(
    lambda found, other: (found, other),
    lambda other, slope: (_mapped_with(slope, [other]), jnp.zeros_like(other)),
)


def _is_older(device: jax.Device) -> bool:
    """Whether it is a CUDA GPU without the kernel."""
    major = str(getattr(device, "compute_capability", "")).partition(".")[0]
    return major.isdecimal() and int(major) < LEAST_CAPABILITY


@contextmanager
def _of_any_version() -> Iterator[None]:
    """Within it, JAX traces the kernel without checking which cuDNN is installed."""
    with _ONE_AT_A_TIME:
        asked = _kernel.check_cudnn_version
        _kernel.check_cudnn_version = lambda: _ANY_VERSION
        try:
            yield
        finally:
            _kernel.check_cudnn_version = asked
