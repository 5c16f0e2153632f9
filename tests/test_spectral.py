"""Spectra of sound against their definitions in NumPy float64, and back to sound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import spectral
from aigc_jax.errors import InputError

RATE = 8000
SIZES = [(256, 128), (256, 64), (32, 8), (33, 16), (90, 41)]  # window and hop
stft = jax.jit(spectral.stft, static_argnums=(1, 2))
istft = jax.jit(spectral.istft, static_argnums=(1, 2, 3))
log_mel = jax.jit(spectral.log_mel, static_argnums=(1, 2, 3, 4))
mel_distance = jax.jit(spectral.mel_distance, static_argnums=(2, 3, 4))
griffin_lim = jax.jit(spectral.griffin_lim, static_argnums=(1, 2, 3, 5, 6))
invert_log_mel = jax.jit(spectral.invert_log_mel, static_argnums=(1, 2, 3, 4))


def hann(window):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


def begins(length, window, hop):
    """Where frames begin: a sample before or at half a window before the middle of a block."""
    return [i * hop - (window - hop + 1) // 2 for i in range(-(-length // hop))]


def stft_by_definition(x, window, hop):
    """Sample by sample, in float64."""
    angles = np.outer(np.arange(window), np.arange(window // 2 + 1)) / window
    frames = np.zeros((len(begins(len(x), window, hop)), window))
    for frame, begin in zip(frames, begins(len(x), window, hop), strict=True):
        for n in range(window):
            if 0 <= begin + n < len(x):
                frame[n] = x[begin + n]
    return frames * hann(window) @ np.exp(-2j * np.pi * angles)


def istft_by_definition(spectrum, length, window, hop):
    total, weight = np.zeros(length), np.zeros(length)
    frames = np.fft.irfft(spectrum, window)
    for frame, begin in zip(frames, begins(length, window, hop), strict=True):
        for n in range(window):
            if 0 <= begin + n < length:
                total[begin + n] += hann(window)[n] * frame[n]
                weight[begin + n] += hann(window)[n] ** 2
    return total / weight


def mel(frequency):
    """Slaney's scale as librosa writes it."""
    linear = frequency / (200.0 / 3)
    return linear if linear < 15 else 15 + np.log(frequency / 1000) / (np.log(6.4) / 27)


def frequency_of(mels):
    return mels * 200.0 / 3 if mels < 15 else 1000 * np.exp(np.log(6.4) / 27 * (mels - 15))


