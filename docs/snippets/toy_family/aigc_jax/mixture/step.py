"""One update of a mixture, as a pure function of state and batch.

Dimensions: B batch, K components, H W C image.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key
from aigc_jax.image_batch import Batch, as_batch
from aigc_jax.likelihoods import binarise
from aigc_jax.mixture.model import init_params, nll
from aigc_jax.optim import State


class Info(NamedTuple):
    """Means over the whole batch, under the parameters before the update."""

    nll_nats: jax.Array


def init(
    key: Key,
    image_shape: tuple[int, int, int],
    components: int,
    tx: optax.GradientTransformation,
) -> State:
    """The state before the first update."""
    return optim.init(key, lambda key: init_params(key, image_shape, components), tx)


def step(
    state: State,
    batch: Batch | jax.Array,
    *,
    tx: optax.GradientTransformation,
    image_shape: tuple[int, int, int],
    ema_decay: float = 0.99,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the mean −log p(x), x ~ Bernoulli(batch)."""
    images = as_batch(batch, image_shape=image_shape).images
    key = jax.random.fold_in(state.key, state.step)
    x = binarise(parallel.example_keys(key, len(images), axis_name), images)

    def loss(params):
        return nll(params, x), jnp.ones(len(x), jnp.float32), ()

    mean, _, grads = parallel.mean_and_grad(loss, axis_name)(state.params)
    return optim.update(state, grads, tx, ema_decay), Info(mean)


def sample(state: State, key: Key, n: int) -> jax.Array:
    """n images, each the mean of a component drawn by its weight: `[n, H, W, C]` in [0, 1]."""
    keys = parallel.example_keys(key, n)
    drawn = jax.vmap(jax.random.categorical, (0, None))(keys, state.eval_params.weights)
    return jax.nn.sigmoid(state.eval_params.pixels[drawn])
