import gzip
import hashlib
import struct
import tracemalloc

import numpy as np
import pytest

from aigc_jax.data import stacked_mnist
from aigc_jax.data.images import load_images
from aigc_jax.data.stacked_mnist import stack
from aigc_jax.errors import InputError

LABELS = np.array([3, 0, 9, 7, 3, 8, 1], np.uint8)


def digits_of(labels):
    """4×5 images that tell which digit they are, and which of its images: pixel 0, pixel 1."""
    images = np.zeros((len(labels), 4, 5, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = labels, np.arange(len(labels))
    images[:, 1:, :, 0] = np.random.default_rng(0).integers(256, size=(len(labels), 3, 5))
    return images


@pytest.fixture(scope="module")
def stacked():
    return stack(digits_of(LABELS), LABELS, 2500)  # blocks that do not come out even


def test_shapes_and_types(stacked):
    assert stacked.images.shape == (2500, 4, 5, 3)
    assert stacked.images.dtype == np.uint8
    assert stacked.labels.shape == (2500,)
    assert stacked.labels.dtype == np.uint16


def test_each_channel_is_a_whole_digit(stacked):
    digits, which = digits_of(LABELS)[..., 0], stacked.images[:, 0, 1]
    for channel in range(3):
        np.testing.assert_array_equal(stacked.images[..., channel], digits[which[:, channel]])


def test_the_label_reads_red_green_blue(stacked):
    r, g, b = stacked.images[:, 0, 0].astype(int).T
    np.testing.assert_array_equal(stacked.labels, 100 * r + 10 * g + b)
    assert stacked.labels.max() == 999  # above what fits the digits' own bytes


def test_channels_are_drawn_evenly_and_on_their_own(stacked):
    # 2,500 triples: each digit is expected 357 ± 17 times a channel, each pair of two 51 ± 7.
    which = stacked.images[:, 0, 1]
    for channel in range(3):
        counts = np.bincount(which[:, channel], minlength=7)
        assert (abs(counts - 357) < 5 * 17.5).all()
        pairs = np.bincount(which[:, channel] * 7 + which[:, channel - 1], minlength=49)
        assert (abs(pairs - 51) < 5 * 7.1).all()


def test_the_triples_are_always_the_same_and_the_parts_have_their_own():
    # As first drawn with NumPy 2.4: a change of it would make all reported results void.
    images, labels = stack(digits_of(LABELS), LABELS, 100)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest[:16] == "96351e85b492a8da"
    assert labels.tolist() != stack(digits_of(LABELS), LABELS, 101).labels[:100].tolist()


def test_little_more_memory_is_taken_than_the_result_needs():
    digits = np.zeros((10, 28, 28, 1), np.uint8)
    tracemalloc.start()
    images, _ = stack(digits, np.arange(10), 20_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * images.nbytes


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture
def files(tmp_path):
    """MNIST's four files: seven training digits, and the first four of them as test digits."""
    for part, count in (("train", 7), ("t10k", 4)):
        images = digits_of(LABELS)[:count, ..., 0]
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", LABELS[:count])
    return tmp_path


def test_it_loads_by_name_from_the_files_of_mnist(files, monkeypatch):
    monkeypatch.setattr(stacked_mnist, "TRAIN", 300)
    monkeypatch.setattr(stacked_mnist, "HELDOUT", 200)
    images = load_images("stacked_mnist", str(files))
    assert (images.name, images.unit) == ("stacked_mnist", "images")
    assert images.train.shape == (300, 4, 5, 3)
    assert images.heldout.shape == (200, 4, 5, 3)
    assert set(images.train[:, 0, 1].ravel()) == set(range(7))  # which digits it is made of
    assert set(images.heldout[:, 0, 1].ravel()) == set(range(4))
    expected = stack(digits_of(LABELS)[:4], LABELS[:4], 200)
    np.testing.assert_array_equal(images.heldout_labels, expected.labels)
    assert images.fingerprint() == load_images("stacked_mnist", str(files)).fingerprint()


def test_the_sizes_are_pacgans():
    assert (stacked_mnist.TRAIN, stacked_mnist.HELDOUT) == (128_000, 10_000)


def test_labels_above_nine_are_refused(files):
    write_idx(files / "train-labels-idx1-ubyte.gz", LABELS + 17)
    with pytest.raises(InputError, match="digits 0 to 9; a label is 26"):
        load_images("stacked_mnist", str(files))


def test_a_missing_file_is_named(files):
    (files / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"t10k-images.*--data_dir must hold the IDX files"):
        load_images("stacked_mnist", str(files))
