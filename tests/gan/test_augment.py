"""Augmentation: what each transform does, that both players can learn through it, and ADA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import gan, parallel
from aigc_jax.gan.augment import (
    ADA,
    DIFFAUGMENT,
    TRANSFORMS,
    brightness,
    contrast,
    controller,
    cutout,
    saturation,
    translation,
    update_controller,
)

KEYS = parallel.example_keys(jax.random.key(1), 64)
augment = jax.jit(gan.augment, static_argnums=2)


@pytest.fixture
def images(rng):
    return np.float32(rng.random((64, 16, 24, 3)))


def apply(transform, images):
    return np.asarray(augment(KEYS, images, (transform,), 1.0))


def test_brightness_adds_one_number_to_an_image(images):
    added = (apply(brightness, images) - images).reshape(64, -1)
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1], added.shape), atol=1e-6)
    assert (np.abs(added) <= 0.25).all()
    assert added.min() < -0.2
    assert added.max() > 0.2


def test_saturation_scales_the_distance_from_the_pixels_mean(images):
    out, mean = apply(saturation, images), images.mean(-1, keepdims=True)
    np.testing.assert_allclose(out.mean(-1), mean[..., 0], atol=1e-6)
    factor = ((out - mean) / (images - mean)).reshape(64, -1)
    middle = np.median(factor, axis=1)
    assert 0 <= middle.min() < 0.3
    assert 1.7 < middle.max() <= 2
    np.testing.assert_allclose(out, mean + middle[:, None, None, None] * (images - mean), atol=1e-5)


def test_contrast_scales_the_distance_from_the_images_mean(images):
    out, mean = apply(contrast, images), images.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(out.mean((1, 2, 3)), mean.ravel(), atol=1e-5)
    factor = (out - mean).std((1, 2, 3)) / (images - mean).std((1, 2, 3))
    assert 0.5 <= factor.min() < 0.7
    assert 1.3 < factor.max() <= 1.5


def test_translation_moves_by_whole_pixels_and_brings_in_zeros(images):
    moved, found = apply(translation, images), set()
    for before, after in zip(images, moved, strict=True):
        matches = []
        for dy in range(-2, 3):
            for dx in range(-3, 4):
                expected = np.zeros_like(before)
                rows, columns = (
                    slice(max(0, -dy), 16 - max(0, dy)),
                    slice(max(0, -dx), 24 - max(0, dx)),
                )
                source = (
                    slice(max(0, dy), 16 - max(0, -dy)),
                    slice(max(0, dx), 24 - max(0, -dx)),
                )
                expected[rows, columns] = before[source]
                if np.allclose(after, expected, atol=1e-6):
                    matches.append((dy, dx))
        assert len(matches) == 1
        found |= set(matches)
    assert len(found) > 20
    assert {abs(dy) for dy, _ in found} == {0, 1, 2}
    assert {abs(dx) for _, dx in found} == {0, 1, 2, 3}


def test_cutout_blanks_half_of_either_side_at_most(images):
    kept = apply(cutout, images) != 0
    rows, columns = (~kept).any((2, 3)).sum(1), (~kept).any((1, 3)).sum(1)
    assert rows.max() == 8
    assert columns.max() == 12
    assert rows.min() >= 4
    assert columns.min() >= 6
    area = (~kept).all(-1).sum((1, 2))
    np.testing.assert_array_equal(area, rows * columns)


def reference_cutout(size, offset):
    """The pixels of an axis that the program of the DiffAugment paper blanks, for its offset."""
    half = int(size * 0.5 + 0.5)
    assert 0 <= offset < size + (1 - half % 2)
    return set(np.clip(np.arange(half) + offset - half // 2, 0, size - 1).tolist())


def reference_translation(size):
    """By how many pixels that program moves at most."""
    return int(size * 0.125 + 0.5)


@pytest.mark.parametrize("size", [1, 5, 7, 14, 27, 28])
def test_the_cuts_of_any_side_are_those_of_the_papers_program(size):
    keys = parallel.example_keys(jax.random.key(3), 100 * size)
    images = np.ones((len(keys), 1, size, 1), np.float32)
    blank = np.asarray(augment(keys, images, (cutout,), 1.0)) == 0
    places = size + 1 - int(size * 0.5 + 0.5) % 2
    expected = [reference_cutout(size, offset) for offset in range(places)]
    found = [set(np.flatnonzero(image[0, :, 0]).tolist()) for image in blank]
    assert {frozenset(s) for s in found} == {frozenset(s) for s in expected}
    # Every place is as likely: each is found 100 size / places times, within 5 standard deviations.
    for cut in {frozenset(s) for s in expected}:
        share = sum(cut == s for s in expected) / places
        n = len(found)
        assert abs(sum(cut == s for s in found) - n * share) < 5 * np.sqrt(n * share)


@pytest.mark.parametrize("size", [3, 7, 20])
def test_the_shifts_of_any_side_are_those_of_the_papers_program(size):
    keys = parallel.example_keys(jax.random.key(3), 100 * size)
    marked = np.zeros((len(keys), 1, 3 * size, 1), np.float32)
    marked[:, :, size + size // 2] = 1
    ahead = marked.swapaxes(1, 2)
    reach = reference_translation(3 * size)
    for images, axis in ((marked, 2), (ahead, 1)):
        moved = np.asarray(augment(keys, images, (translation,), 1.0))
        places = moved.argmax(axis).ravel() - (size + size // 2)
        seen = moved.sum((1, 2, 3)) > 0  # the other axis is of one pixel, and moves by none
        assert set(places[seen]) == set(range(-reach, reach + 1))


def test_probability_is_the_share_of_images_that_are_changed(rng):
    images = np.float32(rng.random((4000, 4, 4, 1)))
    keys = parallel.example_keys(jax.random.key(2), 4000)
    for p in (0.0, 0.3, 1.0):
        out = np.asarray(augment(keys, images, (brightness,), p))
        changed = np.mean(np.any(out != images, axis=(1, 2, 3)))
        assert abs(changed - p) < 4 * np.sqrt(p * (1 - p) / 4000) + 1e-9


def test_transforms_are_drawn_independently(rng):
    images = np.float32(rng.random((4000, 4, 4, 1)))
    keys = parallel.example_keys(jax.random.key(2), 4000)
    changed = [
        np.any(np.asarray(augment(keys, images, only, 0.5)) != images, axis=(1, 2, 3))
        for only in ((brightness,), (lambda k, x: x, contrast))
    ]
    assert abs(np.mean(changed[0] & changed[1]) - 0.25) < 0.03


def test_equal_keys_transform_real_and_fake_alike(images):
    keys = jnp.concatenate([KEYS, KEYS])
    together = np.asarray(augment(keys, np.concatenate([images, images]), TRANSFORMS, 1.0))
    np.testing.assert_array_equal(together[:64], together[64:])


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.__name__)
def test_transforms_are_differentiable_and_affine_in_the_image(images, transform):
    image, other, key = images[0], images[1], KEYS[5]

    @jax.jit
    def derivatives(key, image, other):
        _, tangent = jax.jvp(lambda x: transform(key, x), (image,), (other,))
        expected = transform(key, image + other) - transform(key, image)
        gradient = jax.grad(lambda x: jnp.sum(jnp.square(transform(key, x))))(image)
        return tangent, expected, gradient

    tangent, expected, gradient = derivatives(key, image, other)
    np.testing.assert_allclose(tangent, expected, atol=1e-5)
    assert np.abs(gradient).max() > 0.1


def test_ada_raises_and_lowers_the_probability_by_images_over_speed():
    state = controller(ADA)
    assert float(state.probability) == 0
    for i in range(12):
        state = update_controller(state, jnp.float32(0.9), 100, ADA)
        assert float(state.probability) == pytest.approx((i + 1) // 4 * 400 / 500_000)
    for _ in range(4):
        state = update_controller(state, jnp.float32(0.1), 100, ADA)
    assert float(state.probability) == pytest.approx(2 * 400 / 500_000)


def test_ada_uses_the_mean_of_four_batches():
    # (0.9 · 3 + (−0.9)) / 4 = 0.45 < 0.6, though three of the four are above.
    state = controller(ADA)._replace(probability=jnp.float32(0.5))
    for sign in (0.9, 0.9, 0.9, -0.9):
        state = update_controller(state, jnp.float32(sign), 100, ADA)
    assert float(state.probability) == pytest.approx(0.5 - 400 / 500_000)


def test_adas_probability_stays_within_0_and_1():
    fast = ADA._replace(speed=100.0)
    for sign, end in ((1.0, 1.0), (-1.0, 0.0)):
        state = controller(fast)
        for _ in range(8):
            state = update_controller(state, jnp.float32(sign), 100, fast)
        assert float(state.probability) == end


def test_diffaugment_is_always_on_and_no_augmentation_never():
    assert float(controller(DIFFAUGMENT).probability) == 1
    assert float(controller(None).probability) == 0
