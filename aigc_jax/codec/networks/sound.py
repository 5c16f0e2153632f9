"""The codec of sounds: blocks at the rate of frames, whose magnitudes Griffin-Lim makes a sound of.

The encoder is causal: the codes of a frame depend on the samples up to its end, and so do not
change when a sound goes on. Dimensions: B batch, T samples, F frames, M hop, W width, D features.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aigc_jax import spectral
from aigc_jax.codec.model import Networks
from aigc_jax.errors import InputError
from aigc_jax.layers import Dense, LayerNorm, gelu
from aigc_jax.nn.functions import pure_functions

_KERNEL = 7
_OVERLAP = 4  # windows over a sample, by which phases are well determined
_USUAL = -4.0  # log-magnitude, with which training begins
_QUIET = 1e-2  # magnitude, below which a frequency is silent


class FrameBlock(nn.Module):
    """x + W₂ f(W₁ norm(k ∗ x)), f = GELU: `[B, F, W]` → the same.

    k is a kernel of its own for each channel. Source: Liu et al. 2022 (ConvNeXt),
    https://arxiv.org/abs/2201.03545, in one dimension as Siuzdak 2023 (Vocos),
    https://arxiv.org/abs/2306.00814, has it.

    Attributes:
      causal: whether k reaches back only, or as far ahead as back.
    """

    causal: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        frames, width = x.shape[1:]
        initial = nn.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=0, out_axis=1)
        kernel = self.param("kernel", initial, (_KERNEL, width), jnp.float32)
        ahead = 0 if self.causal else _KERNEL // 2
        padded = jnp.pad(x, ((0, 0), (_KERNEL - 1 - ahead, ahead), (0, 0)))
        h = jnp.zeros_like(x)
        for i in range(_KERNEL):
            h += padded[:, i : i + frames] * jnp.broadcast_to(kernel[i].astype(x.dtype), x.shape)
        h = gelu(Dense(3 * width)(LayerNorm()(h)))
        return x + Dense(width, kernel_init=nn.initializers.normal(0.02))(h)


def analysis(x: jax.Array, hop: int) -> jax.Array:
    """What an encoder reads of each frame of two hops, the newest samples at its end.

        [log max(|X|, δ), X |X|^−0.7],   X the spectrum under a Hann window, δ = 0.01

    Loudness and timbre are linear in the first part, the waveform about so in the second. From
    samples alone a network would have to learn squares of pairs of filters before anything else.

    Args:
      x: `[B, F M]`.
      hop: M.

    Returns:
      float32 `[B, F, 3 (M + 1)]`.
    """
    new = x.reshape(len(x), -1, hop)
    old = jnp.pad(new, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    frames = jnp.concatenate([old, new], axis=-1)
    window = np.square(np.sin(np.pi * np.arange(2 * hop) / (2 * hop))).astype(np.float32)
    found = jnp.fft.rfft(frames * jnp.broadcast_to(window, frames.shape))
    size = jnp.maximum(spectral.magnitude(found), _QUIET)
    compressed = size**-0.7
    return jnp.concatenate(
        [jnp.log(size), found.real * compressed, found.imag * compressed], axis=-1
    )


class Encoder(nn.Module):
    """Samples → `analysis` of frames → blocks → D features of each frame."""

    features: int
    width: int
    blocks: int
    hop: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = Dense(self.width)(analysis(x[..., 0], self.hop))
        for _ in range(self.blocks):
            h = FrameBlock(causal=True)(h)
        # A spread that does not change: else commitment is cheapest by features that shrink.
        return jax.nn.standardize(Dense(self.features)(LayerNorm()(h)), epsilon=1e-5)


class Decoder(nn.Module):
    """D features of each position → log-magnitudes of its `each` frames: `[B, each F, K]`."""

    width: int
    blocks: int
    each: int
    frequencies: int

    @nn.compact
    def __call__(self, vectors: jax.Array) -> jax.Array:
        h = Dense(self.width)(vectors)
        for _ in range(self.blocks):
            h = FrameBlock(causal=False)(h)
        logs = _USUAL + Dense(self.each * self.frequencies)(LayerNorm()(h))
        return logs.reshape(len(logs), -1, self.frequencies)


def magnitudes(logs: jax.Array, window: int) -> jax.Array:
    """exp(m), at most what a sound in [−1, 1] can have under a Hann window: ½ of it.

    Args:
      logs: m; beyond the bound its gradient is 0.
      window: samples.
    """
    return jnp.exp(jnp.minimum(logs, math.log(window / 2)))


def window_of(hop: int, window: int | None) -> int:
    """W of the decoder's frames: as it is given, or 2M."""
    return 2 * hop if window is None else window


def frames(
    features: int = 16,
    width: int = 128,
    blocks: int = 4,
    decoder_blocks: int = 6,
    hop: int = 128,
    window: int | None = None,
    iterations: int = 16,
) -> Networks:
    """One position of the grid for `hop` samples.

    The decoder tells magnitudes S of frames every W/4, and x̂ = iSTFT(S · u) with u the phases that
    `griffin_lim` finds for S, which the gradient takes as given. So nothing asks codes to say
    anything of phases. A decoder that tells them too, as Vocos' does, is trained for long and with
    critics; within a few thousand steps its overlapping frames cancelled each other, and what is
    loud came out too soft.

    Args:
      features: D.
      width: of the blocks.
      blocks, decoder_blocks: of either half.
      hop: M; the encoder reads 2M at a time.
      window: W, of the decoder: longer ones tell close frequencies apart, shorter ones close times.
        None: see `window_of`.
      iterations: of `griffin_lim`.

    Raises:
      InputError: W is not 4 times the hop, or the hop divided by an integer.
    """
    window = window_of(hop, window)
    step = window // _OVERLAP
    if step < 1 or window % _OVERLAP or hop % step:
        raise InputError(
            f"a window of {window} does not go with a hop of {hop}; give {_OVERLAP * hop}, or that "
            "divided by an integer"
        )
    encoder = Encoder(features, width, blocks, hop)
    decoder = Decoder(width, decoder_blocks, hop // step, window // 2 + 1)
    init, encode, decode = pure_functions(
        encoder=(encoder, (hop, 1)), decoder=(decoder, (1, features))
    )

    def encode_whole(params, x):
        return encode(params, jnp.pad(x, ((0, 0), (0, -x.shape[1] % hop), (0, 0))))

    def decode_to(params, vectors, sides):
        whole = vectors.shape[1] * hop
        S = magnitudes(decode(params, vectors), window)
        fixed = lax.stop_gradient(S)
        u = spectral.retrieved_phase(fixed, whole, window, step, iterations=iterations)
        return spectral.istft(S * u, whole, window, step)[:, : sides[0], None]

    return Networks(init, encode_whole, decode_to, lambda sides: (-(-sides[0] // hop),), 1, 1)
