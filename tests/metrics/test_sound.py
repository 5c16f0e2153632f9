"""SI-SDR against worked arithmetic and its definition."""

import math

import numpy as np
import pytest

from aigc_jax.errors import InputError
from aigc_jax.metrics.sound import BOUND_DB, si_sdr


def by_definition(estimate, reference):
    """The formula of Le Roux et al., one clip at a time, in float64, on signals of mean 0."""
    found = []
    for e, s in zip(estimate.astype(np.float64), reference.astype(np.float64), strict=True):
        e, s = e - e.mean(), s - s.mean()
        target = (e @ s) / (s @ s) * s
        found.append(10 * math.log10((target @ target) / ((e - target) @ (e - target))))
    return found


def test_a_worked_example():
    # s = (1, −1, 0, 0), n = (0, 0, 1, −1): e = 3 s + n has 9 · 2 over 2; e = −2 s + 5 n 8 over 50.
    s, n = np.array([1.0, -1, 0, 0]), np.array([0, 0, 1.0, -1])
    found = si_sdr(np.stack([3 * s + n, -2 * s + 5 * n]), np.stack([s, s]))
    np.testing.assert_allclose(found, [10 * math.log10(9), 10 * math.log10(4 / 25)], rtol=1e-12)


def test_the_definition_is_met(rng):
    reference = rng.normal(size=(5, 37)) + 0.7
    estimate = 0.4 * reference + rng.normal(size=(5, 37)) * 10.0 ** -np.arange(5)[:, None] - 3
    found = si_sdr(estimate, reference)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, by_definition(estimate, reference), rtol=1e-9)


def test_neither_gain_nor_offset_of_either_matter(rng):
    reference = rng.normal(size=(3, 50))
    estimate = reference + 0.2 * rng.normal(size=(3, 50))
    expected = si_sdr(estimate, reference)
    for gain, offset in ((1e-7, 0.0), (-3e6, 0.0), (2.5, 40.0)):
        np.testing.assert_allclose(si_sdr(gain * estimate + offset, reference), expected, rtol=1e-9)
        np.testing.assert_allclose(si_sdr(estimate, gain * reference + offset), expected, rtol=1e-9)


def test_integers_do_not_wrap_around():
    # 16-bit samples, squares of which are beyond 16 bits; the least has no positive counterpart.
    reference = np.array([[-32768, 32767, -20000, 11]], np.int16)
    estimate = np.array([[-30000, 32767, -22000, -400]], np.int16)
    np.testing.assert_allclose(
        si_sdr(estimate, reference), by_definition(estimate, reference), rtol=1e-12
    )


def test_it_is_cut_where_nothing_is_wrong_and_where_nothing_is_right(rng):
    s, n = np.array([1.0, -1, 0, 0]), np.array([0, 0, 1.0, -1])
    x = rng.normal(size=4)
    found = si_sdr(np.stack([x, n, s + 1e-6 * n, s + 1e-4 * n]), np.stack([x, s, s, s]))
    np.testing.assert_allclose(found, [BOUND_DB, -BOUND_DB, BOUND_DB, 80.0], rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silence_is_at_the_floor(rng, dtype):
    # The mean of many 0.1 is not 0.1 in floating point; what is left is rounding and no signal.
    x = rng.normal(size=9001).astype(dtype)
    silent = [np.zeros_like(x), np.full_like(x, 0.1), np.full_like(x, -3e4)]
    pairs = [(x, s) for s in silent] + [(s, x) for s in silent] + [(silent[0], silent[1])]
    found = si_sdr(*(np.stack(side) for side in zip(*pairs, strict=True)))
    np.testing.assert_array_equal(found, np.full(len(pairs), -BOUND_DB))


def test_faint_is_not_silent(rng):
    # One bit of 16, beside an offset of half the range.
    reference = 16384 + rng.integers(0, 2, size=(1, 8192))
    estimate = reference + 2 * rng.integers(0, 2, size=(1, 8192))
    np.testing.assert_allclose(
        si_sdr(estimate, reference), by_definition(estimate, reference), rtol=1e-9
    )


@pytest.mark.parametrize(("a", "b"), [((3, 8), (3, 9)), ((8,), (8,)), ((2, 0), (2, 0))])
def test_clips_that_do_not_compare_are_refused(a, b):
    with pytest.raises(InputError, match=r"clips \[N, T\]"):
        si_sdr(np.ones(a), np.ones(b))


def test_samples_that_are_not_finite_are_refused(rng):
    x = rng.normal(size=(2, 9))
    broken = x.copy()
    broken[1, 3] = np.nan
    for pair in ((x, broken), (broken, x)):
        with pytest.raises(InputError, match="finite"):
            si_sdr(*pair)
