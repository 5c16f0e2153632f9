"""p(x|z): what the decoder's outputs mean, per example, in nats, in float32 at least.

A likelihood is summed over pixels, never averaged. It is defined for one kind of images: binary
ones, real numbers in [0, 1], or the 256 grey values k / 255.

Dimensions: B batch, H W C image, F outputs for a pixel, K components of a mixture.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys
from aigc_jax.density import bernoulli_nll, gaussian_log_density, sum_per_example, wide
from aigc_jax.logistic import (
    logistic_expectation,
    logistic_log_mass,
    logistic_masses,
    logistic_mean,
)


class Likelihood(NamedTuple):
    """A family of distributions over images, pixel by pixel.

    Attributes:
      outputs: `C -> F`, what the decoder gives for a pixel.
      nll: `(outputs [B, H, W, F + shared], x [B, H, W, C]) -> −log p(x|z) [B]`.
      mean: `(outputs) -> E[x|z] [B, H, W, C]`; in [0, 1] also where x may be any real number and
        its expectation is beyond: there it is the image with the least E[(x − image)² | z].
      shared: `C -> ` further outputs that are the same for all pixels and images.
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


def bernoulli_masses(logits: jax.Array) -> jax.Array:
    """(1 − σ(l), σ(l)), the smaller of them as exact as the larger: `[...]` → `[..., 2]`."""
    logits = wide(logits)
    return jnp.stack([jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)], axis=-1)


BERNOULLI = Likelihood(
    lambda channels: channels,
    bernoulli_nll,
    lambda logits: jax.nn.sigmoid(wide(logits)),
    levels=2,
    masses=bernoulli_masses,
)
"""x ∈ {0, 1}: p(x = 1) = σ(l)."""


def _polynomial(x: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    """Σ_i c_i xⁱ."""
    total = jnp.zeros_like(x)
    for c in reversed(coefficients):
        total = total * x + c
    return total


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
    small = size < 1.0  # where the series is exact, and the quotient less and less so
    safe = jnp.where(small, 1.0, size)
    squares = jnp.where(small, jnp.square(logits), 0.0)
    series = 0.5 * logits + _polynomial(squares, (0, 1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800))
    # max(l, 0) − x l by one product, which keeps what is left of two large and equal numbers.
    linear = jnp.where(logits > 0, 1.0 - x, -x) * logits
    exact = linear + jnp.log(-jnp.expm1(-safe) / safe)
    return sum_per_example(jnp.where(small, series - x * logits, exact))


def continuous_bernoulli_mean(logits: jax.Array) -> jax.Array:
    """E[x] = A′(l) = 1 / (1 − e⁻ˡ) − 1 / l, ½ at l = 0."""
    logits = wide(logits)
    small = jnp.abs(logits) < 1.0
    safe = jnp.where(small, 1.0, logits)
    slopes = _polynomial(jnp.square(logits), (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600))
    return jnp.where(small, 0.5 + logits * slopes, -1 / jnp.expm1(-safe) - 1 / safe)


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

    Adam moves a single number by its learning rate at most, so that from σ = 1 it takes thousands
    of steps to the σ of good reconstructions; until then whatever is weighed against them, such as
    a divergence, weighs a hundred times too much. At the best σ, −log p is least where the squared
    error is.

    E[x|z] is μ, for x as the likelihood sees it: for dequantised images, (256 μ − ½) / 255 are the
    grey values, within half a level of μ.

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
        lambda outputs: jnp.clip(wide(_split_gaussian(outputs)[0]), 0.0, 1.0),
        shared=lambda channels: channels,
    )


GAUSSIAN = gaussian(0.1)
"""σ begins at a tenth of the range of the pixels: reconstructions of digits end near 0.06."""


def binarise(keys: Keys, x: jax.Array) -> jax.Array:
    """x̂ ~ Bernoulli(x): keys `[B]`, grey values `[B, ...]` in [0, 1] → {0, 1} float32.

    Source: Salakhutdinov and Murray 2008; redrawn at every step as in Burda et al. 2016.
    """
    draw = jax.vmap(lambda key, image: jax.random.bernoulli(key, image))
    return draw(keys, jnp.float32(x)).astype(jnp.float32)


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


def _coefficients(outputs: jax.Array, components: int) -> tuple[jax.Array, ...]:
    """Those of red in green, of red in blue and of green in blue: `[..., K]` each."""
    shape = (*outputs.shape[:-1], 3, components)
    return tuple(jnp.moveaxis(jnp.tanh(outputs[..., -3 * components :].reshape(shape)), -2, 0))


