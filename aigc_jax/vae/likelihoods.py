"""p(x|z): what the decoder's outputs mean, per example, in nats, in float32 at least.

A likelihood is summed over pixels, never averaged. Which images it is a likelihood of is part of
it: of binary ones, of real numbers in [0, 1], or of the 256 grey values k / 255.

Dimensions: B batch, H W C image, F outputs for a pixel, K components of a mixture.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys
from aigc_jax.vae.losses import bernoulli_nll, gaussian_log_density, wide


class Likelihood(NamedTuple):
    """A family of distributions over images, pixel by pixel.

    Attributes:
      outputs: `C -> F`, what the decoder gives for a pixel.
      nll: `(outputs [B, H, W, F + shared], x [B, H, W, C]) -> −log p(x|z) [B]`.
      mean: `(outputs) -> E[x|z] [B, H, W, C]` in [0, 1].
      shared: `C -> ` further outputs that are one for all pixels and images.
      levels: how many values a pixel may take; 0 for densities.
      masses: `(outputs) -> probabilities [B, H, W, C, levels]` of all those values, which an
        entropy coder needs; None for densities.
    """

    outputs: Callable[[int], int]
    nll: Callable[[jax.Array, jax.Array], jax.Array]
    mean: Callable[[jax.Array], jax.Array]
    shared: Callable[[int], int] = lambda channels: 0
    levels: int = 0
    masses: Callable[[jax.Array], jax.Array] | None = None


def _sum(x: jax.Array) -> jax.Array:
    return jnp.sum(x.reshape(x.shape[0], -1), axis=-1)


def bernoulli_masses(logits: jax.Array) -> jax.Array:
    """(1 − σ(l), σ(l)), the smaller of them as exact as the larger: `[...]` → `[..., 2]`."""
    logits = wide(logits)
    return jnp.stack([jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)], axis=-1)


BERNOULLI = Likelihood(
    lambda channels: channels,
    bernoulli_nll,
    jax.nn.sigmoid,
    levels=2,
    masses=bernoulli_masses,
)
"""x ∈ {0, 1}: p(x = 1) = σ(l)."""


def continuous_bernoulli_nll(logits: jax.Array, x: jax.Array) -> jax.Array:
    """−log p(x|z) = Σ_d [A(l_d) − x_d l_d],   A(l) = log ∫₀¹ e^{xl} dx = log((eˡ − 1) / l).

    The cross-entropy of grey values, with the constant that makes it a density on [0, 1].

    Args:
      logits: l, `[B, ...]`.
      x: `[B, ...]` in [0, 1].

    Returns:
      `[B]` nats.

    Source: Loaiza-Ganem and Cunningham 2019, https://arxiv.org/abs/1907.06845, equations 5 to 7.
    """
    logits, x = wide(logits), wide(x)
    size = jnp.abs(logits)
    small = size < 1e-2  # where the series l/2 + l²/24 is exact, and the quotient is not
    safe = jnp.where(small, 1.0, size)
    series = 0.5 * logits + jnp.square(logits) / 24
    exact = jnp.maximum(logits, 0.0) + jnp.log(-jnp.expm1(-safe) / safe)
    return _sum(jnp.where(small, series, exact) - x * logits)


def continuous_bernoulli_mean(logits: jax.Array) -> jax.Array:
    """E[x] = A′(l) = 1 / (1 − e⁻ˡ) − 1 / l, ½ at l = 0."""
    small = jnp.abs(logits) < 1e-2
    safe = jnp.where(small, 1.0, logits)
    return jnp.where(small, 0.5 + logits / 12, -1 / jnp.expm1(-safe) - 1 / safe)


CONTINUOUS_BERNOULLI = Likelihood(
    lambda channels: channels, continuous_bernoulli_nll, continuous_bernoulli_mean
)
"""x ∈ [0, 1], with a density."""


def _split_gaussian(outputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean, log_variance = jnp.split(outputs, 2, axis=-1)
    return mean, log_variance


def gaussian_nll(outputs: jax.Array, x: jax.Array) -> jax.Array:
    """−log N(x; μ, σ²), with a σ of each image channel that is learned and the same everywhere.

    Args:
      outputs: μ and log σ², `[B, H, W, 2C]`.
      x: `[B, H, W, C]`, dequantised for a density that bounds the images' discrete likelihood.

    Returns:
      `[B]` nats. Source: Rybkin et al. 2021, https://arxiv.org/abs/2006.13202.
    """
    mean, log_variance = (a.reshape(len(x), -1) for a in _split_gaussian(outputs))
    return -gaussian_log_density(x.reshape(len(x), -1), mean, log_variance)


def gaussian(deviation: float) -> Likelihood:
    """x real, with a density; the learned σ = σ₀ e^{s/2} of each channel begins at σ₀.

    Adam moves a lone number by its learning rate at most, so that from σ = 1 it takes thousands of
    steps to the σ of good reconstructions; until then whatever is weighed against them, such as a
    divergence, weighs a hundred times too much. At the best σ, −log p is least where the squared
    error is.

    Args:
      deviation: σ₀, of pixels in [0, 1].
    """
    log_variance = 2.0 * math.log(deviation)

    def nll(outputs: jax.Array, x: jax.Array) -> jax.Array:
        mean, shift = _split_gaussian(outputs)
        return gaussian_nll(jnp.concatenate([mean, log_variance + shift], axis=-1), x)

    return Likelihood(
        lambda channels: channels,
        nll,
        lambda outputs: jnp.clip(_split_gaussian(outputs)[0], 0.0, 1.0),
        shared=lambda channels: channels,
    )


GAUSSIAN = gaussian(0.1)
"""σ begins at a tenth of the range of the pixels: reconstructions of digits end near 0.06."""


def dequantise(keys: Keys, x: jax.Array) -> jax.Array:
    """(255 x + u) / 256, u ~ U[0, 1): grey values k / 255 to real ones, spread over their bins.

    A density's mean −log p of these is at least the discrete −log P of the images − D log 256.

    Args:
      keys: `[B]`.
      x: `[B, ...]` in {0, 1/255, …, 1}.

    Source: Theis et al. 2016, https://arxiv.org/abs/1511.01844, section 3.1.
    """
    noise = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:], jnp.float32))(keys)
    return (255.0 * x + noise) / 256.0


def _mixture_parts(outputs: jax.Array, components: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Logits of the weights `[..., K]`, and means and log scales `[..., C, K]`, the means raw."""
    channels = 1 if outputs.shape[-1] == 3 * components else 3
    logits, rest = outputs[..., :components], outputs[..., components:]
    shape = (*outputs.shape[:-1], channels, components)
    means = rest[..., : channels * components].reshape(shape)
    log_scales = rest[..., channels * components : 2 * channels * components].reshape(shape)
    return logits, means, jnp.maximum(log_scales, -7.0)


