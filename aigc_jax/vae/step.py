"""One VAE update, as a pure function of state and batch.

Dimensions: B batch, Z latent, H W C image.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys
from aigc_jax.blockwise import in_blocks
from aigc_jax.image_batch import Batch, as_batch
from aigc_jax.labels import labels_to_draw
from aigc_jax.likelihoods import BERNOULLI, Likelihood, binarise
from aigc_jax.optim import State
from aigc_jax.vae.model import Info, Networks
from aigc_jax.vae.objectives import Objective, elbo


def init(key: Key, networks: Networks, tx: optax.GradientTransformation) -> State:
    """The state before the first update."""
    return optim.init(key, networks.init, tx)


def step(
    state: State,
    batch: Batch | jax.Array,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    likelihood: Likelihood = BERNOULLI,
    objective: Objective = elbo,
    pixels: Callable[[Keys, jax.Array], jax.Array] | None = binarise,
    beta: optax.ScalarOrSchedule = 1.0,
    ema_decay: float = 0.999,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the mean objective.

        x ~ Bernoulli(batch)                     where `pixels` is `binarise`
        z = μ(x) + σ(x) ε,  ε ~ N(0, I)
        loss = mean_i [ −log p(x_i|z_i) + β KL(q(z|x_i) ‖ p(z)) ]     where `objective` is `elbo`

    Args:
      state: see `optim.State`.
      batch: grey values `[B, H, W, C]` in [0, 1], or a `Batch` with labels.
      networks, tx: the networks and the optimiser.
      likelihood: what the decoder's outputs mean.
      objective: one of those in objectives.py, with its own settings closed over.
      pixels: `(keys [B], images) -> x`, redrawn at every step, such as `binarise` or
        `dequantise`; None takes the images as they are.
      beta: β, or a schedule of it: a function of the step.
      ema_decay: of the averaged parameters, per step, see `optim.update_ema`; 0 keeps none.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      InputError: images or labels are of another shape, or labels are not classes.

    Source: Kingma and Welling 2014, algorithm 1 with the estimator of equation 10, L = 1.
    """
    images, labels = as_batch(batch, networks.classes, networks.image_shape)
    key_x, key_z = jax.random.split(jax.random.fold_in(state.key, state.step))
    size = images.shape[0]
    x = images
    if pixels is not None:
        x = pixels(parallel.example_keys(key_x, size, axis_name), images)
    keys_z = parallel.example_keys(key_z, size, axis_name)
    weight = jnp.float32(beta(state.step)) if callable(beta) else beta

    def loss(params):
        losses, terms = objective(
            params,
            x,
            labels,
            keys_z,
            weight,
            networks=networks,
            likelihood=likelihood,
            axis_name=axis_name,
        )
        return losses, jnp.ones(size, jnp.float32), tuple(jnp.sum(term) for term in terms)

    mean, (reconstruction, kl), grads = parallel.mean_and_grad(loss, axis_name)(state.params)
    info = Info(mean, reconstruction + kl, reconstruction, kl)
    return optim.update(state, grads, tx, ema_decay), info


def sample(
    state: State,
    key: Key,
    n: int,
    labels: jax.Array | None = None,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
) -> jax.Array:
    """n images from the prior: the mean of p(x|z) at z ~ p(z), `[n, H, W, C]` in [0, 1].

    Args:
      state: see `optim.State`.
      key: decides them.
      n: how many.
      labels: int `[n]`, of class-conditional networks; None takes the classes in turn.
      networks, likelihood: as trained.

    Raises:
      InputError: labels are not classes of these networks.
    """
    labels = labels_to_draw(labels, n, networks.classes)

    def draw(keys, labels):
        z = networks.prior(state.eval_params, keys)
        return likelihood.mean(networks.decode(state.eval_params, z, labels))

    return in_blocks(draw, parallel.example_keys(key, n), labels)
