"""One GAN update, as a pure function of state and batch.

Dimensions: B batch, Z latent, H W C image, m images packed into one input of D.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys
from aigc_jax.gan import losses
from aigc_jax.gan.augment import Augmentation, augment, update_controller
from aigc_jax.gan.losses import Objective
from aigc_jax.gan.penalties import Critic, LeCam, Penalty, lecam
from aigc_jax.gan.state import Batch, Info, Networks, State, Variables, as_batch, latents

LECAM_DECAY = 0.99
_BLOCK = 1000  # samples that are drawn at once, since activations take far more room than images
View = Callable[[jax.Array], jax.Array]  # images [B, H, W, C] -> what D sees [B/m, H, W, mC]


class Draws(NamedTuple):
    """The randomness of one update of D, and of the update of G that reuses its fakes."""

    z: jax.Array  # [B, Z]
    augment: Keys  # [B]
    penalty: Keys  # [B/m]


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
    place.

    Args:
      state: see `State`.
      batch: real images `[steps_d·B, H, W, C]` in [0, 1], or a `Batch` with labels; update j of D
        takes those whose index is j modulo `steps_d`.
      networks, tx_g, tx_d: the networks and the optimisers of either player.
      objective: the two losses.
      penalties: gradient penalties on what D sees.
      lecam_weight: of the LeCam penalty; 0 leaves it out.
      augmentation: what D sees the images through.
      packing: m; D's network then takes m·C channels.
      steps_d: updates of D for each of G.
      ema_half_life: of the averaged generator, in real images; 0 keeps no average.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      ValueError: the batch cannot be divided as asked, or labels are missing.

    Source: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, algorithm 1, except that G's
    update reuses the fakes of D's last.
    """
    whole = as_batch(batch, networks)
    _check_sizes(whole.images.shape[0], steps_d, packing)
    size = whole.images.shape[0] // steps_d
    key = jax.random.fold_in(state.key, state.step)
    transforms = augmentation.transforms if augmentation is not None else ()
    penalty_d = jnp.float32(0)
    for j in range(steps_d):
        # Strided, so that part j of a device's shard is a shard of part j.
        part = jax.tree.map(lambda x, j=j: x[j::steps_d], whole)
        draws = draw(jax.random.fold_in(key, j), size, networks.latent_size, packing, axis_name)
        # Bound now: G's update sees the images as D's last did.
        view = partial(see, draws.augment, state.controller.probability, transforms, packing)
        state, figures = update_d(
            state,
            part,
            draws,
            view,
            networks=networks,
            tx=tx_d,
            objective=objective,
            penalties=_due(penalties, state.step * steps_d + j),
            lecam_weight=lecam_weight,
            augmentation=augmentation,
            axis_name=axis_name,
        )
        penalty_d += figures["penalty_d"] / steps_d
    state, loss_g = update_g(
        state,
        part,
        draws,
        view,
        networks=networks,
        tx=tx_g,
        objective=objective,
        axis_name=axis_name,
    )
    images = parallel.psum(whole.images.shape[0], axis_name)
    decay = optim.ema_decay_by_images(state.step, images, ema_half_life)
    newest = Variables(state.params_g, state.stats_g)
    ema_g = optax.incremental_update(newest, state.ema_g, 1.0 - decay)
    return state._replace(step=state.step + 1, ema_g=ema_g), Info(
        **{**figures, "loss_g": loss_g, "penalty_d": penalty_d}
    )


def draw(
    key: Key, size: int, latent_size: int, packing: int = 1, axis_name: str | None = None
) -> Draws:
    """The randomness of `size` examples on this device, each from its own key."""
    keys = parallel.example_keys(key, size, axis_name)
    of_z, of_augment, of_penalty = (
        jax.vmap(lambda k, n=n: jax.random.fold_in(k, n))(keys) for n in range(3)
    )
    return Draws(latents(of_z, latent_size), of_augment, of_penalty[::packing])


def see(keys: Keys, probability, transforms, packing: int, images: jax.Array) -> jax.Array:
    """T: the images augmented and packed, `[B, H, W, C]` → `[B/m, H, W, mC]`."""
    return pack(augment(keys, images, transforms, probability), packing)


def pack(images: jax.Array, m: int) -> jax.Array:
    """m neighbours as the channels of one input: `[B, H, W, C]` → `[B/m, H, W, mC]`.

    Source: PacGAN, Lin et al. 2018, https://arxiv.org/abs/1712.04086.
    """
    size, height, width, channels = images.shape
    groups = images.reshape(size // m, m, height, width, channels).transpose(0, 2, 3, 1, 4)
    return groups.reshape(size // m, height, width, m * channels)


def update_d(
    state: State,
    batch: Batch,
    draws: Draws,
    view: View,
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
    batch: Batch,
    draws: Draws,
    view: View,
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


def sample(
    state: State, key: Key, n: int, labels: jax.Array | None = None, *, networks: Networks
) -> jax.Array:
    """n images of the averaged generator, `[n, H, W, C]` in [0, 1]; each of its own key.

    Args:
      state: see `State`.
      key: decides them.
      n: how many.
      labels: int `[n]`, of class-conditional networks; None takes the classes in turn.
      networks: as trained.
    """
    z = latents(parallel.example_keys(key, n), networks.latent_size)
    if networks.classes and labels is None:
        labels = jnp.arange(n) % networks.classes

    def generate(z, labels):
        return networks.generate(state.ema_g, z, labels, False, None)[0]

    if n <= _BLOCK:
        return generate(z, labels)
    blocks = -(-n // _BLOCK)

    def in_blocks(x):
        padded = jnp.pad(x, [(0, blocks * _BLOCK - n), *[(0, 0)] * (x.ndim - 1)])
        return padded.reshape(blocks, _BLOCK, *x.shape[1:])

    images = jax.lax.map(lambda pair: generate(*pair), jax.tree.map(in_blocks, (z, labels)))
    return images.reshape(blocks * _BLOCK, *images.shape[2:])[:n]


def _check_sizes(images: int, steps_d: int, packing: int) -> None:
    if images % steps_d:
        raise ValueError(f"{steps_d} updates of D do not divide the batch of {images} images")
    if images // steps_d % packing:
        raise ValueError(f"packing {packing} does not divide {images // steps_d} images")


def _due(penalties: Sequence[Penalty], count: jax.Array) -> Callable[..., jax.Array]:
    """The weighted sum of the penalties that fall on update `count` of D, counted from 0."""

    def total(critic: Critic, real: jax.Array, *rest) -> jax.Array:
        nothing = jnp.zeros(real.shape[0])
        found = nothing
        for penalty in penalties:

            def compute(penalty=penalty):
                return penalty.every * penalty.weight * penalty.function(critic, real, *rest)

            if penalty.every == 1:
                found += compute()
            else:
                found += jax.lax.cond(count % penalty.every == 0, compute, lambda: nothing)
        return found

    return total
