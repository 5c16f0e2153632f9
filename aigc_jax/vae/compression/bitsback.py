"""Lossless compression by bits back: a trained VAE pushes images onto a stack of bits.

    pop z ~ q(z|x),   push x ~ p(x|z),   push z ~ p(z):

    E[growth] = E_q [−log p(x|z) − log p(z) + log q(z|x)] = −ELBO(x)   nats

since the bits that are popped to choose z are those of the images before. The decoder goes the
same way backwards, and finds at the bottom the bits that the first image borrowed.

That holds for random bits. Those pushed last are not random where images are not as the model
expects them: read as they are, they drew z from the tails of q, which cost a poor model half as
much again. So the top of the stack is first whitened, by an exclusive or with fixed noise.

The coder is exact only if both sides see the same probabilities to the last bit. So both call the
same compiled functions with the same shapes, and `probe` hashes what those functions return.

Source: Townsend et al. 2019, https://arxiv.org/abs/1901.04866.

Dimensions: M images, L of them in a call of the networks, Z latent, H W C image.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from aigc_jax.errors import InputError
from aigc_jax.vae.compression.coder import BOUND, PER_UNIT, Coder

MOST_LANES = 64
_TABLE = 2**24  # probabilities in memory at a time, at most
_GROWTH = 8  # a turn is of an eighth of the images before it, at most
_FARTHEST = PER_UNIT * BOUND  # points between 0 and the farthest mean
_PRECISION = 24  # bits of the coder's probabilities: the most that a symbol takes
_USUAL = 12  # bits that a latent takes off the stack, hardly ever more: all points alike


class Coded(NamedTuple):
    """A set of images as words."""

    words: np.ndarray  # uint32, the top of the stack last
    below: int  # how many words of the stack's beginning, which is known, are below them
    borrowed: int  # how many of `words` hold the rest of that beginning: what the start costs


def lanes_for(count: int, image_shape: tuple[int, ...], levels: int) -> int:
    """L for M = `count` images: at most 64, and fewer where there is less memory or less to do."""
    # The first, small turns take as long as full ones: with many lanes, most of a small set's time.
    return max(1, min(most_lanes(image_shape, levels), count // MOST_LANES))


def most_lanes(image_shape: tuple[int, ...], levels: int) -> int:
    """How many images a call of the networks may take before its table outgrows the memory."""
    return max(1, min(MOST_LANES, _TABLE // (levels * math.prod(image_shape))))


def turns(count: int, lanes: int) -> list[int]:
    """How many images go through the networks at a time: few at first, since all the images of a
    turn borrow their bits from those of earlier turns.

    Args:
      count: M.
      lanes: the most of them.
    """
    growing, full, rest = _turns(count, lanes)
    return [*growing, *[lanes] * full, *[rest] * (rest > 0)]


def _backwards(count: int, lanes: int) -> Iterator[tuple[int, int]]:
    """The number and the size of each turn, the last first; never all at once, since a file may
    announce any number of images.
    """
    growing, full, rest = _turns(count, lanes)
    sizes = itertools.chain([rest] * (rest > 0), itertools.repeat(lanes, full), growing[::-1])
    return zip(range(len(growing) + full + (rest > 0) - 1, -1, -1), sizes, strict=True)


def _turns(count: int, lanes: int) -> tuple[list[int], int, int]:
    """The sizes of the turns that grow, how many full ones follow, and the size of the last."""
    growing: list[int] = []
    done = 0
    while done < min(count, _GROWTH * lanes):
        growing.append(min(max(1, done // _GROWTH), count - done))
        done += growing[-1]
    return growing, *divmod(count - done, lanes)


def require() -> None:
    """Refuses early to code without constriction.

    Raises:
      InputError: it is missing.
    """
    _entropy_coder()


def _entropy_coder() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise InputError(
            "the entropy coder is a separate package: pip install 'aigc_jax[compress]'"
        ) from error
    return constriction.stream


class _Stack:
    """The stack of bits, and the distributions that go onto it."""

    def __init__(self, words: np.ndarray):
        self._stream = stream = _entropy_coder()
        self._coder = stream.stack.AnsCoder(words)
        # A mean lies within the bound, and a point no farther from it than that again.
        farthest = 2 * _FARTHEST
        self._prior = stream.model.QuantizedGaussian(-farthest, farthest, 0.0, float(PER_UNIT))
        self._table = stream.model.Categorical(perfect=False)
        self._bits = stream.model.Uniform(2**16)

    def whiten(self, latents: int, turn: int) -> None:
        """Randomises the bits that `latents` latents are about to be popped from, or undoes it."""
        count = latents * _USUAL // 16 + 1
        noise = np.frombuffer(_noise(f"turn {turn}", 2 * count), "<u2")
        bits = self._popped(self._coder.decode(self._bits, count), (count,))
        self._coder.encode_reverse(bits ^ noise.astype(np.int32), self._bits)

    def pop_posterior(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        points = np.rint(mean).astype(np.int32)
        for group, _, grid in self._groups(std):
            rest = mean[group] - points[group]
            points[group] += self._popped(self._coder.decode(grid, rest, std[group]), rest.shape)
        return points

    def push_posterior(self, points: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
        nearest = np.rint(mean)
        for group, reach, grid in reversed(self._groups(std)):
            offsets = (points[group] - nearest[group]).astype(np.int32)
            if np.abs(offsets).max() > reach:
                raise InputError("a latent is where none can have been drawn")
            rest = mean[group] - nearest[group]
            self._coder.encode_reverse(offsets, grid, rest, std[group])

    def _groups(self, std: np.ndarray) -> list[tuple[np.ndarray, int, Any]]:
        """Latents of about the same σ, and a grid around their means that reaches 8 to 16 σ.

        The coder gives each point of a grid 2⁻²⁴ of the mass at least. On a grid as wide as the
        prior's, one latent in 4,000 would land anywhere, and its image cost twice as much.
        """
        reach = np.exp2(np.ceil(np.log2(8 * std))).clip(8, _FARTHEST)
        quantised = self._stream.model.QuantizedGaussian
        return [(reach == r, int(r), quantised(-int(r), int(r))) for r in np.unique(reach)]

    def pop_prior(self, shape: tuple[int, int]) -> np.ndarray:
        return self._popped(self._coder.decode(self._prior, shape[0] * shape[1]), shape)

    def push_prior(self, points: np.ndarray) -> None:
        self._coder.encode_reverse(points.ravel(), self._prior)

    def pop_pixels(self, table: np.ndarray) -> np.ndarray:
        values = self._coder.decode(self._table, table.reshape(-1, table.shape[-1]))
        return self._popped(values, table.shape[:2]).astype(np.uint8)

    def push_pixels(self, values: np.ndarray, table: np.ndarray) -> None:
        symbols = values.ravel().astype(np.int32)
        self._coder.encode_reverse(symbols, self._table, table.reshape(-1, table.shape[-1]))

    def words(self) -> np.ndarray:
        return self._coder.get_compressed()

    def _popped(self, symbols: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        # What is popped from an empty stack cannot be pushed back.
        if self._coder.num_words() <= 2:
            raise InputError("there are not enough bits to read from")
        return symbols.reshape(shape)


def beginning(coder: Coder) -> np.ndarray:
    """The words that the stack begins with, more than the first turns can pop: uint32."""
    count = 8 + 4 * coder.lanes * coder.latent_size * _PRECISION // 32
    words = np.frombuffer(_noise("beginning", 4 * count), "<u4").astype(np.uint32)
    words[-1] |= 1  # the coder takes no 0 at the top
    return words


def _noise(name: str, count: int) -> bytes:
    return hashlib.shake_256(f"aigc_jax.vae bits back {name}".encode()).digest(count)


def _padded(coder: Coder, rows: np.ndarray) -> np.ndarray:
    blank = np.zeros((coder.lanes - len(rows), *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, blank])


def encode(
    coder: Coder, images: np.ndarray, seen: Callable[[int], None] = lambda done: None
) -> Coded:
    """Images → words.

    Args:
      coder: of images of this shape.
      images: uint8 `[M, H, W, C]`, below `coder.levels`.
      seen: called after each turn with the number of images that are done.

    Raises:
      InputError: the entropy coder is not installed, or the model's numbers are not finite.
    """
    start = beginning(coder)
    stack = _Stack(start)
    done = 0
    for turn, n in enumerate(turns(len(images), coder.lanes)):
        values = images[done : done + n]
        mean, std = (a[:n] for a in coder.posterior(_padded(coder, values)))
        stack.whiten(n * coder.latent_size, turn)
        points = stack.pop_posterior(mean, std)
        stack.push_pixels(values, coder.masses(_padded(coder, points))[:n])
        stack.push_prior(points)
        done += n
        seen(done)
    words = stack.words()
    shorter = min(len(words), len(start))
    differ = np.flatnonzero(words[:shorter] != start[:shorter])
    below = int(differ[0]) if len(differ) else shorter
    return Coded(words[below:], below, len(start) - below)


def decode(
    coder: Coder,
    words: np.ndarray,
    below: int,
    count: int,
    seen: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Words → images: the inverse of `encode`.

    Args:
      coder: equal to the one that encoded, in all it returns.
      words, below: of `Coded`.
      count: M.
      seen: called after each turn with the number of images that are done.

    Returns:
      uint8 `[M, H, W, C]`.

    Raises:
      InputError: these words are not what `encode` made of M images with such a coder.
    """
    start = beginning(coder)
    if not 0 <= below <= len(start) or (len(words) and words[-1] == 0):
        raise InputError("these words are not a stack")
    stack = _Stack(np.concatenate([start[:below], words]))
    images = np.empty((count, *coder.image_shape), np.uint8)
    left = count
    for turn, n in _backwards(count, coder.lanes):
        points = stack.pop_prior((n, coder.latent_size))
        values = stack.pop_pixels(coder.masses(_padded(coder, points))[:n])
        left -= n
        done = images[left : left + n]
        done[:] = values.reshape(done.shape)
        mean, std = (a[:n] for a in coder.posterior(_padded(coder, done)))
        stack.push_posterior(points, mean, std)
        stack.whiten(n * coder.latent_size, turn)
        seen(count - left)
    if not np.array_equal(stack.words(), start):
        raise InputError("the stack does not end as it began")
    return images


def probe(coder: Coder) -> str:
    """SHA-256 of what the coder and the entropy coder return for one turn of noise.

    Equal where decoding can be trusted: another processor or another library may add up floats in
    another order, and one last bit of one probability makes all that follows garbage.
    """
    digest = hashlib.sha256()
    size = coder.lanes * int(np.prod(coder.image_shape))
    noise = np.frombuffer(_noise("probe", size), np.uint8)
    values = np.uint8(np.int32(noise) % coder.levels).reshape(coder.lanes, *coder.image_shape)
    mean, std = coder.posterior(values)
    stack = _Stack(beginning(coder))
    points = stack.pop_posterior(mean, std)
    table = coder.masses(points)
    stack.push_pixels(values, table)
    stack.push_prior(points)
    for array in (mean, std, table, stack.words()):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
