"""Sound and its short-time spectra: STFT, log-mel spectra, their inverses and a distance.

A sound of T samples has ⌈T / hop⌉ frames, and frame i is centred on the i-th block of `hop`
samples. So a sound of whole blocks has one frame for each, and every sample is within half a hop of
the centre of a frame, where the window is at least a half: the inverse is exact for any T. Beyond
its ends a sound is zero; to reflect it there, as others do, takes T > W/2.

Dimensions: T samples, W window, F frames, K = ⌊W/2⌋ + 1 bins, M bands.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aigc_jax.algorithm import Keys
from aigc_jax.density import wide
from aigc_jax.errors import InputError

_SMALL = 64  # the widest window whose transform the CPU takes by a product
_UPDATES = 20  # of magnitudes for given bands
_HIGHEST = lax.Precision.HIGHEST  # else some devices round the factors of products


def frame_count(length: int, hop: int) -> int:
    """F = ⌈T / hop⌉, whatever the window."""
    return -(-length // hop)


def stft(x: jax.Array, window: int, hop: int) -> jax.Array:
    """The short-time Fourier transform.

        X[i, k] = Σ_n w[n] x[i·hop + n − p] e^{−2πi kn/W},   p = ⌈(W − hop) / 2⌉

    with w[n] = sin²(πn/W), the periodic Hann window, and x zero beyond its ends. A sine of
    amplitude A in the middle of bin k gives |X[i, k]| = A W/4, and A W/8 in the bins beside it.

    On the CPU a product with the DFT's matrix takes the place of the FFT for windows of up to 64.
    `mel_distance` of one resolution and its gradient, sounds of [32, 8192], in ms on 2 cores
    (jax 0.10.2):

        W          32   64  128  256  512  1024
        product   2.2  2.4  3.2  5.1  8.9  16.6
        FFT       3.2  2.9  3.4  3.1  3.7   4.0

    Args:
      x: float `[..., T]`, T ≥ 1.
      window: W, samples.
      hop: samples from one frame to the next, at most W/2.

    Returns:
      complex64 `[..., F, K]`, F = `frame_count(T, hop)`; bin k is at k · rate / W.

    Raises:
      InputError: the hop is not in 1 … W/2, or there are no samples.
    """
    return lax.complex(*_parts(x, window, hop))


def istft(spectrum: jax.Array, length: int, window: int, hop: int) -> jax.Array:
    """The sound of an STFT: `istft(stft(x, W, hop), T, W, hop) = x`.

        x[t] = Σ_i w[n_i] y_i[n_i] / Σ_i w[n_i]²,   n_i = t − i·hop + p,   y_i = inverse DFT of X_i

    The denominator is ¼ or more. Of a spectrum that no sound has, this is the sound whose windowed
    frames are nearest to y.

    Args:
      spectrum: complex `[..., F, K]`. The imaginary part of bin 0, and for even W of the last bin,
        has no effect.
      length: T.
      window: W, samples.
      hop: samples.

    Returns:
      float32 `[..., T]`.

    Raises:
      InputError: the hop is not in 1 … W/2, or F or K is not that of T, W and hop.

    Source: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform".
    """
    _check(window, hop, length)
    expected = (frame_count(length, hop), window // 2 + 1)
    if spectrum.shape[-2:] != expected:
        raise InputError(
            f"{length} samples by a window of {window} and a hop of {hop} have a spectrum of "
            f"{expected[0]} frames of {expected[1]} bins; this one's shape is {spectrum.shape}"
        )
    frames = jnp.fft.irfft(spectrum, window)
    *outer, count, _ = frames.shape
    # Each frame as blocks of hop samples; block r goes to where that of frame i + r begins.
    blocks = -(-window // hop)
    none = [(0, 0)] * len(outer)
    cut = jnp.pad(_times(frames, _hann(window)), [*none, (0, 0), (0, blocks * hop - window)])
    cut = cut.reshape(*outer, count, blocks, hop)
    moved = (jnp.pad(cut[..., r, :], [*none, (r, blocks - r), (0, 0)]) for r in range(blocks))
    total = sum(moved, start=jnp.zeros((), frames.dtype)).reshape(*outer, -1)
    weight = np.zeros((count + blocks) * hop)
    for i in range(count):
        weight[i * hop : i * hop + window] += np.square(_hann(window))
    inside = slice(_before(window, hop), _before(window, hop) + length)
    return _times(total[..., inside], 1.0 / weight[inside])


def magnitude(spectrum: jax.Array) -> jax.Array:
    """|X|, whose gradient at 0 is 0: complex64 `[...]` → float32 `[...]`."""
    return _modulus(spectrum.real, spectrum.imag)


def mel_filters(
    rate: int, window: int, bands: int, low: float = 0.0, high: float | None = None
) -> np.ndarray:
    """Triangles on the mel scale, which sum magnitudes into bands.

        H[k, m] = max(0, min((f_k − a) / (c_m − a), (b − f_k) / (b − c_m))),   f_k = kΔ,  Δ = rate/W
        a = min(c_{m−1}, c_m − Δ),   b = max(c_{m+1}, c_m + Δ)

    where c_0 = `low`, …, c_{M+1} = `high` are equally spaced in mel. Where they are at least Δ, a
    bin, apart, these are the usual triangles, which sum to 1 from c_1 to c_M. A narrower triangle
    could meet no bin, and its band would always be silent: it is widened to Δ on either side, so
    that the band is the magnitude at c_m interpolated between bins. So M may be any number.

    The scale is Slaney's: 3/200 mel per Hz up to 1 kHz, 27 mel per factor of 6.4 above. At 8 kHz
    with 40 bands its lowest centres are 57 Hz apart, those of HTK's 2595 log₁₀(1 + f/700) 33 Hz,
    and the bins of a window of 256 are 31.

    Args:
      rate: samples per second.
      window: W, samples.
      bands: M.
      low: Hz, where the first triangle begins.
      high: Hz, where the last one ends; if None, rate / 2.

    Returns:
      float32 `[K, M]` in [0, 1]. No column is zero; the rows of 0 Hz and rate / 2 usually are.

    Raises:
      InputError: no band, or not 0 ≤ low < high ≤ rate / 2.

    Source: Slaney 1998, Auditory Toolbox. Its triangles have equal areas, and these equal heights,
    which moves the logarithm of a band by a constant.
    """
    high = rate / 2 if high is None else high
    if bands < 1 or window < 2 or not 0 <= low < high <= rate / 2:
        raise InputError(
            f"{bands} mel bands from {low:g} to {high:g} Hz, by a window of {window}: give one band"
            f" or more, two samples or more, and frequencies rising within 0 to {rate / 2:g} Hz"
        )
    spacing = rate / window
    edges = _hz(np.linspace(_mel(low), _mel(high), bands + 2))
    centres = edges[1:-1]
    below = np.maximum(centres - edges[:-2], spacing)
    above = np.maximum(edges[2:] - centres, spacing)
    offset = spacing * np.arange(window // 2 + 1)[:, None] - centres
    filters = np.maximum(0.0, 1.0 - np.maximum(-offset / below, offset / above))
    return filters.astype(np.float32)


def log_mel(
    x: jax.Array, rate: int, window: int, hop: int, bands: int, floor: float = 1e-5
) -> jax.Array:
    """log max(|X| H, floor), X the STFT and H the `mel_filters`, in nats.

    Silence is log(floor), −11.5 and not 0: pad with that.

    Args:
      x: float `[..., T]`; the floor suits samples in [−1, 1], whose rounding to 16 bits is above.
      rate: samples per second.
      window: W, samples.
      hop: samples, at most W/2.
      bands: M.
      floor: the least sum of magnitudes that is told from silence; below it the gradient is 0.

    Returns:
      float32 `[..., F, M]`.

    Raises:
      InputError: see `stft` and `mel_filters`.
    """
    magnitudes = _modulus(*_parts(x, window, hop))
    return jnp.log(jnp.maximum(_product(magnitudes, mel_filters(rate, window, bands)), floor))


def mel_image(x: jax.Array, rate: int) -> jax.Array:
    """Log-mels as a grey picture, in which classifiers see sounds: what is quiet is black.

    Frames of 32 ms every 16 ms and 40 bands; −7 nats are 0, 4 nats are 1, and what is beyond is
    clipped.

    Args:
      x: float `[B, T]`, samples in [−1, 1].
      rate: samples per second.

    Returns:
      float32 `[B, F, 40, 1]` in [0, 1].
    """
    hop = max(round(0.016 * rate), 1)
    logs = log_mel(x, rate, 2 * hop, hop, 40)
    return jnp.clip((logs + 7.0) / 11.0, 0.0, 1.0)[..., None]


def mel_distance(
    x: jax.Array,
    y: jax.Array,
    rate: int,
    windows: Sequence[int] = (32, 64, 128, 256, 512, 1024),
    bands: Sequence[int] = (5, 10, 20, 40, 80, 80),
    floor: float = 1e-5,
) -> jax.Array:
    """The mean absolute difference of log-mel spectra at several resolutions, in nats.

        1/R Σ_r 1/(F_r M_r) Σ_{i,m} |L_r(x) − L_r(y)|[i, m],   L_r = `log_mel` at hop W_r/4

    Args:
      x, y: float `[B, T]`.
      rate: samples per second.
      windows: W_r, samples; the defaults suit 8 kHz.
      bands: M_r.
      floor: see `log_mel`. What is softer in both counts as equal: at 1e-5 clips that are padded
        with zeros are mostly compared in how silent their silence is.

    Returns:
      float32 `[B]`, where 1 is 8.7 dB. The gradient is finite everywhere, silence included.

    Raises:
      InputError: the sounds differ in shape, or windows and bands in number; see also `log_mel`.

    Source: Kumar et al. 2023, https://arxiv.org/abs/2306.06546 (DAC), which sums differences of
    decimal logarithms over resolutions: its weight of 15 is 15 R / ln 10 here, 39 for six.
    """
    if x.shape != y.shape:
        raise InputError(f"sounds of shapes {x.shape} and {y.shape} do not compare; cut them alike")
    if len(windows) != len(bands) or not windows:
        raise InputError(
            f"{len(windows)} windows and {len(bands)} numbers of bands: give one for each window"
        )

    def at(window: int, count: int) -> jax.Array:
        a, b = (log_mel(sound, rate, window, window // 4, count, floor) for sound in (x, y))
        return jnp.mean(jnp.abs(a - b), axis=(-2, -1))

    found = [at(window, count) for window, count in zip(windows, bands, strict=True)]
    return sum(found[1:], start=found[0]) / len(windows)


def griffin_lim(
    magnitudes: jax.Array,
    length: int,
    window: int,
    hop: int,
    keys: Keys | None = None,
    iterations: int = 60,
    momentum: float = 0.99,
) -> jax.Array:
    """A sound whose STFT has about these magnitudes, by the fast Griffin-Lim algorithm.

        t_n = STFT(iSTFT(S · u_{n−1})),   u_n = phase of t_n + α (t_n − t_{n−1}),   t_0 = 0

    and iSTFT(S · u_N) in the end.

    Args:
      magnitudes: S ≥ 0, `[..., F, K]`.
      length: T, with F = `frame_count(T, hop)`.
      window: W, samples.
      hop: samples. At W/4 the phases are better determined than at W/2.
      keys: `[...]`, one for each sound, from which u_0 is drawn; if None, each frame of u_0 has
        zero phase at its centre.
      iterations: N.
      momentum: α; 0 is the algorithm of Griffin and Lim, whose error never grows.

    Returns:
      float32 `[..., T]`, determined up to its sign.

    Raises:
      InputError: see `istft`.

    Source: Perraudin, Balazs and Søndergaard 2013, "A fast Griffin-Lim algorithm", with their α.
    """
    S = wide(magnitudes)
    u = retrieved_phase(S, length, window, hop, keys, iterations, momentum)
    return istft(S * u, length, window, hop)


def retrieved_phase(
    magnitudes: jax.Array,
    length: int,
    window: int,
    hop: int,
    keys: Keys | None = None,
    iterations: int = 60,
    momentum: float = 0.99,
) -> jax.Array:
    """u_N of `griffin_lim`, complex64 `[..., F, K]` of modulus 1, with the same arguments."""
    S = wide(magnitudes)

    def iterate(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        u, before = carry
        t = stft(istft(S * u, length, window, hop), window, hop)
        return _phase(t + momentum * (t - before)), t

    u = _first_phase(S, keys)
    return lax.fori_loop(0, iterations, iterate, (u, jnp.zeros_like(u)))[0]


def mel_to_magnitude(mel: jax.Array, rate: int, window: int) -> jax.Array:
    """Magnitudes S ≥ 0 whose sums over bands are about these, S H ≈ m.

        S_0 = max(0, m H⁺),   S ← S · ((m / S H) Hᵀ) / Σ_m H[·, m]

    H⁺ is the pseudo-inverse. What it loses by the cut at 0 the updates restore: 40 bands of speech-
    like sounds, W = 256, were off by 6.5 % at S_0 and are by 0.4 % after 20.

    Args:
      mel: m, `[..., M]`, no logarithms.
      rate: samples per second.
      window: W, samples.

    Returns:
      float32 `[..., K]`. Within a band they are smooth: its harmonics are not told apart.

    Raises:
      InputError: see `mel_filters`.

    Source: the updates are Lee and Seung's 2001 for the Kullback-Leibler divergence, H fixed.
    """
    mel = wide(mel)
    filters = mel_filters(rate, window, mel.shape[-1])
    # Bands closer than bins are nearly dependent, and their inverse would amplify rounding.
    found = _product(mel, np.linalg.pinv(np.float64(filters), rcond=1e-2))
    least = float(np.finfo(np.float32).tiny) * 1e6  # since an update leaves 0 at 0
    scale = 1.0 / np.maximum(filters.sum(1), least)

    def update(_: int, magnitudes: jax.Array) -> jax.Array:
        ratio = mel / jnp.maximum(_product(magnitudes, filters), least)
        return magnitudes * _times(_product(ratio, filters.T), scale)

    return lax.fori_loop(0, _UPDATES, update, jnp.maximum(found, least))


def invert_log_mel(
    logs: jax.Array,
    length: int,
    rate: int,
    window: int,
    hop: int,
    keys: Keys | None = None,
    iterations: int = 60,
) -> jax.Array:
    """A sound for a log-mel spectrum, to hear it: `griffin_lim` of `mel_to_magnitude`.

    Args:
      logs: `[..., F, M]`, as `log_mel` gives them.
      length, window, hop, keys, iterations: see `griffin_lim`.
      rate: samples per second.

    Returns:
      float32 `[..., T]`.

    Raises:
      InputError: see `istft` and `mel_filters`.
    """
    magnitudes = mel_to_magnitude(jnp.exp(wide(logs)), rate, window)
    return griffin_lim(magnitudes, length, window, hop, keys, iterations)


def _check(window: int, hop: int, length: int) -> None:
    if not 1 <= hop <= window // 2:
        raise InputError(
            f"a hop of {hop} does not go with a window of {window}: give from 1 to half the window"
        )
    if length < 1:
        raise InputError("a sound without samples has no spectrum; give it one or more")


def _hann(window: int) -> np.ndarray:
    return np.square(np.sin(np.pi * np.arange(window) / window))


def _before(window: int, hop: int) -> int:
    """p: the zeros before a sound, by which the first window's peak is amid the first block."""
    return (window - hop + 1) // 2