def triangles(rate, window, bands, low, high):
    """The usual filters, none of them widened, and the frequencies of their corners."""
    steps = (mel(high) - mel(low)) / (bands + 1)
    corners = [frequency_of(mel(low) + i * steps) for i in range(bands + 2)]
    filters = np.zeros((window // 2 + 1, bands))
    for m, (a, c, b) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        for k in range(window // 2 + 1):
            f = k * rate / window
            filters[k, m] = max(0.0, (f - a) / (c - a) if f < c else (b - f) / (b - c))
    return filters, corners


def tone(frequency, length, amplitude=0.5):
    return np.float32(amplitude * np.sin(2 * np.pi * frequency / RATE * np.arange(length) + 0.3))


def voice(rng, length):
    """A gliding voice of 19 harmonics, with noise."""
    n = np.arange(length)
    phase = 2 * np.pi * np.cumsum(120 + 60 * np.sin(2 * np.pi * n / 3000)) / RATE
    harmonics = sum(np.sin(k * phase + k * k) / k for k in range(1, 20))
    return np.float32(0.1 * harmonics + 0.003 * rng.normal(size=length))


def peak_frequency(x):
    return np.argmax(np.abs(np.fft.rfft(x))) * RATE / len(x)


def misfit(x, magnitudes, window, hop):
    """Spectral convergence: ‖|STFT x| − S‖ / ‖S‖."""
    error = np.abs(stft(x, window, hop)) - magnitudes
    return float(np.linalg.norm(error) / np.linalg.norm(magnitudes))


@pytest.mark.parametrize(
    ("length", "hop", "frames"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (8192, 128, 64), (8193, 128, 65)]
)
def test_there_is_one_frame_for_each_begun_block(length, hop, frames):
    assert spectral.frame_count(length, hop) == frames


@pytest.mark.parametrize(("window", "hop"), SIZES)
@pytest.mark.parametrize("length", [7, 300])
def test_the_stft_is_that_of_the_definition(rng, window, hop, length):
    x = rng.normal(size=(2, 1, length))
    found = stft(np.float32(x), window, hop)
    assert found.dtype == jnp.complex64
    assert found.shape == (2, 1, spectral.frame_count(length, hop), window // 2 + 1)
    expected = [stft_by_definition(s, window, hop) for s in x.reshape(2, -1)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-5)


def test_product_and_fft_are_one_transform(rng):
    frames = rng.normal(size=(3, 5, 33))
    expected = np.fft.rfft(frames)
    for transform in (spectral._by_fft, spectral._by_product):
        real, imaginary = jax.jit(transform)(np.float32(frames))
        np.testing.assert_allclose(real, expected.real, rtol=0, atol=1e-5)
        np.testing.assert_allclose(imaginary, expected.imag, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("window", "platform", "by_fft"),
    [(64, "cpu", False), (66, "cpu", True), (64, "cuda", True), (64, "tpu", True)],
)
def test_small_windows_are_a_product_on_the_cpu_alone(window, platform, by_fft):
    traced = stft.trace(jax.ShapeDtypeStruct((2, 100), jnp.float32), window, 16)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.fft" in text) == by_fft
    assert ("stablehlo.dot_general" in text) != by_fft


@pytest.mark.parametrize(("window", "hop"), SIZES)
@pytest.mark.parametrize("length", [1, 7, 255, 256, 1000])
def test_the_inverse_of_the_stft_is_the_sound(rng, window, hop, length):
    x = np.float32(rng.normal(size=(2, length)))
    found = istft(stft(x, window, hop), length, window, hop)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, x, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("length", "window", "hop"), [(50, 20, 7), (23, 9, 4)])
def test_of_any_spectrum_the_inverse_is_the_nearest_sound(rng, length, window, hop):
    frames = rng.normal(size=(spectral.frame_count(length, hop), window))
    # x minimises Σ_in (w[n] x[begin_i + n] − y_i[n])², samples outside of the sound being 0.
    rows = np.zeros((frames.size, length))
    for i, begin in enumerate(begins(length, window, hop)):
        for n in range(window):
            if 0 <= begin + n < length:
                rows[i * window + n, begin + n] = hann(window)[n]
    expected = np.linalg.lstsq(rows, frames.ravel(), rcond=None)[0]
    found = istft(np.complex64(np.fft.rfft(frames)), length, window, hop)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("hop", [3, 16])
def test_no_sample_is_amplified_by_more_than_the_least_weight_allows(hop):
    # x[t] = Σ w y / Σ w², and |Σ w y| ≤ (Σ w²)^½ ‖y‖, so a sample moves by up to ‖y‖ / ½.
    def sound(parts):
        return spectral.istft(jax.lax.complex(*parts), 45, 32, hop)

    zeros = jnp.zeros((2, spectral.frame_count(45, hop), 17))
    slopes = jax.jit(jax.jacrev(sound))(zeros)
    assert np.isfinite(slopes).all()
    # For one bin but the first and the last, y is 2/W times a cosine, whose norm is (2/W)^½.
    assert np.square(slopes).sum((1, 2)).max() <= 4 * 2 / 32 + 1e-6


def test_a_tone_is_a_quarter_of_the_window_high():
    # Bin 20 of 256 at 8 kHz is 625 Hz; 0.8 · 256 / 4 = 51.2, and half of that beside it.
    found = np.abs(stft(tone(625.0, 1200, 0.8), 256, 100))[2:-2]
    assert (found.argmax(-1) == 20).all()
    np.testing.assert_allclose(found[:, 19:22], np.tile([25.6, 51.2, 25.6], (8, 1)), rtol=1e-5)
    assert found[:, [*range(18), *range(23, 129)]].max() < 1e-4


def test_the_magnitude_has_a_gradient_at_zero():
    def total(real, imaginary):
        return jnp.sum(spectral.magnitude(jax.lax.complex(real, imaginary)))

    real, imaginary = jnp.float32([3.0, 0.0, 1e-30]), jnp.float32([-4.0, 0.0, 0.0])
    np.testing.assert_array_equal(spectral.magnitude(real + 1j * imaginary), [5.0, 0.0, 0.0])
    on_real, on_imaginary = jax.grad(total, (0, 1))(real, imaginary)
    np.testing.assert_allclose(on_real, [0.6, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(on_imaginary, [-0.8, 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("window", "bands", "low", "high"),
    [
        (256, 40, 0.0, 4000.0),
        (32, 5, 0.0, 4000.0),
        (1024, 80, 0.0, 4000.0),
        (512, 20, 90.0, 3000.0),
    ],
)
def test_wide_filters_are_triangles_that_sum_to_one(window, bands, low, high):
    found = spectral.mel_filters(RATE, window, bands, low, None if high == 4000.0 else high)
    assert found.dtype == np.float32
    expected, corners = triangles(RATE, window, bands, low, high)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    bins = np.arange(window // 2 + 1) * RATE / window
    between = (bins >= corners[1]) & (bins <= corners[-2])
    np.testing.assert_allclose(found[between].sum(1), 1.0, rtol=0, atol=1e-6)
    assert not found[(bins < low) | (bins > high)].any()


def test_the_scale_is_slaneys():
    # 1 kHz is 15 mel and 6.4 kHz 42, so of 56 mel in four steps the corners are at 14, 28 and 42.
    high = 1000 * 6.4 ** (41 / 27)
    filters = spectral.mel_filters(40_000, 40_000, 3, 0.0, high)
    expected = [14 * 200 / 3, 1000 * 6.4 ** (13 / 27), 6400]
    np.testing.assert_allclose(filters.argmax(0), expected, rtol=0, atol=1)  # whole Hz


@pytest.mark.parametrize(
    ("window", "bands"), [(32, 5), (32, 40), (33, 17), (256, 200), (2, 3), (64, 10)]
)
def test_no_band_is_silent(window, bands):
    filters = spectral.mel_filters(RATE, window, bands)
    assert filters.shape == (window // 2 + 1, bands)
    # Some bin is at most half a bin away, unless a window is odd and the band beyond its last one.
    assert filters.max(0).min() >= 0.5
    assert filters.min() >= 0


def test_a_band_narrower_than_a_bin_interpolates_between_two():
    # 300 bands within 1 … 2 kHz of 64 bins of 62.5 Hz: a magnitude of f at f gives c at c.
    filters = spectral.mel_filters(RATE, 128, 300, 1000.0, 2000.0)
    bins = np.arange(65) * 62.5
    _, corners = triangles(RATE, 128, 300, 1000.0, 2000.0)
    np.testing.assert_allclose(bins @ filters, corners[1:-1], rtol=1e-6)
    assert ((filters > 0).sum(0) <= 2).all()


def test_the_log_mel_spectrum_is_that_of_the_definition(rng):
    x = rng.normal(size=(3, 500)) * np.array([[1.0], [1e-7], [1e-4]])
    found = log_mel(np.float32(x), RATE, 90, 41, 12)
    filters, _ = triangles(RATE, 90, 12, 0.0, 4000.0)
    magnitudes = np.abs([stft_by_definition(s, 90, 41) for s in x])
    expected = np.log(np.maximum(magnitudes @ filters, 1e-5))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (found[1] == np.float32(np.log(np.float32(1e-5)))).mean() > 0.9
    assert np.isfinite(found).all()


@pytest.mark.parametrize("window", [32, 128])
def test_silence_is_the_floor_and_its_gradient_is_zero(window):
    def total(x):
        found = spectral.log_mel(x, RATE, window, 16, 5, floor=1e-3)
        return jnp.sum(found), found

    slope, found = jax.jit(jax.grad(total, has_aux=True))(jnp.zeros((2, 100)))
    assert found.shape == (2, 7, 5)
    np.testing.assert_allclose(found, np.log(1e-3), rtol=1e-6)
    np.testing.assert_array_equal(slope, 0.0)


def test_narrow_numbers_are_transformed_in_float32(rng):
    x = jnp.asarray(rng.normal(size=200), jnp.bfloat16)
    found = log_mel(x, RATE, 64, 16, 9)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, log_mel(x.astype(jnp.float32), RATE, 64, 16, 9))


def test_the_mel_distance_is_the_mean_over_resolutions(rng):
    x, y = (np.float32(rng.normal(size=(3, 200))) for _ in range(2))
    found = mel_distance(x, y, RATE, (32, 90), (5, 12))
    assert found.dtype == jnp.float32
    differences = [
        np.abs(log_mel(x, RATE, w, h, m) - log_mel(y, RATE, w, h, m)).mean((1, 2), dtype=np.float64)
        for w, h, m in ((32, 8, 5), (90, 22, 12))
    ]
    np.testing.assert_allclose(found, np.mean(differences, 0), rtol=1e-5)


def test_twice_as_loud_is_log_two_away(rng):
    x = np.float32(rng.normal(size=(2, 1200)))
    found = mel_distance(x, x * np.array([[2.0], [1.0]], np.float32), RATE)
    np.testing.assert_allclose(found, [np.log(2), 0.0], rtol=1e-5)


def test_the_mel_distance_has_a_finite_gradient_for_each_example_of_its_own(rng):
    x, y = np.array(rng.normal(size=(2, 5, 150)), np.float32)
    x[:2], y[1:3] = 0.0, 0.0  # silent: x, both, y
    y[4] = x[4]  # equal: a gradient of no meaning, but finite

    @jax.jit
    def slopes(x, y, weights):
        def total(x):
            return jnp.sum(weights * spectral.mel_distance(x, y, RATE, (32, 128), (5, 20)))

        return jax.grad(total)(x)

    found = np.asarray(slopes(x, y, jnp.ones(5)))
    assert np.isfinite(found).all()
    assert np.any(found[:4], axis=1).tolist() == [False, False, True, True]
    alone = slopes(x, y, jnp.float32([0, 0, 0, 1, 0]))
    np.testing.assert_array_equal(alone[3], found[3])
    assert not np.any(alone[2])


def test_the_gradient_of_the_mel_distance_is_its_slope(rng):
    x, y, direction = rng.normal(size=(3, 150))

    def by_definition(x):
        def logs(sound, window, bands):
            magnitudes = np.abs(stft_by_definition(sound, window, window // 4))
            return np.log(magnitudes @ triangles(RATE, window, bands, 0.0, 4000.0)[0])

        differences = (logs(x, w, m) - logs(y, w, m) for w, m in ((32, 5), (90, 12)))
        return np.mean([np.abs(difference).mean() for difference in differences])

    def distance(x):
        return spectral.mel_distance(x, jnp.float32(y[None]), RATE, (32, 90), (5, 12))[0]

    slope = jax.jit(jax.grad(distance))(np.float32(x[None]))[0] @ direction
    step = 1e-6 * direction
    expected = (by_definition(x + step) - by_definition(x - step)) / 2e-6
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_griffin_lim_is_that_of_perraudin(rng):
    length, window, hop, momentum = 70, 16, 5, 0.9
    magnitudes = np.abs(rng.normal(size=(spectral.frame_count(length, hop), 9)))
    c, before = (-1.0) ** np.arange(9) * np.ones_like(magnitudes), 0.0
    for _ in range(3):
        sound = istft_by_definition(magnitudes * c, length, window, hop)
        t = stft_by_definition(sound, window, hop)
        c = t + momentum * (t - before)
        c, before = c / np.abs(c), t
    expected = istft_by_definition(magnitudes * c, length, window, hop)
    found = griffin_lim(np.float32(magnitudes), length, window, hop, None, 3, momentum)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_griffin_lim_without_momentum_never_grows_the_error_and_with_it_is_nearer(rng):
    length = 1500
    magnitudes = np.abs(stft(voice(rng, length), 128, 32))
    key = jax.random.key(0)
    plain = [
        misfit(griffin_lim(magnitudes, length, 128, 32, key, n, 0.0), magnitudes, 128, 32)
        for n in (0, 1, 5, 60)
    ]
    assert plain == sorted(plain, reverse=True)
    fast = misfit(griffin_lim(magnitudes, length, 128, 32, key), magnitudes, 128, 32)
    assert fast < 0.75 * plain[-1]
    assert fast < 0.15 * plain[0]


@pytest.mark.parametrize("length", [50, 1999])
def test_any_length_in_gives_the_same_length_out(length):
    magnitudes = np.abs(stft(tone(440.0, length), 128, 32))
    found = griffin_lim(magnitudes, length, 128, 32)
    assert found.shape == (length,)
    assert np.isfinite(found).all()


def test_the_tone_comes_back_from_its_magnitudes_and_from_its_log_mel_spectrum():
    x = tone(440.0, 2000)
    found = griffin_lim(np.abs(stft(x, 256, 64)), 2000, 256, 64, jax.random.key(1))
    assert abs(peak_frequency(found) - 440) <= 4  # a bin of this DFT
    again = invert_log_mel(log_mel(x, RATE, 256, 64, 80), 2000, RATE, 256, 64)
    assert again.shape == x.shape
    assert abs(peak_frequency(again) - 440) <= 12  # less than half a bin of 31 Hz
    assert np.std(again) == pytest.approx(np.std(x), rel=0.1)


def test_each_sound_has_its_own_key(rng):
    magnitudes = np.tile(np.abs(rng.normal(size=(1, 1, 20, 17))), (2, 1, 1, 1)).astype(np.float32)
    keys = jax.random.split(jax.random.key(3), (2, 1))
    found = griffin_lim(magnitudes, 155, 32, 8, keys, 2)
    assert found.shape == (2, 1, 155)
    assert np.abs(found[0] - found[1]).max() > 0.01
    alone = griffin_lim(magnitudes[1, 0], 155, 32, 8, keys[1, 0], 2)
    np.testing.assert_allclose(found[1, 0], alone, rtol=0, atol=1e-5)


def test_silence_is_inverted_to_silence():
    np.testing.assert_array_equal(griffin_lim(jnp.zeros((20, 17)), 155, 32, 8), 0.0)
    np.testing.assert_array_less(spectral.mel_to_magnitude(jnp.zeros((3, 40)), RATE, 256), 1e-30)
    quiet = invert_log_mel(jnp.full((20, 5), np.log(1e-5)), 155, RATE, 32, 8)
    assert np.abs(quiet).max() < 1e-5


@pytest.mark.parametrize("bands", [40, 200])
def test_magnitudes_found_for_bands_have_these_bands(rng, bands):
    magnitudes = np.abs(stft(voice(rng, 1500), 256, 128))
    filters = spectral.mel_filters(RATE, 256, bands)
    given = magnitudes @ filters
    found = np.asarray(spectral.mel_to_magnitude(given, RATE, 256))
    assert found.shape == magnitudes.shape
    assert found.min() >= 0
    assert np.linalg.norm(found @ filters - given) < 0.01 * np.linalg.norm(given)
    # Clipped, the pseudo-inverse alone is some hundredths off.
    clipped = np.maximum(given @ np.linalg.pinv(filters, rcond=1e-2), 0)
    now, before = (np.linalg.norm(m - magnitudes) for m in (found, clipped))
    assert now < before


@pytest.mark.parametrize("hop", [0, 17])
def test_hops_that_leave_samples_without_weight_are_refused(hop):
    with pytest.raises(InputError, match="does not go with a window of 32"):
        spectral.stft(jnp.zeros(50), 32, hop)
    with pytest.raises(InputError, match="does not go with a window of 32"):
        spectral.istft(jnp.zeros((5, 17), jnp.complex64), 50, 32, hop)


def test_what_cannot_be_transformed_is_refused():
    with pytest.raises(InputError, match="one or more"):
        spectral.stft(jnp.zeros((2, 0)), 32, 8)
    with pytest.raises(InputError, match="7 frames of 17 bins"):
        spectral.istft(jnp.zeros((6, 17), jnp.complex64), 50, 32, 8)
    with pytest.raises(InputError, match="do not compare"):
        spectral.mel_distance(jnp.zeros((2, 50)), jnp.zeros((1, 50)), RATE)
    with pytest.raises(InputError, match="one for each window"):
        spectral.mel_distance(jnp.zeros((2, 50)), jnp.zeros((2, 50)), RATE, (32, 64), (5,))


@pytest.mark.parametrize(
    ("bands", "low", "high"), [(0, 0.0, None), (5, -1.0, None), (5, 900.0, 900.0), (5, 0.0, 4001.0)]
)
def test_bands_beyond_what_the_rate_holds_are_refused(bands, low, high):
    with pytest.raises(InputError, match="mel bands"):
        spectral.mel_filters(RATE, 256, bands, low, high)


def test_a_mel_image_is_grey_by_the_log_mels_of_16_ms():
    x = np.concatenate([np.zeros((2, 300)), np.sin(np.arange(500))[None] * [[0.3], [20.0]]], 1)
    seen = np.asarray(spectral.mel_image(jnp.asarray(x, jnp.float32), 6000))
    logs = np.asarray(spectral.log_mel(jnp.asarray(x, jnp.float32), 6000, 192, 96, 40))
    assert seen.shape == (2, 9, 40, 1)
    np.testing.assert_allclose(seen[..., 0], np.clip((logs + 7) / 11, 0, 1), rtol=1e-6, atol=1e-7)
    assert seen[:, 0].max() == 0  # silence
    assert 0 < seen[0, 5].max() < seen[1, 5].max() == 1  # clipped
