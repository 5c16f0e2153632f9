"""One GAN update, as a pure function of state and batch.

Dimensions: B batch, H W C image, m images packed into one input of D.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.gan import losses
from aigc_jax.gan.augment import Augmentation
from aigc_jax.gan.losses import Objective
from aigc_jax.gan.model import Info, Networks, State, Variables
from aigc_jax.gan.penalties import Penalty, due
from aigc_jax.gan.updates import part_of, update_d, update_g
from aigc_jax.gan.view import draw, see
from aigc_jax.image_batch import Batch, as_batch


def step(
    state: State,
    batch: jax.Array | Batch,
    *,
    networks: Networks,
    tx_g: optax.GradientTransformation,
    tx_d: optax.GradientTransformation,
    objective: Objective = losses.NON_SATURATING,
    penalties: Sequence[Penalty] = (),
    lecam_weight: float = 0.0,
    augmentation: Augmentation | None = None,
    packing: int = 1,
    steps_d: int = 1,
    ema_half_life: float = 0.0,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """`steps_d` updates of D, each on fresh fakes, then one of G on the last fakes, through new D.

        z_i ~ N(0, I),  x̃_i = G(z_i)
        θ_D ← θ_D + tx_D(∇ mean_i [l_D(D(T x_i), D(T x̃_i)) + penalties_i])     steps_d times
        θ_G ← θ_G + tx_G(∇ mean_i l_G(D_new(T x_i), D_new(T G(z_i))))
        θ_EMA ← β_t θ_EMA + (1 − β_t) θ_G

    T augments x_i and x̃_i alike, and packs. A generated image has the label of the real one at its
    index.

    Args:
      state: see `State`.
      batch: real images `[steps_d·B, H, W, C]` in [0, 1], or a `Batch` with labels; update j of D
        takes those whose index is j modulo `steps_d`.
      networks, tx_g, tx_d: the networks and the optimisers of both players.
      objective: the two losses.
      penalties: gradient penalties on what D sees.
      lecam_weight: of the LeCam penalty; 0 leaves it out.
      augmentation: of what D sees.
      packing: m; D's network then takes m·C channels.
      steps_d: updates of D for each of G.
      ema_half_life: of the averaged generator, in real images; 0 keeps no average.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      InputError: images or labels are of another shape, or labels are not classes.
      ValueError: the batch cannot be divided as asked.

    Source: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, algorithm 1, except that G's
    update reuses the fakes of D's last.
    """
    whole = as_batch(batch, networks.classes, networks.image_shape)
    _check_sizes(whole.images.shape[0], steps_d, packing)
    size = whole.images.shape[0] // steps_d
    key = jax.random.fold_in(state.key, state.step)
    transforms = augmentation.transforms if augmentation is not None else ()
    penalty_d = jnp.float32(0)
    for j in range(steps_d):
        # Strided, so that part j of a device's shard is a shard of part j.
        batch_j = jax.tree.map(lambda x, j=j: x[j::steps_d], whole)
        draws = draw(jax.random.fold_in(key, j), size, networks.latent_size, packing, axis_name)
        # Bound now: G's update sees the images as D's last did.
        view = partial(see, draws.augment, state.controller.probability, transforms, packing)
        part = part_of(state, batch_j, draws, view, networks=networks, axis_name=axis_name)
        state, metrics = update_d(
            state,
            part,
            networks=networks,
            tx=tx_d,
            objective=objective,
            penalties=due(penalties, state.step * steps_d + j),
            lecam_weight=lecam_weight,
            augmentation=augmentation,
            axis_name=axis_name,
        )
        penalty_d += metrics["penalty_d"] / steps_d
    state, loss_g = update_g(
        state, part, networks=networks, tx=tx_g, objective=objective, axis_name=axis_name
    )
    images = parallel.psum(whole.images.shape[0], axis_name)
    decay = optim.ema_decay_by_images(state.step, images, ema_half_life)
    newest = Variables(state.params_g, state.stats_g)
    ema_g = optax.incremental_update(newest, state.ema_g, 1.0 - decay)
    return state._replace(step=state.step + 1, ema_g=ema_g), Info(
        **{**metrics, "loss_g": loss_g, "penalty_d": penalty_d}
    )


def _check_sizes(images: int, steps_d: int, packing: int) -> None:
    if images % steps_d:
        raise ValueError(f"{steps_d} updates of D do not divide the batch of {images} images")
    if images // steps_d % packing:
        raise ValueError(f"packing {packing} does not divide {images // steps_d} images")
