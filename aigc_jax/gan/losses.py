"""Adversarial losses: from logits [B] to losses [B] in nats, unreduced, in float32.

D(x) = σ(logit) is the probability that x is real. Everything is written in s(a) = softplus(a) =
log(1 + eᵃ), by −log σ(a) = s(−a) and −log(1 − σ(a)) = s(a), so that no logarithm of a probability
is ever taken.

Source: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1 and section 3.
"""

import jax
import jax.numpy as jnp


def minimax_discriminator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """−log D(x) − log(1 − D(G(z))) = s(−real) + s(fake): what D minimises.

    Args:
      logits_real, logits_fake: `[B]`, of D on real and generated images.

    Returns:
      `[B]` nats; 2 log 2 where D cannot tell.
    """
    real, fake = jnp.float32(logits_real), jnp.float32(logits_fake)
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def saturating_generator_loss(logits_fake: jax.Array) -> jax.Array:
    """log(1 − D(G(z))) = −s(fake): the generator's side of min_G max_D.

    Its gradient vanishes as D(G(z)) → 0.

    Args:
      logits_fake: `[B]`.

    Returns:
      `[B]` nats, ≤ 0; −log 2 where D cannot tell.
    """
    return -jax.nn.softplus(jnp.float32(logits_fake))


def nonsaturating_generator_loss(logits_fake: jax.Array) -> jax.Array:
    """−log D(G(z)) = s(−fake): the same fixed point, and a gradient where D rejects fakes.

    Args:
      logits_fake: `[B]`.

    Returns:
      `[B]` nats, ≥ 0; log 2 where D cannot tell.
    """
    return jax.nn.softplus(-jnp.float32(logits_fake))
