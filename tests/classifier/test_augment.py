import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import classifier, parallel

augment = jax.jit(classifier.augment, static_argnames=("reach", "mirrored"))


def translated(image, dy, dx):
    """The image moved down and to the right, zeros coming in."""
    moved = np.zeros_like(image)
    height, width, _ = image.shape
    for y in range(height):
        for x in range(width):
            if 0 <= y - dy < height and 0 <= x - dx < width:
                moved[y, x] = image[y - dy, x - dx]
    return moved


@pytest.mark.parametrize("reach", [1, 2])
def test_a_shift_is_one_of_all_translations_and_all_are_as_likely(rng, reach):
    image = rng.random((6, 5, 2)).astype(np.float32)
    keys = parallel.example_keys(jax.random.key(0), 5000)
    shift = jax.jit(classifier.shift, static_argnums=2)
    shifted = np.asarray(shift(keys, np.broadcast_to(image, (5000, *image.shape)), reach))
    span = range(-reach, reach + 1)
    counts = {}
    for dy in span:
        for dx in span:
            same = (shifted == translated(image, dy, dx)).all((1, 2, 3))
            counts[dy, dx] = same.sum()
    assert sum(counts.values()) == 5000
    expected = 5000 / len(counts)
    assert all(abs(n - expected) < 4 * expected**0.5 for n in counts.values())


def test_without_reach_images_stay_as_they_are(rng):
    images = rng.random((4, 6, 5, 1)).astype(np.float32)
    keys = parallel.example_keys(jax.random.key(0), 4)
    np.testing.assert_array_equal(classifier.shift(keys, jnp.asarray(images), 0), images)


def test_half_of_the_images_are_mirrored_left_to_right(rng):
    image = rng.random((6, 5, 1)).astype(np.float32)
    keys = parallel.example_keys(jax.random.key(0), 2000)
    mirrored = np.asarray(classifier.mirror(keys, np.broadcast_to(image, (2000, *image.shape))))
    turned = (mirrored == image[:, ::-1]).all((1, 2, 3))
    assert ((mirrored == image).all((1, 2, 3)) ^ turned).all()
    assert abs(turned.sum() - 1000) < 4 * 500**0.5


def test_images_are_mirrored_only_if_asked_for(rng):
    images = rng.random((200, 6, 5, 1)).astype(np.float32)
    keys = parallel.example_keys(jax.random.key(1), 200)
    as_they_are = augment(keys, images, reach=0, mirrored=False)
    np.testing.assert_array_equal(as_they_are, images)
    assert not np.array_equal(augment(keys, images, reach=0, mirrored=True), images)


def test_whether_an_image_is_mirrored_says_nothing_of_its_shift(rng):
    image = np.zeros((9, 9, 1), np.float32)
    image[4, 2] = 1  # or 6, mirrored
    keys = parallel.example_keys(jax.random.key(2), 4000)
    images = np.broadcast_to(image, (4000, *image.shape))
    columns = np.asarray(augment(keys, images, reach=1, mirrored=True)).sum((1, 3))
    counts = columns.sum(0)
    np.testing.assert_array_equal(counts[[0, 4, 8]], 0)
    expected = 4000 / 6
    assert (np.abs(counts[[1, 2, 3, 5, 6, 7]] - expected) < 4 * expected**0.5).all()


def test_what_happens_to_an_image_depends_on_its_own_key_alone(rng):
    images = rng.random((40, 6, 5, 1)).astype(np.float32)
    keys = parallel.example_keys(jax.random.key(3), 40)
    whole = augment(keys, images, reach=2, mirrored=True)
    backwards = augment(keys[::-1], images[::-1], reach=2, mirrored=True)
    np.testing.assert_array_equal(np.asarray(backwards)[::-1], whole)


def test_all_frames_of_a_video_are_changed_alike(rng):
    videos = rng.random((40, 3, 6, 5, 2)).astype(np.float32)
    keys = parallel.example_keys(jax.random.key(4), 40)
    found = np.asarray(augment(keys, videos, reach=2, mirrored=True))
    for t in range(3):
        still = augment(keys, videos[:, t], reach=2, mirrored=True)
        np.testing.assert_array_equal(found[:, t], still)