def _conditional_means(
    means: jax.Array, outputs: jax.Array, x: jax.Array, components: int
) -> jax.Array:
    """The means of green and blue moved by the values before them: `[..., C, K]`."""
    if x.shape[-1] == 1:
        return means
    a, b, c = _coefficients(outputs, components)
    red, green = x[..., 0:1], x[..., 1:2]
    return jnp.stack(
        [
            means[..., 0, :],
            means[..., 1, :] + a * red,
            means[..., 2, :] + b * red + c * green,
        ],
        axis=-2,
    )


def _expected_colours(
    means: jax.Array, log_scales: jax.Array, coefficients: tuple[jax.Array, ...]
) -> jax.Array:
    """E[red], E[green] and E[blue] of each component, over its own red and green: `[..., 3, K]`."""
    (red, green, blue), scales = (jnp.moveaxis(a, -2, 0) for a in (means, log_scales))
    a, b, c = coefficients

    def given_red(r: jax.Array) -> tuple[jax.Array, jax.Array]:
        def blue_given_green(g: jax.Array) -> jax.Array:
            return logistic_mean(blue + b * r + c * g, scales[2])

        moved = green + a * r
        expected = logistic_expectation(blue_given_green, moved, scales[1], cells=16)
        return logistic_mean(moved, scales[1]), expected

    others = logistic_expectation(given_red, red, scales[0], cells=32)
    return jnp.stack([logistic_mean(red, scales[0]), *others], axis=-2)


def logistic_mixture(components: int = 10) -> Likelihood:
    """A mixture of discretised logistic distributions over the 256 grey values of each pixel.

        P(x) = Σ_k π_k Π_c P(x_c; μ_ck, s_ck)

    The components of a colour pixel's three channels are shared, and the means of green and blue
    depend linearly on the channels before them. `mean` is exact to 1e-5 for grey values and for
    red; for green and blue, which are expectations over their component's own red and green, to a
    fifth of a grey level.

    Args:
      components: K.

    Returns:
      A likelihood of images of one or three channels, x in {0, 1/255, …, 1}. F is 3K or 10K.

    Source: Salimans et al. 2017, https://arxiv.org/abs/1701.05517, section 2.1 and 2.2.
    """

    def outputs_for(channels: int) -> int:
        if channels not in (1, 3):
            raise ValueError(f"the mixture models images of 1 or 3 channels, not of {channels}")
        return (3 if channels == 1 else 10) * components

    def nll(outputs: jax.Array, x: jax.Array) -> jax.Array:
        outputs, x = wide(outputs), 2.0 * wide(x) - 1.0
        logits, means, log_scales = _mixture_parts(outputs, components)
        means = _conditional_means(means, outputs, x, components)
        spread = jnp.broadcast_to(x[..., None], means.shape)
        log_mass = logistic_log_mass(spread, means, log_scales).sum(-2)
        return -sum_per_example(jax.nn.logsumexp(jax.nn.log_softmax(logits) + log_mass, axis=-1))

    def mean(outputs: jax.Array) -> jax.Array:
        outputs = wide(outputs)
        logits, means, log_scales = _mixture_parts(outputs, components)
        if means.shape[-2] == 1:
            each = logistic_mean(means, log_scales)
        else:
            each = _expected_colours(means, log_scales, _coefficients(outputs, components))
        x = jnp.sum(jax.nn.softmax(logits)[..., None, :] * each, axis=-1)
        return jnp.clip(0.5 + 0.5 * x, 0.0, 1.0)

    def masses(outputs: jax.Array) -> jax.Array:
        logits, means, log_scales = _mixture_parts(wide(outputs), components)
        if means.shape[-2] != 1:
            raise ValueError(
                "the mixture has no table of masses for colours, as green and blue depend on the "
                "channels before them"
            )
        weights = jax.nn.softmax(logits)[..., None, :]

        def add(total: jax.Array, component: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
            weight, mean, log_scale = component
            return total + weight[..., None] * logistic_masses(mean, log_scale), None

        # One component after the other, so that no table of all of them is ever in memory: a tenth
        # of the time on a CPU.
        each = [jnp.moveaxis(a, -1, 0) for a in (weights, means, log_scales)]
        return jax.lax.scan(add, jnp.zeros((*means.shape[:-1], 256), means.dtype), tuple(each))[0]

    return Likelihood(outputs_for, nll, mean, levels=256, masses=masses)


LOGISTIC_MIXTURE = logistic_mixture()
"""Ten components."""

LIKELIHOODS = {
    "bernoulli": BERNOULLI,
    "continuous_bernoulli": CONTINUOUS_BERNOULLI,
    "gaussian": GAUSSIAN,
    "logistic_mixture": LOGISTIC_MIXTURE,
}
"""By name."""
PIXELS = {"none": None, "binarise": binarise, "dequantise": dequantise}
"""Transforms of grey values at every step, by name."""
