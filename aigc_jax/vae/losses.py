"""The terms of the evidence lower bound, per example, in nats, in float32 at least.

    log p(x) ≥ E_q(z|x) log p(x|z) − KL(q(z|x) ‖ p(z))

Both terms are *sums*, over pixels and over latents. A mean in place of either sum silently
reweights the KL term, by 784 for MNIST, and the result is no longer a bound on anything.

Source: Kingma and Welling 2014, https://arxiv.org/abs/1312.6114, equation 3 and appendix B.
"""

import jax
import jax.numpy as jnp

from aigc_jax.density import wide
from aigc_jax.vae.model import Gaussian


def kl_to_standard_normal(
    mean: jax.Array, log_variance: jax.Array, *, keep_latents: bool = False
) -> jax.Array:
    """KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ_j (μ_j² + σ_j² − log σ_j² − 1).

    Args:
      mean, log_variance: μ and log σ², `[B, Z]`.
      keep_latents: leave out the sum over j.

    Returns:
      `[B]` nats, or `[B, Z]`; ≥ 0.
    """
    mean, log_variance = wide(mean), wide(log_variance)
    # expm1 keeps the small difference σ² − 1 − log σ² exact to first order near the prior.
    kl = 0.5 * (jnp.square(mean) + (jnp.expm1(log_variance) - log_variance))
    return kl if keep_latents else jnp.sum(kl, axis=-1)


def gaussian_kl(q: Gaussian, p: Gaussian) -> jax.Array:
    """KL(N(μ_q, σ_q²) ‖ N(μ_p, σ_p²)) of each latent on its own.

        ½ [ (μ_q − μ_p)² / σ_p² + σ_q²/σ_p² − log σ_q²/σ_p² − 1 ]

    Args:
      q, p: of one shape `[...]`.

    Returns:
      `[...]` nats.
    """
    ratio = wide(q.log_variance) - wide(p.log_variance)
    squares = jnp.square(wide(q.mean) - wide(p.mean)) * jnp.exp(-wide(p.log_variance))
    return 0.5 * (squares + jnp.expm1(ratio) - ratio)
