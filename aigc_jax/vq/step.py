"""One update of an autoencoder with discrete latents, as a pure function of state and batch.

Dimensions: B batch, H W C image, h w the grid, D features, K codes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys
from aigc_jax.image_batch import Batch, as_batch
from aigc_jax.likelihoods import GAUSSIAN, Likelihood
from aigc_jax.vq.model import DiscreteNetworks, Info, Quantiser, State


def init(
    key: Key, networks: DiscreteNetworks, tx: optax.GradientTransformation, quantiser: Quantiser
) -> State:
    """The state before the first update: all codes equally frequent."""
    key_n, key_q = jax.random.split(key)
    frequencies = jnp.ones((*networks.grid, quantiser.codes), jnp.float32) / quantiser.codes
    return State(optim.init(key_n, networks.init, tx), quantiser.init(key_q), frequencies)


def step(
    state: State,
    batch: Batch | jax.Array,
    *,
    networks: DiscreteNetworks,
    tx: optax.GradientTransformation,
    quantiser: Quantiser,
    likelihood: Likelihood = GAUSSIAN,
    pixels: Callable[[Keys, jax.Array], jax.Array] | None = None,
    commitment: float = 1.0,
    ema_decay: float = 0.999,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient, then the quantiser learns from the same features.

        f = encode(x),  z = the vectors that f is nearest to,  ∂z/∂f := 1
        loss = mean_i [ −log p(x_i|z_i) + β Σ (f_i − sg(z_i))² ]

    β weights the term that moves only the features: the vectors follow by moving averages.

    Args:
      state: see `State`.
      batch: images `[B, H, W, C]` in [0, 1], or a `Batch`, whose labels are not used.
      networks, tx, quantiser: the networks, the optimiser and what is between the networks.
      likelihood: what the decoder's outputs mean.
      pixels: `(keys [B], images) -> x`, redrawn at every step, such as `binarise` or
        `dequantise`; None takes the images as they are.
      commitment: β, see `codebook.commitment`.
      ema_decay: of the averaged parameters and of the frequencies of codes, per step, see
        `optim.update_ema`; 0 keeps none.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      InputError: images of another shape.

    Source: van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, equation 3 without its
    second term, which appendix A.1 replaces by averages.
    """
    images, _ = as_batch(batch, image_shape=networks.image_shape)
    key_x, key_q = jax.random.split(jax.random.fold_in(state.trained.key, state.step))
    size = images.shape[0]
    x = images
    if pixels is not None:
        x = pixels(parallel.example_keys(key_x, size, axis_name), images)

    def loss(params):
        features = networks.encode(params, x)
        found = quantiser.quantise(state.quantiser, features)
        nll = likelihood.nll(networks.decode(params, found.vectors), x)
        sums = jnp.sum(nll), jnp.sum(found.commitment)
        losses = nll + commitment * found.commitment
        return losses, jnp.ones(size, jnp.float32), sums, lax.stop_gradient(features), found.codes

    mean, (nll, strayed), grads, features, codes = parallel.mean_and_grad(loss, axis_name)(
        state.params
    )
    trained = optim.update(state.trained, grads, tx, ema_decay)
    book, revived = quantiser.update(state.quantiser, features, codes, key_q, axis_name)
    batch_frequencies = _frequencies(codes, quantiser.codes, axis_name)
    frequencies = optim.update_ema(state.frequencies, batch_frequencies, state.step, ema_decay)
    info = Info(mean, nll, strayed, perplexity(batch_frequencies.mean((0, 1))), revived)
    return State(trained, book, frequencies), info


def _frequencies(codes: jax.Array, size: int, axis_name: str | None) -> jax.Array:
    """Of each code at each position over the whole batch: int `[B, h, w]` → `[h, w, K]`."""
    batch, rows, columns = codes.shape
    row, column = jnp.arange(rows)[None, :, None], jnp.arange(columns)[None, None, :]
    # Counts are exact in any order of addition.
    counts = jnp.zeros((rows, columns, size), jnp.float32).at[row, column, codes].add(1.0)
    return parallel.psum(counts, axis_name) / parallel.psum(batch, axis_name)


def perplexity(frequencies: jax.Array) -> jax.Array:
    """exp(−Σ p log p): how many equally frequent codes would be as hard to guess. `[K]` → []."""
    p = frequencies
    return jnp.exp(-jnp.sum(p * jnp.log(jnp.where(p > 0, p, 1.0))))