def _conditional_means(
    means: jax.Array, outputs: jax.Array, x: jax.Array, components: int
) -> jax.Array:
    """The means of green and blue moved by the values before them: `[..., 3, K]`."""
    if x.shape[-1] == 1:
        return means
    shape = (*outputs.shape[:-1], 3, components)
    a, b, c = jnp.moveaxis(jnp.tanh(outputs[..., -3 * components :].reshape(shape)), -2, 0)
    red, green = x[..., 0:1], x[..., 1:2]
    return jnp.stack(
        [
            means[..., 0, :],
            means[..., 1, :] + a * red,
            means[..., 2, :] + b * red + c * green,
        ],
        axis=-2,
    )


def logistic_log_mass(x: jax.Array, mean: jax.Array, log_scale: jax.Array) -> jax.Array:
    """log P(x) of a logistic distribution whose mass falls into 256 bins, the outer ones open.

        P = σ(b) − σ(a),   a, b = (x ∓ 1/255 − μ) / s;   b = ∞ at x = 1, a = −∞ at x = −1

    taken as log σ(b) + log σ(−a) + log(1 − e^{a−b}), which is the same and never cancels.

    Args:
      x: in {−1, −1 + 2/255, …, 1}.
      mean, log_scale: μ and log s, of x's shape.

    Returns:
      nats, of x's shape.
    """
    inverse = jnp.exp(-log_scale)
    upper = (x + 1 / 255 - mean) * inverse
    lower = (x - 1 / 255 - mean) * inverse
    log_upper = jnp.where(x > 0.999, 0.0, jax.nn.log_sigmoid(upper))
    log_lower = jnp.where(x < -0.999, 0.0, jax.nn.log_sigmoid(-lower))
    both = jnp.where(jnp.abs(x) > 0.999, 0.0, jnp.log(-jnp.expm1(-2 / 255 * inverse)))
    return log_upper + log_lower + both


