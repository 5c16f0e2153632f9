"""What is reached without learning: baselines for a classifier's accuracy.

Dimensions: N training images, M held-out images, C classes.
"""

import numpy as np


def most_frequent_class_accuracy(train_labels: np.ndarray, labels: np.ndarray) -> float:
    """The share of labels `[M]` that are the most frequent one of the training labels `[N]`."""
    return float(np.mean(np.asarray(labels) == np.bincount(train_labels).argmax()))


def nearest_mean_accuracy(
    train: np.ndarray, train_labels: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> float:
    """How often the nearest class mean, by Euclidean distance of pixels, is that of the label.

        guess(x) = argmin_c ‖x − μ_c‖² = argmin_c ½‖μ_c‖² − x·μ_c

    Args:
      train: `[N, ...]`.
      train_labels: integers `[N]`.
      images: `[M, ...]`.
      labels: integers `[M]`.
    """
    train_labels = np.asarray(train_labels)
    classes = np.unique(train_labels)
    means = np.stack([train[train_labels == c].mean(0, dtype=np.float64).ravel() for c in classes])
    products = images.reshape(len(images), -1).astype(np.float64) @ means.T
    nearest = np.argmin(0.5 * np.square(means).sum(-1)[None] - products, axis=-1)
    return float(np.mean(classes[nearest] == labels))