def _times(x: jax.Array, factors: np.ndarray) -> jax.Array:
    return x * jnp.broadcast_to(jnp.asarray(factors, x.dtype), x.shape)


def _product(x: jax.Array, matrix: np.ndarray) -> jax.Array:
    return jnp.matmul(x, jnp.asarray(matrix, x.dtype), precision=_HIGHEST)


def _parts(x: jax.Array, window: int, hop: int) -> tuple[jax.Array, jax.Array]:
    """The real and the imaginary part of the STFT."""
    x = wide(x)
    _check(window, hop, x.shape[-1])
    frames, blocks = frame_count(x.shape[-1], hop), -(-window // hop)
    # Frames are put together from whole blocks: slices, whose derivative is no scatter.
    begin, total = _before(window, hop), (frames + blocks - 1) * hop
    end = total - begin - x.shape[-1]
    cut = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(begin, end)])
    cut = cut.reshape(*x.shape[:-1], -1, hop)
    cut = jnp.concatenate([cut[..., r : r + frames, :] for r in range(blocks)], axis=-1)
    cut = _times(cut[..., :window], _hann(window))
    if window > _SMALL:
        return _by_fft(cut)
    return lax.platform_dependent(cut, cpu=_by_product, default=_by_fft)


def _by_fft(frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    spectrum = jnp.fft.rfft(frames)
    return spectrum.real, spectrum.imag


def _by_product(frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    window = frames.shape[-1]
    bins = window // 2 + 1
    angles = 2 * np.pi / window * (np.outer(np.arange(window), np.arange(bins)) % window)
    both = _product(frames, np.concatenate([np.cos(angles), -np.sin(angles)], axis=1))
    return both[..., :bins], both[..., bins:]


def _modulus(real: jax.Array, imaginary: jax.Array) -> jax.Array:
    power = jnp.square(real) + jnp.square(imaginary)
    some = power > 0
    # The root of 0 is kept from the gradient too, where it would be 0 · ∞.
    return jnp.where(some, jnp.sqrt(jnp.where(some, power, 1.0)), 0.0)


def _phase(spectrum: jax.Array) -> jax.Array:
    """X / |X|, and 1 where X is 0."""
    size = magnitude(spectrum)
    some = size > 0
    size = jnp.where(some, size, 1.0)
    return lax.complex(jnp.where(some, spectrum.real / size, 1.0), spectrum.imag / size)


def _first_phase(S: jax.Array, keys: Keys | None) -> jax.Array:
    if keys is None:
        angles = jnp.zeros_like(S) + _times(jnp.ones_like(S), np.pi * (np.arange(S.shape[-1]) % 2))
    else:
        draw = jax.vmap(lambda key: jax.random.uniform(key, S.shape[-2:], S.dtype))
        angles = 2 * math.pi * draw(keys.reshape(-1)).reshape(S.shape)
    return lax.complex(jnp.cos(angles), jnp.sin(angles))


def _mel(frequency: float) -> float:
    """Slaney's scale."""
    if frequency < 1000.0:
        return frequency * 3.0 / 200.0
    return 15.0 + 27.0 * math.log(frequency / 1000.0) / math.log(6.4)


def _hz(mel: np.ndarray) -> np.ndarray:
    above = 1000.0 * np.power(6.4, np.maximum(mel - 15.0, 0.0) / 27.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, above)
