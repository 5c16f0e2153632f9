"""One update of a classifier, as a pure function of state and batch.

Dimensions: B batch, D features, C classes, H W image.
"""

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys, Params, narrow
from aigc_jax.classifier.augment import augment
from aigc_jax.classifier.losses import cross_entropy
from aigc_jax.classifier.model import Info, Networks
from aigc_jax.image_batch import Batch, check_images
from aigc_jax.labels import one_for_each
from aigc_jax.optim import State


def dropout(keys: Keys, x: jax.Array, rate: float) -> jax.Array:
    """x_d m_d / (1 − rate), m_d ~ Bernoulli(1 − rate): keys `[B]`, `[B, D]` → `[B, D]`."""
    if rate == 0:
        return x
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape[1:]))(keys)
    return jnp.where(kept, x / (1 - rate), 0.0)


def logits(params: Params, images: jax.Array, *, networks: Networks) -> jax.Array:
    """log p(class|image) + const: `[B, H, W, channels]` in [0, 1] → `[B, C]`."""
    return networks.head(params, networks.features(params, images))


def init(key: Key, networks: Networks, tx: optax.GradientTransformation) -> State:
    """The state before the first update."""
    return optim.init(key, networks.init, tx)


def step(
    state: State,
    batch: Batch,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    reach: int = 1,
    mirrored: bool = False,
    dropout_rate: float = 0.0,
    smoothing: float = 0.0,
    ema_decay: float = 0.99,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the mean cross-entropy of augmented images.

        loss = mean_i H(t_i, softmax(head(dropout(features(augment(x_i))))))

    Args:
      state: see `optim.State`.
      batch: images with their labels, which are needed.
      networks, tx: the network and the optimiser.
      reach, mirrored: see `augment`.
      dropout_rate: of the features.
      smoothing: of the targets t, see `cross_entropy`.
      ema_decay: of the averaged parameters, per step, see `optim.update_ema`; 0 keeps none.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      InputError: images or labels are missing or of another shape, or labels are not classes.
    """
    images, labels = batch if isinstance(batch, Batch) else Batch(batch)
    check_images(images, networks.image_shape)
    images, labels = narrow((images, one_for_each(labels, len(images))))
    key_images, key_features = jax.random.split(jax.random.fold_in(state.key, state.step))
    size = labels.shape[0]
    keys_images, keys_features = (
        parallel.example_keys(key, size, axis_name) for key in (key_images, key_features)
    )
    images = augment(keys_images, images, reach=reach, mirrored=mirrored)

    def loss(params):
        features = dropout(keys_features, networks.features(params, images), dropout_rate)
        scores = networks.head(params, features)
        correct = jnp.sum(jnp.argmax(scores, axis=-1) == labels, dtype=jnp.float32)
        return (
            cross_entropy(scores, labels, smoothing),
            jnp.ones(size, jnp.float32),
            (correct,),
        )

    mean, (accuracy,), grads = parallel.mean_and_grad(loss, axis_name)(state.params)
    return optim.update(state, grads, tx, ema_decay), Info(mean, accuracy)
