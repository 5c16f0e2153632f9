"""What a VAE minimises: bounds on −log p(x), per example, in nats.

    log w = log p(x|z) + β [log p(z) − log q(z|x)],   z ~ q(z|x);   the bounds have β = 1

Each is `(params, x, labels, keys, beta, *, networks, likelihood, axis_name) -> (losses [B], Terms)`
after its own settings are closed over, and each loss's gradient is the estimator that its source
gives.

Dimensions: B batch, Z latent, S samples of z, H W C image.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from aigc_jax import parallel
from aigc_jax.algorithm import Keys, Params
from aigc_jax.likelihoods import BERNOULLI, Likelihood
from aigc_jax.vae.model import Draw, Networks

Objective = Callable[..., tuple[jax.Array, "Terms"]]


class Terms(NamedTuple):
    """The two terms of the negative ELBO, means over the samples, whatever the objective."""

    reconstruction: jax.Array  # −log p(x|z) [B]
    kl: jax.Array  # KL(q(z|x) ‖ p(z)) [B]


class _Samples(NamedTuple):
    nll: jax.Array  # −log p(x|z) [S, B]
    drawn: Draw  # with a leading axis [S]

    def terms(self) -> Terms:
        kl = jnp.concatenate(self.drawn.kl, axis=-1)
        return Terms(self.nll.mean(0), kl.sum(-1).mean(0))

    def log_weights(self, beta: Any) -> jax.Array:
        """log w [S, B]."""
        return beta * (self.drawn.log_p - self.drawn.log_q) - self.nll


def sample_keys(keys: Keys, samples: int) -> Keys:
    """S keys for each example: `[B]` → `[S, B]`. One sample has the example's own key."""
    if samples == 1:
        return keys[None]
    return jax.vmap(lambda s: jax.vmap(lambda key: jax.random.fold_in(key, s))(keys))(
        jnp.arange(samples)
    )


def _weigh_gradient(weights: jax.Array, z: jax.Array) -> jax.Array:
    """z itself; a gradient that comes back through it is multiplied by weights `[B]`."""
    held = lax.stop_gradient(z)
    return held + weights[:, None] * (z - held)


def _draw_samples(
    params: Params,
    x: jax.Array,
    labels: jax.Array | None,
    keys: Keys,
    samples: int,
    networks: Networks,
    likelihood: Likelihood,
    path_weights: jax.Array | None = None,
) -> _Samples:
    """S samples of z for each example; `[S, B]` weighs their gradients through z, where given."""
    context = networks.encode(params, x, labels)

    def one(keys: Keys, weights: jax.Array | None) -> tuple[jax.Array, Draw]:
        path = None if weights is None else partial(_weigh_gradient, weights)
        drawn = networks.draw(params, context, keys, path)
        return likelihood.nll(networks.decode(params, drawn.z, labels), x), drawn

    return _Samples(*jax.vmap(one)(sample_keys(keys, samples), path_weights))


def elbo(
    params: Params,
    x: jax.Array,
    labels: jax.Array | None,
    keys: Keys,
    beta: Any = 1.0,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
    samples: int = 1,
    sampled_kl: bool = False,
    free_nats: float = 0.0,
    axis_name: str | None = None,
) -> tuple[jax.Array, Terms]:
    """−log p(x|z) + β KL(q(z|x) ‖ p(z)).

    With free nats λ, each layer's KL counts as max(λ, its mean over the batch): a layer that
    carries less than λ is not pushed to carry even less.

    Args:
      params: of `networks`.
      x: `[B, H, W, C]`, of the kind that `likelihood` models.
      labels: int `[B]`, of class-conditional networks.
      keys: `[B]`.
      beta: β.
      networks, likelihood: the model.
      samples: S, of z for each example.
      sampled_kl: log q − log p of the sample in place of the closed form.
      free_nats: λ, for each layer of latents.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      losses `[B]`, and `Terms`.

    Source: Kingma and Welling 2014, equation 10 (closed form) and 6 (sampled),
    https://arxiv.org/abs/1312.6114; free nats: Kingma et al. 2016, appendix C.8,
    https://arxiv.org/abs/1606.04934.
    """
    found = _draw_samples(params, x, labels, keys, samples, networks, likelihood)
    if sampled_kl:
        layers = list(found.drawn.sampled_kl)
    else:
        layers = [jnp.sum(layer, axis=-1) for layer in found.drawn.kl]
    layers = [layer.mean(0) for layer in layers]
    if free_nats:
        layers = [_at_least(layer, free_nats, axis_name) for layer in layers]
    return found.nll.mean(0) + beta * sum(layers), found.terms()


