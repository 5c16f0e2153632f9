"""The codec of sounds: blocks at the rate of frames, and an inverse STFT as its last layer.

The encoder is causal: the codes of a frame depend on the samples up to its end, and so do not
change when a sound goes on. Dimensions: B batch, T samples, F frames, M hop, W width, D features.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import spectral
from aigc_jax.codec.model import Networks
from aigc_jax.layers import Dense, LayerNorm, gelu
from aigc_jax.nn.functions import pure_functions

_KERNEL = 7
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
        small = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        return Dense(self.features, kernel_init=small)(LayerNorm()(h))


class Decoder(nn.Module):
    """D features of each frame → magnitude and phase of each frequency."""

    width: int
    blocks: int
    hop: int

    @nn.compact
    def __call__(self, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = Dense(self.width)(vectors)
        for _ in range(self.blocks):
            h = FrameBlock(causal=False)(h)
        frequencies = self.hop + 1
        both = Dense(2 * frequencies)(LayerNorm()(h))
        return both[..., :frequencies], both[..., frequencies:]


def spectrum(log_magnitude: jax.Array, phase: jax.Array, window: int) -> jax.Array:
    """exp(m) e^{ip}, exp(m) at most what a sound in [−1, 1] can have under a Hann window: ½ of it.

    Args:
      log_magnitude: m, `[B, F, M + 1]`; beyond the bound its gradient is 0.
      phase: p, radians, `[B, F, M + 1]`.
      window: 2M.
    """
    magnitude = jnp.exp(jnp.minimum(log_magnitude, math.log(window / 2)))
    return magnitude * jnp.exp(1j * phase)


def frames(
    features: int = 16,
    width: int = 128,
    blocks: int = 4,
    decoder_blocks: int = 6,
    hop: int = 128,
) -> Networks:
    """One position of the grid for `hop` samples.

    Args:
      features: D.
      width: W, of the blocks.
      blocks, decoder_blocks: of either half.
      hop: M; the decoder's window is 2M.
    """
    encoder = Encoder(features, width, blocks, hop)
    decoder = Decoder(width, decoder_blocks, hop)
    init, encode, decode = pure_functions(
        encoder=(encoder, (hop, 1)), decoder=(decoder, (1, features))
    )

    def encode_whole(params, x):
        return encode(params, jnp.pad(x, ((0, 0), (0, -x.shape[1] % hop), (0, 0))))

    def decode_to(params, vectors, sides):
        whole = vectors.shape[1] * hop  # of which the STFT has as many frames as there are codes
        log_magnitude, phase = decode(params, vectors)
        found = spectrum(log_magnitude, phase, 2 * hop)
        return spectral.istft(found, whole, 2 * hop, hop)[:, : sides[0], None]

    return Networks(init, encode_whole, decode_to, lambda sides: (-(-sides[0] // hop),), 1, 1)
