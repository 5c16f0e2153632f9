"""An MNIST of a few images of 4×4 pixels, as files."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_digits(folder: Path, train: int = 32, heldout: int = 20) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for part, count in (("train", train), ("t10k", heldout)):
        pixels, labels = rng.integers(256, size=(count, 4, 4)), rng.integers(10, size=count)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