def _at_least(kl: jax.Array, free_nats: float, axis_name: str | None) -> jax.Array:
    """Losses whose mean over the whole batch is max(λ, mean KL): `[B]` → `[B]`."""
    total, count = parallel.psum((jnp.sum(kl), jnp.float32(len(kl))), axis_name)
    return jnp.where(lax.stop_gradient(total / count) > free_nats, kl, free_nats)


def iwae(
    params: Params,
    x: jax.Array,
    labels: jax.Array | None,
    keys: Keys,
    beta: Any = 1.0,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
    samples: int = 5,
    axis_name: str | None = None,
) -> tuple[jax.Array, Terms]:
    """−log 1/S Σ_s w_s, by logsumexp over log w.

    Arguments and results as for `elbo`.

    Source: Burda et al. 2016, https://arxiv.org/abs/1509.00519, equation 8.
    """
    found = _draw_samples(params, x, labels, keys, samples, networks, likelihood)
    return _iwae_loss(found.log_weights(beta)), found.terms()


def _iwae_loss(log_weights: jax.Array) -> jax.Array:
    return jnp.log(float(len(log_weights))) - jax.nn.logsumexp(log_weights, axis=0)


def dreg(
    params: Params,
    x: jax.Array,
    labels: jax.Array | None,
    keys: Keys,
    beta: Any = 1.0,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
    samples: int = 5,
    axis_name: str | None = None,
) -> tuple[jax.Array, Terms]:
    """`iwae` with the doubly reparameterised gradient, whose signal does not fade as S grows.

        ∂/∂θ:  Σ_s w̃_s ∂ log w_s / ∂θ                                    w̃ = w / Σ w
        ∂/∂φ:  Σ_s w̃_s (1 − β + β w̃_s) (∂ log w_s / ∂z_s) (∂z_s / ∂φ)

    θ being all but the posterior's own parameters φ. The plain gradient of φ has a further term,
    −β Σ_s w̃_s ∂ log q / ∂φ at a fixed z_s, whose expectation is that of
    −β Σ_s (∂w̃_s / ∂z_s) (∂z_s / ∂φ), and ∂w̃_s / ∂z_s = w̃_s (1 − w̃_s) ∂ log w_s / ∂z_s. At β = 1
    the weight is the source's w̃².

    A first pass finds w̃, and a second one lets the gradient through z by the factor in brackets.
    The loss's value is the IWAE bound; higher derivatives are meaningless. Arguments and results
    as for `elbo`; networks with a single layer of latents.

    Source: Tucker et al. 2019, https://arxiv.org/abs/1810.04152, equation 8, where β = 1.
    """
    first = _draw_samples(params, x, labels, keys, samples, networks, likelihood)
    log_w = first.log_weights(beta)
    weights = lax.stop_gradient(jax.nn.softmax(log_w, axis=0))
    path_weights = 1.0 - beta + beta * weights
    second = _draw_samples(params, x, labels, keys, samples, networks, likelihood, path_weights)
    surrogate = -jnp.sum(weights * second.log_weights(beta), axis=0)
    bound = lax.stop_gradient(_iwae_loss(log_w))
    return bound + (surrogate - lax.stop_gradient(surrogate)), first.terms()
