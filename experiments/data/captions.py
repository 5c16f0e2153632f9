"""Captions of signals by flag: the user's own texts, or made of labels.

Dimensions: M captions, S tokens of the longest.
"""

import hashlib
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aigc_jax import storage
from aigc_jax.data.captions import from_labels, read_captions, tokens_of
from aigc_jax.data.splits import tenth_held_out
from aigc_jax.errors import InputError
from aigc_jax.transformer import Source
from experiments.data.signals import SUFFIXES, Signals

FILES, LABELS = "files", "labels"
KINDS = (FILES, LABELS)
_SHOWN = 16  # of held-out signals, which the run keeps as examples


class Captions(NamedTuple):
    """One of each signal."""

    train: tuple[str, ...]
    heldout: tuple[str, ...]

    def fingerprint(self) -> str:
        """SHA-256 over all of them in order."""
        return hashlib.sha256("\0".join((*self.train, "", *self.heldout)).encode()).hexdigest()

    def metadata(self) -> dict[str, Any]:
        """What sampling needs to know: how many tokens one has at most, and some of them."""
        _, lengths = tokens_of((*self.train, *self.heldout))
        every = max(len(self.heldout) // _SHOWN, 1)
        some = dict.fromkeys(self.heldout[::every])
        return {"tokens": int(lengths.max()), "examples": list(some)[:_SHOWN]}


def load(kind: str, options: Any, signals: Signals, seed: int) -> Captions:
    """The captions of signals.

    Args:
      kind: one of `KINDS`.
      options: by which the signals were loaded, see `SignalOptions`.
      signals: those.
      seed: of the wording of captions that are made of labels.

    Raises:
      InputError: the signals have no such captions.
    """
    own = options.images or options.sounds or options.videos
    if kind == FILES:
        if own is None or storage.kind_of(Path(own)) != stat.S_IFDIR:
            raise InputError(f"--captions={FILES} is for a folder of images, sounds or videos")
        medium = signals.medium
        texts = read_captions(Path(own), SUFFIXES[medium], f"{medium} files", f"of {medium}")
        train, heldout = tenth_held_out(len(texts))
        return Captions(tuple(texts[i] for i in train), tuple(texts[i] for i in heldout))
    train_labels, heldout_labels = signals.train_labels, signals.heldout_labels
    if train_labels is None or heldout_labels is None:
        raise InputError(f"--captions={LABELS}: the data {signals.name} have no labels")
    of = signals.name if own is None else None, signals.attributes
    return Captions(
        from_labels(*of, train_labels, [seed, 0]), from_labels(*of, heldout_labels, [seed, 1])
    )


def source_of(texts: Sequence[str], tokens: int) -> Source:
    """Captions as a prior takes them, `[M, S]`.

    Raises:
      InputError: one is longer, or is not UTF-8.
    """
    found, lengths = tokens_of(texts, tokens)
    present: Any = (np.arange(tokens)[None] < lengths[:, None]).astype(np.int32)
    rows: Any = found  # on the host, where a batch is chosen from it
    return Source(rows, present)


def rows_of(source: Source | None, indices: Any) -> Source | None:
    """The captions of some signals, `[len(indices), S]`."""
    if source is None:
        return None
    return Source(source.tokens[indices], source.segments[indices])
