"""What is added to the discriminator's loss: gradient penalties and LeCam, per example, in float32.

Every gradient is that of Σ_i D(x_i) with respect to the images. As D treats each image on its own,
row i of it is ∇D(x_i), whatever the size of the batch; the gradient of the mean would shrink with
it. Squares are summed over all pixels of an image and never over images.

Pixels lie in [0, 1]. Papers that scale them to [−1, 1] have gradients half as large, so their γ is
four times ours for the same strength. A target norm of 1, too, is for pixels in [0, 1].

Gradients are taken at what D sees, after augmentation and packing. The official code of ADA and
R3GAN takes them through the augmentation, at the images before it; without one there is no
difference.

Dimensions: B batch, H W C image.
"""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax import parallel
from aigc_jax.algorithm import Keys
from aigc_jax.settings import Settings, constant, setting

Critic = Callable[[jax.Array], jax.Array]  # images [B, H, W, C] -> logits [B]


def squared_gradient_norm(critic: Critic, images: jax.Array) -> jax.Array:
    """‖∇D(x_i)‖², summed over the pixels of each image: `[B, H, W, C]` → `[B]`."""
    gradients = jax.grad(lambda x: jnp.sum(critic(x)))(images)
    return jnp.sum(jnp.square(jnp.float32(gradients)), axis=(1, 2, 3))


def _norm(squared: jax.Array) -> jax.Array:
    # The root's derivative at 0 is infinite, and a flat critic must not give NaN.
    return jnp.sqrt(jnp.maximum(squared, 1e-12))


def r1(
    critic: Critic, real: jax.Array, fake: jax.Array, keys: Keys, axis_name: str | None = None
) -> jax.Array:
    """½ ‖∇D(x)‖² at real images: `[B]`.

    Source: Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 9.
    """
    return 0.5 * squared_gradient_norm(critic, real)


def r2(
    critic: Critic, real: jax.Array, fake: jax.Array, keys: Keys, axis_name: str | None = None
) -> jax.Array:
    """½ ‖∇D(G(z))‖² at generated images: `[B]`.

    Source: Mescheder et al. 2018, equation 10.
    """
    return 0.5 * squared_gradient_norm(critic, fake)


def wgan_gp(
    critic: Critic, real: jax.Array, fake: jax.Array, keys: Keys, axis_name: str | None = None
) -> jax.Array:
    """(‖∇D(x̂)‖ − 1)² at x̂ = ε x + (1 − ε) G(z), one ε ~ U(0, 1) for each image: `[B]`.

    Source: Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, equation 3 (λ = 10).
    """
    mix = _one_per_image(keys)
    between = mix * real + (1 - mix) * fake
    return jnp.square(_norm(squared_gradient_norm(critic, between)) - 1)


def dragan(
    critic: Critic, real: jax.Array, fake: jax.Array, keys: Keys, axis_name: str | None = None
) -> jax.Array:
    """(‖∇D(x̂)‖ − 1)² near real images, x̂ = x + ε ½ std(x) u: `[B]`.

    ε ~ U(0, 1) is drawn for each image, u ~ U(0, 1) for each pixel; std(x) is that of all pixels of
    the whole batch, on all devices.

    Source: Kodali et al. 2017, https://arxiv.org/abs/1705.07215 (λ = 10), with the noise of the
    authors' code.
    """
    total, squares, count = parallel.psum(
        (jnp.sum(real), jnp.sum(jnp.square(real)), jnp.float32(real.size)), axis_name
    )
    deviation = jnp.sqrt(jnp.maximum(squares / count - jnp.square(total / count), 0.0))
    noise = jax.vmap(
        lambda key: jax.random.uniform(jax.random.fold_in(key, 1), real.shape[1:], real.dtype)
    )(keys)
    near = real + _one_per_image(keys) * (0.5 * deviation * noise)
    return jnp.square(_norm(squared_gradient_norm(critic, near)) - 1)


def _one_per_image(keys: Keys) -> jax.Array:
    """U(0, 1), `[B, 1, 1, 1]`: the same for all pixels of an image."""
    draws = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 0), (), jnp.float32))(
        keys
    )
    return draws[:, None, None, None]


@dataclass(frozen=True, repr=False)
class Penalty(Settings):
    """A gradient penalty, its weight, and how often it is computed.

    Attributes:
      function: `(critic, real, fake, keys [B], axis_name) -> [B]`, one of those above or your own.
      weight: what it is multiplied by: γ, or λ.
      every: n: it is computed at every n-th update of D and then also multiplied by n, so that its
        mean over time does not change ("lazy").
    """

    function: Callable[..., jax.Array] = constant(
        {"r1": r1, "r2": r2, "wgan_gp": wgan_gp, "dragan": dragan}
    )
    weight: float = setting(
        MISSING,
        "Its weight: γ of R1 and R2 (pixels in [0, 1]), or λ. Where --penalty differs from the "
        "preset's: 0.5 for γ, 10 for λ.",
        name="penalty_weight",
    )
    every: int = setting(
        1,
        "Updates of D between penalties, which are multiplied by this number.",
        name="penalty_every",
    )


PENALTIES: dict[str, tuple[Penalty, ...]] = {
    "none": (),
    "r1": (Penalty(r1, 0.5),),
    "r2": (Penalty(r2, 0.5),),
    "r1_r2": (Penalty(r1, 0.5), Penalty(r2, 0.5)),
    "wgan_gp": (Penalty(wgan_gp, 10.0),),
    "dragan": (Penalty(dragan, 10.0),),
}
"""By name, each with its usual weight."""


def due(penalties: Sequence[Penalty], count: jax.Array) -> Callable[..., jax.Array]:
    """The weighted sum of the penalties that are due at update `count` of D, counted from 0."""

    def total(critic: Critic, real: jax.Array, *rest) -> jax.Array:
        nothing = jnp.zeros(real.shape[0], jnp.float32)
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


class LeCam(NamedTuple):
    """Moving averages of the discriminator's mean logits, as `optim.update_ema` keeps them."""

    real: jax.Array  # float32 []
    fake: jax.Array  # float32 []


def lecam(logits_real: jax.Array, logits_fake: jax.Array, averages: LeCam) -> jax.Array:
    """max(0, D(x) − α_fake)² + max(0, α_real − D(G(z)))²: `[B]`.

    α_real and α_fake are moving averages of the mean logits, constants to the gradient: the
    penalty holds back a gap between the two that grows beyond its average.

    Source: Tseng et al. 2021, https://arxiv.org/abs/2104.03310, equation 5 with the rectifiers of
    the authors' code.
    """
    above = jax.nn.relu(jnp.float32(logits_real) - averages.fake)
    below = jax.nn.relu(averages.real - jnp.float32(logits_fake))
    return jnp.square(above) + jnp.square(below)
