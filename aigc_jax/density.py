"""Log densities per example, in nats, in float32 at least: *sums* over pixels or latents.

A mean in place of the sum over pixels silently reweights a bound's other term, by 784 for MNIST.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax


def wide(x: jax.Array) -> jax.Array:
    """x in float32, or in its own type where that is wider."""
    return jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))


@jax.custom_jvp
def _sigmoid(a: jax.Array) -> jax.Array:
    """σ(a), from the exponential that `_cross_entropy` takes too, so that XLA shares it."""
    small = jnp.exp(-jnp.abs(a))
    return jnp.where(a >= 0, 1.0, small) / (1.0 + small)


_sigmoid.defjvps(lambda tangent, s, _: tangent * s * (1.0 - s))


def row_sums(x: jax.Array) -> jax.Array:
    """Σ_d x_d, the sum over the last axis: `[..., D]` → `[...]`.

    On the CPU by a product with ones. XLA:CPU fuses a sum with the elementwise work before it and
    then does both one number at a time: the likelihood of 784 pixels takes 40 µs that way and 1.6
    µs this way, on a core with AVX-512.
    """
    ones = jnp.ones(x.shape[-1], x.dtype)
    return lax.platform_dependent(x, cpu=lambda x: x @ ones, default=lambda x: x.sum(-1))


def sum_per_example(x: jax.Array) -> jax.Array:
    """The sum over all axes but the first: `[B, ...]` → `[B]`."""
    return jnp.sum(x.reshape(len(x), -1), axis=-1)


@jax.custom_jvp
def _cross_entropy(logits: jax.Array, x: jax.Array) -> jax.Array:
    """Σ_d [s(l_d) − x_d l_d],   s(l) = log(1 + eˡ) = max(l, 0) + log(1 + e⁻|l|): `[B, D]` → `[B]`.

    This is most of a small VAE's elementwise work, so the logarithms are taken of products of
    eight: each factor is in (1, 2]. The derivatives are written out, since those of max and
    |·| are wrong at 0.
    """
    rows, pixels = logits.shape
    factors = 1.0 + jnp.exp(-jnp.abs(logits))
    eights = jnp.pad(factors, ((0, 0), (0, -pixels % 8)), constant_values=1.0).reshape(rows, 8, -1)
    logs = jnp.log(eights.prod(1))
    return row_sums(jnp.maximum(logits, 0.0) - x * logits) + row_sums(logs)


@_cross_entropy.defjvp
def _cross_entropy_jvp(primals, tangents):
    (logits, x), (d_logits, d_x) = primals, tangents
    slope = (_sigmoid(logits) - x) * d_logits - logits * d_x
    return _cross_entropy(logits, x), jnp.sum(slope, axis=-1)


def bernoulli_nll(logits: jax.Array, x: jax.Array) -> jax.Array:
    """−log p(x|z) = −Σ_d [x_d log σ(l_d) + (1 − x_d) log(1 − σ(l_d))] = Σ_d [s(l_d) − x_d l_d].

    Args:
      logits: l, `[B, ...]`.
      x: `[B, ...]` in {0, 1}. Grey values in [0, 1] give the cross-entropy of the textbook VAE,
        which is not a likelihood.

    Returns:
      `[B]` nats, summed over all axes but the first.
    """
    logits, x = (wide(a).reshape(len(a), -1) for a in (logits, x))
    return _cross_entropy(logits, x.astype(logits.dtype))


def gaussian_log_density(z: jax.Array, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """log N(z; μ, σ²) = −½ Σ_j [(z_j − μ_j)² / σ_j² + log σ_j² + log 2π].

    Args:
      z, mean, log_variance: `[..., Z]`, broadcastable.

    Returns:
      `[...]` nats.
    """
    z, mean, log_variance = wide(z), wide(mean), wide(log_variance)
    squares = jnp.square(z - mean) * jnp.exp(-log_variance)
    return -0.5 * row_sums(squares + log_variance + math.log(2 * math.pi))