def _logistic_masses(mean: jax.Array, log_scale: jax.Array) -> jax.Array:
    """exp of `logistic_log_mass` at all 256 values: `[...]` → `[..., 256]`."""
    level = jnp.arange(256).reshape(*(1,) * mean.ndim, 256)
    x = 2.0 / 255.0 * level - 1.0
    mean, inverse = mean[..., None], jnp.exp(-log_scale)[..., None]
    # The product of the two sigmoids is over the product of their denominators, 1 at open ends.
    above = jnp.where(level == 255, 0.0, jnp.exp((mean - x - 1 / 255) * inverse))
    below = jnp.where(level == 0, 0.0, jnp.exp((x - 1 / 255 - mean) * inverse))
    both = jnp.where((level == 0) | (level == 255), 1.0, -jnp.expm1(-2 / 255 * inverse))
    return both / ((1.0 + above) * (1.0 + below))


def logistic_mixture(components: int = 10) -> Likelihood:
    """A mixture of discretised logistic distributions over the 256 grey values of each pixel.

        P(x) = Σ_k π_k Π_c P(x_c; μ_ck, s_ck)

    The components of a colour pixel's three channels are shared, and the means of green and blue
    depend linearly on the channels before them.

    Args:
      components: K.

    Returns:
      A likelihood of images of one or three channels, x in {0, 1/255, …, 1}. F is 3K or 10K.

    Source: Salimans et al. 2017, https://arxiv.org/abs/1701.05517, section 2.1 and 2.2.
    """

    def outputs_for(channels: int) -> int:
        if channels not in (1, 3):
            raise ValueError(f"the mixture is of images of 1 or 3 channels, not of {channels}")
        return (3 if channels == 1 else 10) * components

    def nll(outputs: jax.Array, x: jax.Array) -> jax.Array:
        outputs, x = wide(outputs), 2.0 * wide(x) - 1.0
        logits, means, log_scales = _mixture_parts(outputs, components)
        means = _conditional_means(means, outputs, x, components)
        spread = jnp.broadcast_to(x[..., None], means.shape)
        log_mass = logistic_log_mass(spread, means, log_scales).sum(-2)
        return -_sum(jax.nn.logsumexp(jax.nn.log_softmax(logits) + log_mass, axis=-1))

    def mean(outputs: jax.Array) -> jax.Array:
        # Of the logistic distributions before they are discretised, each cut to the range.
        logits, means, _ = _mixture_parts(outputs, components)
        weights = jax.nn.softmax(logits)[..., None, :]
        if means.shape[-2] == 1:
            return jnp.clip(0.5 + 0.5 * jnp.sum(weights * jnp.clip(means, -1, 1), -1), 0.0, 1.0)
        x = jnp.zeros((*means.shape[:-2], 3))
        for _ in range(3):  # a channel is known once those before it are
            moved = _conditional_means(means, outputs, x, components)
            x = jnp.sum(weights * jnp.clip(moved, -1, 1), -1)
        return jnp.clip(0.5 + 0.5 * x, 0.0, 1.0)

    def masses(outputs: jax.Array) -> jax.Array:
        logits, means, log_scales = _mixture_parts(wide(outputs), components)
        if means.shape[-2] != 1:
            raise ValueError(
                "the mixture gives no table of masses for colours, as green and blue depend on the "
                "channels before them"
            )
        weights = jax.nn.softmax(logits)[..., None, :]

        def add(total: jax.Array, component: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
            weight, mean, log_scale = component
            return total + weight[..., None] * _logistic_masses(mean, log_scale), None

        # One component after the other, so that no table of all of them is ever in memory: a tenth
        # of the time on a CPU.
        each = [jnp.moveaxis(a, -1, 0) for a in (weights, means, log_scales)]
        return jax.lax.scan(add, jnp.zeros((*means.shape[:-1], 256), means.dtype), tuple(each))[0]

    return Likelihood(outputs_for, nll, mean, levels=256, masses=masses)


LOGISTIC_MIXTURE = logistic_mixture()
"""Ten components."""
