"""The update of either player, with the other held still.

Dimensions: B batch, Z latent, H W C image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.gan.augment import Augmentation, update_controller
from aigc_jax.gan.losses import Objective
from aigc_jax.gan.penalties import LeCam, lecam
from aigc_jax.gan.state import Batch, Networks, State, Variables
from aigc_jax.gan.view import Draws, View

LECAM_DECAY = 0.99


class Part(NamedTuple):
    """What an update of D works on, and the update of G that reuses its fakes."""

    batch: Batch
    draws: Draws
    view: View


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
    """D's update, the generator held still; also moves what controls it, ADA and LeCam.

    Returns:
      The state, and the figures of `Info` that D's update computes.
    """
    batch, draws, view = part
    g = Variables(state.params_g, state.stats_g)
    fakes, _ = networks.generate(g, draws.z, batch.labels, True, axis_name)
    seen_real, seen_fake = view(batch.images), view(fakes)

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
    """G's update through D, which is held still.

    Returns:
      The state, and the mean loss.
    """
    batch, draws, view = part
    d = Variables(state.params_d, state.stats_d)

    def loss(params_g):
        # The same fakes as D's, of which XLA shares what it can with this pass: nearly all of a
        # network without batch normalisation, somewhat less than half of one with it.
        g = Variables(params_g, state.stats_g)
        fakes, stats_g = networks.generate(g, draws.z, batch.labels, True, axis_name)
        # Only a relativistic loss looks at the real logits; XLA drops them where none does.
        real, fake = (
            networks.discriminate(d, view(x), batch.labels, True, axis_name)[0]
            for x in (batch.images, fakes)
        )
        return objective.generator(real, fake), jnp.ones_like(fake), (), stats_g

    mean, _, grads, stats_g = parallel.mean_and_grad(loss, axis_name)(state.params_g)
    updates, opt_state_g = tx.update(grads, state.opt_state_g, state.params_g)
    params_g = optax.apply_updates(state.params_g, updates)
    return state._replace(params_g=params_g, stats_g=stats_g, opt_state_g=opt_state_g), mean
