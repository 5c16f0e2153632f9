"""The update of either player, with the other held fixed.

Dimensions: B batch, Z latent, H W C image.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Params
from aigc_jax.gan.augment import Augmentation, update_controller
from aigc_jax.gan.losses import Objective
from aigc_jax.gan.model import Networks, State, Variables
from aigc_jax.gan.penalties import LeCam, lecam
from aigc_jax.gan.view import Draws, View
from aigc_jax.image_batch import Batch

LECAM_DECAY = 0.99


class Part(NamedTuple):
    """What an update of D works on, and the update of G that reuses its fakes.

    Attributes:
      fakes: G(z) `[B, H, W, C]`.
      pullback: of that, from a gradient with respect to the fakes to one of G's parameters. So
        both updates share one pass through G; left to XLA, they would share little of it.
      stats_g: G's statistics after that pass.
    """

    batch: Batch
    draws: Draws
    view: View
    fakes: jax.Array
    pullback: Callable[[jax.Array], tuple[Params]]
    stats_g: Any


def part_of(
    state: State,
    batch: Batch,
    draws: Draws,
    view: View,
    *,
    networks: Networks,
    axis_name: str | None,
) -> Part:
    """Generates the fakes of an update."""

    def generate(params_g):
        g = Variables(params_g, state.stats_g)
        return networks.generate(g, draws.z, batch.labels, True, axis_name)

    return Part(batch, draws, view, *jax.vjp(generate, state.params_g, has_aux=True))


def update_d(
    state: State,
    part: Part,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    objective: Objective,
    penalties: Callable[..., jax.Array],
    lecam_weight: float,
    augmentation: Augmentation | None,
    axis_name: str | None,
) -> tuple[State, dict[str, jax.Array]]:
    """D's update, the generator held fixed; also updates what controls it, ADA and LeCam.

    Returns:
      The state, and the metrics of `Info` that D's update computes.
    """
    batch, draws, view = part.batch, part.draws, part.view
    seen_real, seen_fake = view(batch.images), view(part.fakes)

    def loss(params_d):
        def discriminate(images):
            d = Variables(params_d, state.stats_d)
            return networks.discriminate(d, images, batch.labels, True, axis_name)

        # Two passes, since batch statistics of a mixture would tell D which image is which.
        (real, stats_d), (fake, _) = discriminate(seen_real), discriminate(seen_fake)
        main = objective.discriminator(real, fake)
        extra = penalties(
            lambda x: discriminate(x)[0], seen_real, seen_fake, draws.penalty, axis_name
        )
        if lecam_weight:
            extra += lecam_weight * lecam(real, fake, state.lecam)
        sums = [jnp.sum(x) for x in (main, extra, real, fake, jnp.sign(real))]
        return main + extra, jnp.ones_like(main), sums, stats_d

    _, means, grads, stats_d = parallel.mean_and_grad(loss, axis_name)(state.params_d)
    loss_d, penalty_d, logit_real, logit_fake, sign_real = means
    updates, opt_state_d = tx.update(grads, state.opt_state_d, state.params_d)
    probability = state.controller.probability
    state = state._replace(
        params_d=optax.apply_updates(state.params_d, updates),
        stats_d=stats_d,
        opt_state_d=opt_state_d,
        lecam=optim.update_ema(state.lecam, LeCam(logit_real, logit_fake), state.step, LECAM_DECAY),
    )
    if augmentation is not None and augmentation.target is not None:
        images = parallel.psum(batch.images.shape[0], axis_name)
        moved = update_controller(state.controller, sign_real, images, augmentation)
        state = state._replace(controller=moved)
    return state, {
        "loss_d": loss_d,
        "penalty_d": penalty_d,
        "logit_real": logit_real,
        "logit_fake": logit_fake,
        "augment_probability": probability,
    }


def update_g(
    state: State,
    part: Part,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    objective: Objective,
    axis_name: str | None,
) -> tuple[State, jax.Array]:
    """G's update through D, which is held fixed.

    Returns:
      The state, and the mean loss.
    """
    batch, d = part.batch, Variables(state.params_d, state.stats_d)

    def loss(fakes):
        # Only a relativistic loss uses the real logits; XLA drops them where none does.
        real, fake = (
            networks.discriminate(d, part.view(x), batch.labels, True, axis_name)[0]
            for x in (batch.images, fakes)
        )
        return objective.generator(real, fake), jnp.ones_like(fake), ()

    mean, _, grads = parallel.mean_and_grad(loss, axis_name, pullback=part.pullback)(part.fakes)
    updates, opt_state_g = tx.update(grads, state.opt_state_g, state.params_g)
    params_g = optax.apply_updates(state.params_g, updates)
    return state._replace(params_g=params_g, stats_g=part.stats_g, opt_state_g=opt_state_g), mean
