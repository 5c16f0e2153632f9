"""Adversarial losses: from logits [B] to losses [B], unreduced, in float32.

D(x) = σ(logit) is the probability that x is real. What follows from it is written with s(a) =
softplus(a) = log(1 + eᵃ), by −log σ(a) = s(−a) and −log(1 − σ(a)) = s(a), so that no logarithm of
a probability is ever taken. The other losses take the logit as it is, an unbounded score.

An `Objective` pairs the two players' losses. Each of its functions takes the logits of both kinds
of images, since a relativistic generator needs the real ones too.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Objective(NamedTuple):
    """What either player minimises, as `(logits_real [B], logits_fake [B]) -> [B]`.

    Attributes:
      discriminator: D's loss.
      generator: G's loss.
      has_zero: whether a logit of 0 means that D cannot tell, so that its sign tells what D thinks.
        Relativistic and Wasserstein logits have no such point, since a constant added to all of
        them changes nothing; in least squares it is ½.
    """

    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator: Callable[[jax.Array, jax.Array], jax.Array]
    has_zero: bool = True


def minimax_discriminator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """−log D(x) − log(1 − D(G(z))) = s(−real) + s(fake): what D minimises.

    Args:
      logits_real, logits_fake: `[B]`, of D on real and generated images.

    Returns:
      `[B]` nats; 2 log 2 where D cannot tell.

    Source: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1.
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

    Source: Goodfellow et al. 2014, equation 1.
    """
    return -jax.nn.softplus(jnp.float32(logits_fake))


def nonsaturating_generator_loss(logits_fake: jax.Array) -> jax.Array:
    """−log D(G(z)) = s(−fake): the same fixed point, and a gradient where D rejects fakes.

    Args:
      logits_fake: `[B]`.

    Returns:
      `[B]` nats, ≥ 0; log 2 where D cannot tell.

    Source: Goodfellow et al. 2014, section 3.
    """
    return jax.nn.softplus(-jnp.float32(logits_fake))


def least_squares_discriminator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """½ (real − 1)² + ½ fake², on raw scores, without a sigmoid.

    Args:
      logits_real, logits_fake: `[B]`.

    Returns:
      `[B]`, ≥ 0; ¼ at best where D cannot tell, with a score of ½.

    Source: Mao et al. 2017, https://arxiv.org/abs/1611.04076, equation 9 (a = 0, b = c = 1).
    """
    real, fake = jnp.float32(logits_real), jnp.float32(logits_fake)
    return 0.5 * jnp.square(real - 1) + 0.5 * jnp.square(fake)


def least_squares_generator_loss(logits_fake: jax.Array) -> jax.Array:
    """½ (fake − 1)².

    Args:
      logits_fake: `[B]`.

    Returns:
      `[B]`, ≥ 0. Source: Mao et al. 2017, equation 9.
    """
    return 0.5 * jnp.square(jnp.float32(logits_fake) - 1)


def hinge_discriminator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """max(0, 1 − real) + max(0, 1 + fake): scores beyond the margin of 1 no longer count.

    Args:
      logits_real, logits_fake: `[B]`.

    Returns:
      `[B]`, ≥ 0; 2 where D cannot tell.

    Source: Miyato et al. 2018, https://arxiv.org/abs/1802.05957, equation 16.
    """
    real, fake = jnp.float32(logits_real), jnp.float32(logits_fake)
    return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def wasserstein_discriminator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """fake − real: minus the critic's estimate of the distance, if it is 1-Lipschitz.

    Args:
      logits_real, logits_fake: `[B]`.

    Returns:
      `[B]`. Source: Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, equation 2.
    """
    return jnp.float32(logits_fake) - jnp.float32(logits_real)


def negative_score_generator_loss(logits_fake: jax.Array) -> jax.Array:
    """−fake: the generator's side of both the hinge and the Wasserstein objective.

    Args:
      logits_fake: `[B]`.

    Returns:
      `[B]`. Source: Arjovsky et al. 2017, algorithm 1; Miyato et al. 2018, equation 17.
    """
    return -jnp.float32(logits_fake)


def relativistic_discriminator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """−log σ(real − fake) = s(fake − real): D learns that the real one of a pair is the more real.

    Args:
      logits_real, logits_fake: `[B]`, paired by position.

    Returns:
      `[B]` nats, ≥ 0; log 2 where D cannot tell.

    Source: RpGAN, Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734; with the sign
    conventions of Huang et al. 2024 (R3GAN), https://arxiv.org/abs/2501.05441.
    """
    return jax.nn.softplus(jnp.float32(logits_fake) - jnp.float32(logits_real))


def relativistic_generator_loss(logits_real: jax.Array, logits_fake: jax.Array) -> jax.Array:
    """−log σ(fake − real) = s(real − fake): the pair's roles exchanged, so G's step needs reals.

    Args:
      logits_real, logits_fake: `[B]`, paired by position.

    Returns:
      `[B]` nats, ≥ 0; log 2 where D cannot tell. Source: as for the discriminator's.
    """
    return jax.nn.softplus(jnp.float32(logits_real) - jnp.float32(logits_fake))


def _on_fakes(
    loss: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return lambda logits_real, logits_fake: loss(logits_fake)


MINIMAX = Objective(minimax_discriminator_loss, _on_fakes(saturating_generator_loss))
"""min_G max_D E log D(x) + E log(1 − D(G(z))), as it stands."""
NON_SATURATING = Objective(minimax_discriminator_loss, _on_fakes(nonsaturating_generator_loss))
LEAST_SQUARES = Objective(
    least_squares_discriminator_loss, _on_fakes(least_squares_generator_loss), has_zero=False
)
HINGE = Objective(hinge_discriminator_loss, _on_fakes(negative_score_generator_loss))
WASSERSTEIN = Objective(
    wasserstein_discriminator_loss, _on_fakes(negative_score_generator_loss), has_zero=False
)
RELATIVISTIC = Objective(
    relativistic_discriminator_loss, relativistic_generator_loss, has_zero=False
)
OBJECTIVES = {
    "minimax": MINIMAX,
    "non_saturating": NON_SATURATING,
    "least_squares": LEAST_SQUARES,
    "hinge": HINGE,
    "wasserstein": WASSERSTEIN,
    "relativistic": RELATIVISTIC,
}
"""By name."""
