"""A convolution that XLA:CPU runs as fast within a loop as outside of one, in all its derivatives.

XLA:CPU has a fast program for convolutions whose arrays are ordered `NHWC`, `HWIO`, `NHWC`. It
brings others into this order in the program's own body alone, and not in that of a loop, where they
take fifty times as long (https://github.com/jax-ml/jax/issues/12868). JAX's derivatives of a
convolution are such others. The two bilinear functions here are each other's derivatives, and each
is lowered in this order:

    y = conv(x, K)          y[h, w] = Σ_ij x[h + i − p, w + j − p] K[i, j],   p = (k − 1) / 2
    K̄ = correlate(x, ȳ)     K̄[i, j] = Σ_hw x[h + i − p, w + j − p]ᵀ ȳ[h, w]

    ∂conv / ∂x: conv(ȳ, flip K)              ∂conv / ∂K: correlate(x, ȳ)
    ∂correlate / ∂x: conv(ȳ, flip K̄)         ∂correlate / ∂ȳ: conv(x, K̄)

flip turns the kernel round and exchanges its channels. They are primitives, and not functions
with a custom derivative, so that forward mode and every order hold.

Measured on 2 CPU cores, float32, jax 0.10.2 / 0.12.0, as part of a scan over steps and against
products over patches: the ladder's step 217 → 179 / 198 → 157 ms, R3GAN's, which differentiates
twice, 26.4 → 23.4 / 36.4 → 23.6.

Dimensions: B batch, H W height and width, C channels in, F channels out, k the kernel's side, S
mapped.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

_ORDER = ("NHWC", "HWIO", "NHWC")


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[B, H, W, C]` and `[k, k, C, F]`, k odd, of one dtype → `[B, H, W, F]`."""
    y: jax.Array = _conv.bind(*_varying_alike(x, kernel))
    return y


def correlate(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
    """`[B, H, W, C]` and `[B, H, W, F]`, of one dtype → `[k, k, C, F]`, k = `size`, odd."""
    kernel: jax.Array = _correlate.bind(*_varying_alike(x, y), size=size)
    return kernel


def by_xla(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv` as an operation of JAX, with JAX's derivatives."""
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_ORDER)


def _varying_alike(*arrays: jax.Array) -> list[jax.Array]:
    """Within a shard_map that checks, what is the same on all devices is cast as JAX's own are."""
    varying = [jax.typeof(a).manual_axis_type.varying for a in arrays]
    every = frozenset().union(*varying)
    return [
        lax.pcast(a, tuple(sorted(every - own)), to="varying") if every - own else a
        for a, own in zip(arrays, varying, strict=True)
    ]


def patches(x: jax.Array, size: int) -> jax.Array:
    """The k×k pixels around each: `[B, H, W, C]` → `[B, H, W, k · k · C]`."""
    _, height, width, _ = x.shape
    border = size // 2
    padded = jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    shifts = [padded[:, i : i + height, j : j + width] for i, j in np.ndindex(size, size)]
    return jnp.concatenate(shifts, axis=-1)


def _correlate_by_xla(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
    """A convolution whose images are the channels of x and whose kernel is y."""
    border = (size // 2, size // 2)
    kernel = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        (border, border),
        dimension_numbers=_ORDER,
    )
    return kernel.transpose(1, 2, 0, 3)


def _flip(kernel: jax.Array) -> jax.Array:
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _conv_shape(x, kernel):
    return x.update(shape=(*x.shape[:3], kernel.shape[3]))


def _correlate_shape(x, y, *, size):
    return x.update(shape=(size, size, x.shape[3], y.shape[3]))


def _map_conv(args, axes):
    """One convolution of S times as many images or features, or products where both are mapped."""
    (x, kernel), (of_x, of_kernel) = args, axes
    if of_kernel is None:
        x = jnp.moveaxis(x, of_x, 0)
        y = conv(x.reshape(-1, *x.shape[2:]), kernel)
        return y.reshape(*x.shape[:2], *y.shape[1:]), 0
    if of_x is None:
        kernel = jnp.moveaxis(kernel, of_kernel, 3)
        y = conv(x, kernel.reshape(*kernel.shape[:3], -1))
        return y.reshape(*y.shape[:3], *kernel.shape[3:]), 3

    def product(x, kernel):
        return patches(x, len(kernel)) @ kernel.reshape(-1, kernel.shape[-1])

    return jax.vmap(product, (of_x, of_kernel))(x, kernel), 0


def _map_correlate(args, axes, *, size):
    """The same with S times as many channels or features."""
    (x, y), (of_x, of_y) = args, axes
    if of_y is None:
        x = jnp.moveaxis(x, of_x, 3)
        kernel = correlate(x.reshape(*x.shape[:3], -1), y, size)
        return kernel.reshape(*kernel.shape[:2], *x.shape[3:], y.shape[3]), 2
    if of_x is None:
        y = jnp.moveaxis(y, of_y, 3)
        kernel = correlate(x, y.reshape(*y.shape[:3], -1), size)
        return kernel.reshape(*kernel.shape[:3], *y.shape[3:]), 3

    def product(x, y):
        kernel = jnp.einsum("bhwp,bhwf->pf", patches(x, size), y)
        return kernel.reshape(size, size, x.shape[-1], y.shape[-1])

    return jax.vmap(product, (of_x, of_y))(x, y), 0


_conv, _correlate = Primitive("conv_in_order"), Primitive("correlate_in_order")
_conv.def_abstract_eval(_conv_shape)
_conv.def_impl(jax.jit(by_xla))
ad.defbilinear(
    _conv,
    lambda slope, x, kernel: conv(slope, _flip(kernel)),
    lambda slope, x, kernel: correlate(x, slope, kernel.aval.shape[0]),
)
batching.primitive_batchers[_conv] = _map_conv
mlir.register_lowering(_conv, mlir.lower_fun(by_xla, multiple_results=False))

_correlate.def_abstract_eval(_correlate_shape)
_correlate.def_impl(jax.jit(_correlate_by_xla, static_argnames="size"))
ad.defbilinear(
    _correlate,
    lambda slope, x, y, size: conv(y, _flip(slope)),
    lambda slope, x, y, size: conv(x, slope),
)
batching.primitive_batchers[_correlate] = _map_correlate
mlir.register_lowering(_correlate, mlir.lower_fun(_correlate_by_xla, multiple_results=False))
