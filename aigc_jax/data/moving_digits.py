"""Moving MNIST: digits that glide over a black frame and turn back at its borders.

Dimensions: B videos, T frames, K digits in a video, N digits to draw from, S frame and D digit in
pixels.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aigc_jax.algorithm import Key, Keys
from aigc_jax.data.images import load_images
from aigc_jax.errors import InputError

RATE = 10  # frames per second to play them at; the recipe names none
STEP = 0.1  # of the free range, in each frame
SIZE = 64  # of the recipe's frames, for digits of 28 pixels
HELDOUT_SEED = 10_000  # of the held-out videos, so that figures are of the same ones

KINDS = 10  # of digits
SLOPES = 4  # ranges of a path's slope that are told apart

_BLOCK = 256  # videos composed at once on the host's behalf


class Videos(NamedTuple):
    """Videos, and what was drawn to make them."""

    frames: Any  # uint8 [B, T, S, S, 1]
    digits: Any  # int32 [B, K], which of the N
    positions: Any  # float32 [B, T, K, 2], row and column of a digit's corner, before truncation


def moving_digits(
    keys: Keys, digits: jax.Array, frames: int = 20, count: int = 2, size: int = SIZE
) -> Videos:
    """Videos of digits, each a function of its own key: a batch made where it is used, under `jit`.

    On the unit square, at every frame and along either axis:

        p ← p + b STEP (sin θ, cos θ);  where p ≤ 0 or p ≥ 1:  p ← 0 or 1, b ← −b

    from p uniform, θ uniform in the circle and b = 1. A digit's corner is at (S − D) p, truncated
    to whole pixels; where digits overlap, the brighter pixel is seen. At 64 and 28 pixels the range
    is 36 and the speed 3.6 pixels a frame, less in a frame that ends at a border.

    Args:
      keys: one for each video, `[B]`; see `video_keys`.
      digits: uint8 `[N, D, D]`, drawn from with replacement.
      frames: T. The first is one step after the position that was drawn, as in the source.
      count: K.
      size: S ≥ D.

    Returns:
      `Videos`; the same for a key whatever other keys are beside it.

    Raises:
      InputError: the digits are no `[N, D, D]` of bytes, do not fit into the frame, or there is
        nothing to draw.

    Source: Srivastava et al. 2015, https://arxiv.org/abs/1502.04681, by the recipe of OpenSTL's
    `dataloader_moving_mnist.py`. Random numbers are JAX's, and trajectories are in float32.
    """
    _check(digits, frames, count, size)
    digits = jnp.asarray(digits)
    return jax.vmap(partial(_one, digits=digits, frames=frames, count=count, size=size))(keys)


def video_keys(seed: int, indices: Any) -> Keys:
    """The keys of videos by their indices, int `[B]`: fold_in(key(seed), index), `[B]`."""
    return jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(indices)


def contents(videos: Videos, labels: jax.Array) -> jax.Array:
    """What videos show, whatever the order: their digits and the slopes of their paths.

    A border turns back one component of a velocity and leaves the other, so the angle of

        atan(|v_row| / |v_column|) in [0, π/2]

    to the horizontal is the same in all frames. It is counted in `SLOPES` equal ranges. A step that
    ends at a border is shorter, so the components are the longest of all steps.

    Args:
      videos: of two frames at least; their frames are not looked at.
      labels: int `[N]`, which digit each of the N is.

    Returns:
      int32 `[B, 2 K]`: K digits, then K ranges, either in ascending order; see `sizes`.
    """
    steps = jnp.max(jnp.abs(jnp.diff(videos.positions, axis=1)), axis=1)
    angle = jnp.arctan2(steps[..., 0], steps[..., 1]) * (2 / np.pi)
    ranges = jnp.minimum((SLOPES * angle).astype(jnp.int32), SLOPES - 1)
    kinds = jnp.asarray(labels, jnp.int32)[videos.digits]
    return jnp.concatenate([jnp.sort(kinds, axis=1), jnp.sort(ranges, axis=1)], axis=1)


def sizes(count: int) -> tuple[int, ...]:
    """How many values each column of `contents` has, for K = `count`."""
    return (KINDS,) * count + (SLOPES,) * count


def _check(digits: Any, frames: int, count: int, size: int) -> None:
    shape = digits.shape
    if digits.dtype != np.uint8 or len(shape) != 3 or shape[1] != shape[2] or not shape[0]:
        found = f"{digits.dtype} {list(shape)}"
        raise InputError(f"moving digits are made of uint8 [N, D, D], and these are {found}")
    if size < shape[1]:
        raise InputError(f"digits of {shape[1]} pixels do not fit into frames of {size}")
    if frames < 1 or count < 1:
        message = f"{frames} frames of {count} digits; take at least 1 frame and 1 digit"
        raise InputError(message)


def _one(key: Key, digits: jax.Array, frames: int, count: int, size: int) -> Videos:
    key_digits, key_start, key_angle = jax.random.split(key, 3)
    chosen = jax.random.randint(key_digits, (count,), 0, len(digits), jnp.int32)
    start = jax.random.uniform(key_start, (count, 2), jnp.float32)
    angle = jax.random.uniform(key_angle, (count,), jnp.float32, 0.0, 2.0 * np.pi)
    velocity = STEP * jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1)

    def step(carried: tuple[jax.Array, jax.Array], _: None) -> Any:
        place, velocity = carried
        place = place + velocity
        velocity = jnp.where((place <= 0.0) | (place >= 1.0), -velocity, velocity)
        place = jnp.clip(place, 0.0, 1.0)
        return (place, velocity), place

    _, places = lax.scan(step, (start, velocity), length=frames)
    side = digits.shape[1]
    positions = (size - side) * places
    return Videos(_drawn(digits[chosen], positions, size), chosen, positions)


def _drawn(digits: jax.Array, positions: jax.Array, size: int) -> jax.Array:
    """uint8 `[K, D, D]` at `[T, K, 2]` → `[T, S, S, 1]`.

    Each frame is a window of the digit in a wide black border: one slice, where products with
    one-hot rows and columns take a hundred times as long on a CPU.
    """
    free = size - digits.shape[1]
    bordered = jnp.pad(digits, ((0, 0), (free, free), (free, free)))

    def window(image: jax.Array, corner: jax.Array) -> jax.Array:
        return lax.dynamic_slice(image, (free - corner[0], free - corner[1]), (size, size))

    corners = jnp.floor(positions).astype(jnp.int32)
    layers = jax.vmap(jax.vmap(window), (None, 0))(bordered, corners)
    return jnp.max(layers, axis=1)[..., None]


@dataclass(frozen=True, eq=False)
class MovingDigits:
    """Videos that are made of two disjoint sets of digits, one to train with and one held out."""

    name: str
    train: np.ndarray  # digits, uint8 [N, D, D]
    train_labels: np.ndarray  # integers [N]
    heldout: np.ndarray
    heldout_labels: np.ndarray
    frames: int = 20
    count: int = 2
    size: int = SIZE

    def __post_init__(self) -> None:
        for digits in (self.train, self.heldout):
            _check(digits, self.frames, self.count, self.size)

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "videos"

    @property
    def rate(self) -> int:
        """Frames per second."""
        return RATE

    def fingerprint(self) -> str:
        """SHA-256 over all digits and labels in order, and what videos are made of them."""
        digest = hashlib.sha256(f"{self.frames} {self.count} {self.size}".encode())
        for array in (self.train, self.train_labels, self.heldout, self.heldout_labels):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def heldout_videos(self, n: int, seed: int = HELDOUT_SEED) -> Videos:
        """n videos of held-out digits, in memory.

        Args:
          n: how many; more of them begin with the same ones.
          seed: video i is made with fold_in(key(seed), i).

        Returns:
          NumPy arrays, of which `heldout_labels[digits]` says what is seen.
        """
        if n < 1:
            raise InputError(f"{n} held-out videos; take at least 1")
        blocks = list(self._blocks(n, seed))
        return Videos(*(np.concatenate(parts)[:n] for parts in zip(*blocks, strict=True)))

    def _blocks(self, n: int, seed: int) -> Iterator[Videos]:
        make = jax.jit(partial(moving_digits, frames=self.frames, count=self.count, size=self.size))
        digits, block = jnp.asarray(self.heldout), min(n, _BLOCK)
        for first in range(0, n, block):
            yield jax.device_get(make(video_keys(seed, np.arange(first, first + block)), digits))


def load_moving_digits(
    name: str = "mnist5k",
    data_dir: str | None = None,
    frames: int = 20,
    count: int = 2,
    size: int = SIZE,
) -> MovingDigits:
    """Moving digits of an image data set: training videos of its training images, and so on.

    Args:
      name: `mnist5k` or `mnist`; see `load_images`.
      data_dir: the folder of its files; see `load_images`.
      frames: T.
      count: K.
      size: S, 64, or 32 for a quarter of the pixels: digits are then means of 2×2 pixels, so that
        all but the truncation to whole pixels is half as large.

    Raises:
      InputError: the images cannot be loaded, are not grey digits of 28×28, or the size is another.
    """
    if size not in (SIZE, SIZE // 2):
        raise InputError(f"moving digits come in frames of {SIZE} or {SIZE // 2}, not {size}")
    images = load_images(name, data_dir)
    shape = images.train.shape[1:]
    if shape != (28, 28, 1) or images.train_labels is None or images.heldout_labels is None:
        raise InputError(f"moving digits need labelled images of 28×28×1; {name} has {shape}")
    parts = [array[..., 0] for array in (images.train, images.heldout)]
    if size == SIZE // 2:
        parts = [_halved(digits) for digits in parts]
    labels = images.train_labels, images.heldout_labels
    called = f"moving_{name}"
    return MovingDigits(called, parts[0], labels[0], parts[1], labels[1], frames, count, size)


def _halved(digits: np.ndarray) -> np.ndarray:
    """The mean of each 2×2 pixels, to the nearest integer: `[N, 28, 28]` → `[N, 14, 14]`."""
    n, side, _ = digits.shape
    return np.rint(digits.reshape(n, side // 2, 2, side // 2, 2).mean((2, 4))).astype(np.uint8)
