"""What a decoder's output is compared by: losses `[B]`, unreduced, in float32.

Dimensions: B batch, S the signal's sides, C channels, P positions that a critic judges.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from aigc_jax.codec.model import Judgement
from aigc_jax.density import wide

_FLOOR = 1e-5  # of a layer's mean magnitude, below which features are compared absolutely


def mean_per_example(x: jax.Array) -> jax.Array:
    """The mean over all axes but the first: `[B, ...]` → `[B]`."""
    return jnp.mean(wide(x).reshape(len(x), -1), axis=-1)


def absolute(estimate: jax.Array, x: jax.Array) -> jax.Array:
    """mean |x̂ − x| over a signal: both `[B, *S, C]` → `[B]`."""
    return mean_per_example(jnp.abs(wide(estimate) - wide(x)))


def squared(estimate: jax.Array, x: jax.Array) -> jax.Array:
    """mean (x̂ − x)² over a signal: both `[B, *S, C]` → `[B]`."""
    return mean_per_example(jnp.square(wide(estimate) - wide(x)))


def over_critics(
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    real: Sequence[Judgement],
    fake: Sequence[Judgement],
) -> jax.Array:
    """The mean over critics of the mean over positions of an adversarial loss of logits: `[B]`.

    Args:
      loss: elementwise, `(logits of x, logits of x̂)`, such as `gan.HINGE.discriminator`.
      real, fake: what the critics say of x and of x̂.
    """
    each = [mean_per_example(loss(r, f)) for (r, _), (f, _) in zip(real, fake, strict=True)]
    return sum(each[1:], start=each[0]) / len(each)


def matching(real: Sequence[Judgement], fake: Sequence[Judgement]) -> jax.Array:
    """mean over critics and layers of mean |φ(x̂) − φ(x)| / mean |φ(x)|, means over an example.

    No gradient reaches the features of x.

    Args:
      real, fake: what the critics say of x and of x̂.

    Returns:
      `[B]`.

    Source: Défossez et al. 2022 (EnCodec), https://arxiv.org/abs/2210.13438, equation 2.
    """
    each = []
    for (_, of_real), (_, of_fake) in zip(real, fake, strict=True):
        for r, f in zip(of_real, of_fake, strict=True):
            r = jax.lax.stop_gradient(wide(r))
            scale = jnp.maximum(mean_per_example(jnp.abs(r)), _FLOOR)
            each.append(mean_per_example(jnp.abs(wide(f) - r)) / scale)
    return sum(each[1:], start=each[0]) / len(each)
