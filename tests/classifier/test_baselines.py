import numpy as np

from aigc_jax import classifier


def test_the_most_frequent_training_class_is_guessed():
    train, heldout = np.array([2, 0, 2, 1, 2, 0]), np.array([0, 0, 2, 1, 0])
    assert classifier.most_frequent_class_accuracy(train, heldout) == 1 / 5


def test_the_nearest_mean_by_hand():
    # Means: class 0 (1, 1), class 3 (9, 3); no class 1 or 2.
    train = np.array([[0, 2], [2, 0], [9, 3]], np.uint8)
    labels = np.array([0, 0, 3])
    images = np.array([[0, 0], [4, 4], [6, 3], [255, 0], [1, 1]], np.uint8)
    # Squared distances to them: 2 : 90, 18 : 26, 29 : 9, …
    truth = np.array([0, 0, 3, 3, 1])
    assert classifier.nearest_mean_accuracy(train, labels, images, truth) == 4 / 5


def test_images_are_taken_pixel_by_pixel(rng):
    train, images = (rng.integers(0, 256, (n, 3, 2, 2), np.uint8) for n in (40, 30))
    labels, truth = rng.integers(0, 3, 40), rng.integers(0, 3, 30)
    means = np.stack([train[labels == c].astype(float).mean(0) for c in range(3)])
    squares = np.square(images[:, None].astype(float) - means[None]).sum((2, 3, 4))
    expected = np.mean(squares.argmin(1) == truth)
    assert classifier.nearest_mean_accuracy(train, labels, images, truth) == expected
