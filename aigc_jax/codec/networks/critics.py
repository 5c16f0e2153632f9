"""Discriminators of images, videos and sounds that judge many places of a signal.

Dimensions: B batch, H W C image, T samples or frames, P positions.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax import spectral
from aigc_jax.codec.model import Critics, Judgement
from aigc_jax.convolution import conv, conv_down
from aigc_jax.layers import Convolution, Dense
from aigc_jax.nn.functions import pure_functions


def _activation(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.1)


class Patches(nn.Module):
    """A logit for each place of an image: convolutions 4×4 of stride 2, then 3×3.

    Source: Isola et al. 2017, https://arxiv.org/abs/1611.07004, section 3.2.2.

    Attributes:
      width: channels after the first halving; they double with each.
      halvings: how many.
    """

    width: int
    halvings: int

    @nn.compact
    def __call__(self, x: jax.Array) -> Judgement:
        below, right = (-side % 2**self.halvings for side in x.shape[1:3])
        h = jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
        features = []
        for i in range(self.halvings):
            h = _activation(Convolution(conv_down, self.width * 2**i, 4)(h))
            features.append(h)
        h = _activation(Convolution(conv, h.shape[-1], 3)(h))
        features.append(h)
        logits = Convolution(conv, 1, 1)(h)
        return logits.reshape(len(x), -1), tuple(features)


class Period(nn.Module):
    """A logit for each stretch of every p-th sample: `[B, T]` → p sequences, each convolved alone.

    Source: Kong et al. 2020 (HiFi-GAN), https://arxiv.org/abs/2010.05646, section 2.3.
    """

    period: int
    width: int
    stride: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> Judgement:
        batch, p = len(x), self.period
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % p)))
        h = x.reshape(batch, -1, p).swapaxes(1, 2).reshape(batch * p, -1, 1)
        features = []
        for i in range(3):
            h = _activation(Strided(self.width * 2**i, self.stride)(h))
            features.append(h.reshape(batch, p, *h.shape[1:]))
        logits = Dense(1)(h)
        return logits.reshape(batch, -1), tuple(features)


class Strided(nn.Module):
    """A convolution of kernel 2s and stride s in one dimension: `[B, T, C]` → `[B, ⌈T/s⌉, F]`."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, channels = x.shape
        x = jnp.pad(x, ((0, 0), (0, -length % self.stride), (0, 0)))
        new = x.reshape(batch, -1, self.stride * channels)
        old = jnp.pad(new, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        initial = nn.initializers.he_normal()
        return Dense(self.features, kernel_init=initial)(jnp.concatenate([old, new], axis=-1))


class Spectrogram(nn.Module):
    """`Patches` of a complex STFT, real and imaginary part as channels.

    Source: Défossez et al. 2022 (EnCodec), https://arxiv.org/abs/2210.13438, section 3.3, of one
    band.
    """

    window: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> Judgement:
        found = spectral.stft(x, self.window, self.window // 4)
        parts = jnp.stack([found.real, found.imag], axis=-1) / (self.window / 8)
        return Patches(self.width, 3)(parts)


def _critics(shapes: tuple[int, ...], modules: list[nn.Module], prepare: Callable) -> Critics:
    parts = {f"critic_{i}": (module, shapes) for i, module in enumerate(modules)}
    init, *judges = pure_functions(**parts)
    return Critics(init, lambda params, x: tuple(judge(params, prepare(x)) for judge in judges))


def of_images(channels: int = 1, width: int = 32, halvings: int = 2) -> Critics:
    """`Patches` of images `[B, H, W, C]`."""
    side = 2**halvings
    return _critics((side, side, channels), [Patches(width, halvings)], lambda x: 2.0 * x - 1.0)


def of_videos(channels: int = 1, width: int = 32, halvings: int = 3, span: int = 3) -> Critics:
    """`Patches` of `span` neighbouring frames as channels, of videos `[B, T, H, W, C]`."""
    side = 2**halvings

    def stretches(x: jax.Array) -> jax.Array:
        x = 2.0 * x - 1.0
        short = max(span - x.shape[1], 0)
        x = jnp.pad(x, ((0, 0), (0, short), *[(0, 0)] * 3), mode="edge")
        count = x.shape[1] - span + 1
        beside = jnp.concatenate([x[:, i : i + count] for i in range(span)], axis=-1)
        return beside.reshape(-1, *beside.shape[2:])

    flat = _critics((side, side, span * channels), [Patches(width, halvings)], stretches)

    def judge(params, x):
        def by_video(of: jax.Array) -> jax.Array:
            return of.reshape(len(x), -1, *of.shape[1:])

        found = flat.judge(params, x)
        return tuple(
            (by_video(logits).reshape(len(x), -1), tuple(by_video(f) for f in features))
            for logits, features in found
        )

    return Critics(flat.init, judge)


def of_sounds(
    periods: tuple[int, ...] = (2, 3, 5, 7, 11),
    windows: tuple[int, ...] = (128, 256, 512),
    width: int = 16,
) -> Critics:
    """`Period` and `Spectrogram` critics of sounds `[B, T, 1]`."""
    modules: list[nn.Module] = [Period(p, width) for p in periods]
    modules += [Spectrogram(window, width) for window in windows]
    return _critics((512,), modules, lambda x: x[..., 0])
