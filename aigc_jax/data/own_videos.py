"""Videos of the user's own: an .npz file, or a folder of GIF, MP4, WebM and AVI files.

Dimensions: M clips, T frames, H W C frame, A attributes.
"""

import os
import stat
from pathlib import Path

import numpy as np

from aigc_jax import storage
from aigc_jax.data import class_folders, npz
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.own_images import FEWEST, HIGHEST_LABEL
from aigc_jax.data.splits import tenth_held_out
from aigc_jax.data.video import (
    MOST_BYTES,
    SUFFIXES,
    Measured,
    VideoClips,
    measure_video,
    read_video,
)
from aigc_jax.errors import InputError

RATE = 10.0  # frames per second of an .npz file that does not say
SHORTEST = 2  # frames
_NEAR = 0.05  # by how much rates may differ that count as one

_Labels = tuple[np.ndarray | None, tuple[Attribute, ...]]  # int32 [M, A], and what they mean


def load_own_videos(path: str, frames: int | None = None, most: int | None = None) -> VideoClips:
    """Loads the videos of an .npz file or of a folder, and splits them 90 / 10.

    The split is that of `own_images`: by a permutation that depends on M alone, whose last ⌊M / 10⌋
    are held out. Cut clips of one recording into the two parts yourself where they look alike.

    Args:
      path: one of two.
        An .npz file with an array `videos`, uint8 `[M, T, H, W]` or `[M, T, H, W, C]`, C = 1 or 3,
        and, if wanted, `labels`, integers `[M]` or `[M, A]` from 0 on, and `rate`, frames per
        second (10 if there is none).
        A folder of files as `read_video` takes them, of one size and one rate (to 5 %), in the
        order of their names. Where they are in subfolders, each is a class: 0, 1, … in the order of
        their names. Names that begin with a dot, captions, NAME.txt of NAME.gif, and what systems
        leave behind are skipped.
      frames: T, to which all clips are cut at their end; None: the length of the shortest.
      most: where that is longer, T; None: no bound.

    Returns:
      uint8 `[M, T, H, W, C]` in two parts, C = 1 where no pixel of any has a colour; labels,
      int32 `[M, A]`, or None; named after the path.

    Raises:
      InputError: names the file or folder that cannot be used, or the clip that is too short.
    """
    if not path:
        raise InputError("--videos is empty; name an .npz file or a folder of videos")
    for asked in (frames, most):
        if asked is not None and asked < SHORTEST:
            raise InputError(f"videos need at least {SHORTEST} frames; {asked} were asked for")
    kind = storage.kind_of(Path(path))
    if kind not in (stat.S_IFDIR, stat.S_IFREG):
        raise InputError(f"{path}: no such file or folder")
    read = _from_folder if kind == stat.S_IFDIR else _from_npz
    try:
        videos, rate, (labels, attributes) = read(Path(path), frames, most)
        train, heldout = tenth_held_out(len(videos))
        parts = videos[train], videos[heldout]
    except MemoryError as error:
        raise InputError(f"{path}: its videos do not fit into memory") from error
    name = Path(os.path.abspath(path)).stem
    if labels is None:
        return VideoClips(name, rate, *parts)
    return VideoClips(name, rate, *parts, labels[train], labels[heldout], attributes)


def _check_count(place: Path, videos: int) -> None:
    if videos < FEWEST:
        raise InputError(f"{place}: holds {videos} videos; at least {FEWEST} are needed")


def _check_bytes(place: Path, count: int) -> None:
    npz.check_bytes(place, count, MOST_BYTES, "pixels")


def _check_length(place: Path, length: int, frames: int | None) -> None:
    if length < (frames or SHORTEST):
        raise InputError(f"{place}: has {length} frames; at least {frames or SHORTEST} are needed")


def _from_npz(
    file: Path, frames: int | None, most: int | None
) -> tuple[np.ndarray, float, _Labels]:
    found = npz.read_npz(file, "videos", ["labels", "rate"], most=MOST_BYTES, what="pixels")
    videos = found["videos"]
    if videos.ndim == 4:
        videos = videos[..., None]
    if videos.dtype != np.uint8 or videos.ndim != 5 or videos.shape[-1] not in (1, 3):
        wanted_shape = "uint8 [M, T, H, W], [M, T, H, W, 1] or [M, T, H, W, 3]"
        raise InputError(
            f"{file}: 'videos' must be {wanted_shape}, and is {npz.kind_of(found['videos'])}"
        )
    _check_count(file, len(videos))
    _check_length(file, videos.shape[1], frames)
    if videos.size == 0:
        raise InputError(f"{file}: 'videos' has no pixels: it is {npz.kind_of(found['videos'])}")
    rate = _rate(file, found["rate"]) if "rate" in found else RATE
    labels = _labels(file, found["labels"], len(videos)) if "labels" in found else (None, ())
    return videos[:, : frames or most], rate, labels


def _rate(file: Path, rate: np.ndarray) -> float:
    if rate.dtype.kind not in "iuf" or rate.size != 1 or not 0 < rate.item() < np.inf:
        wanted = "one positive number, of frames per second"
        raise InputError(f"{file}: 'rate' must be {wanted}, and is {npz.kind_of(rate)}")
    return float(rate.item())


def _labels(file: Path, labels: np.ndarray, count: int) -> _Labels:
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or len(labels) != count:
        wanted = f"integers [{count}] or [{count}, A]"
        raise InputError(f"{file}: 'labels' must be {wanted}, and is {npz.kind_of(labels)}")
    labels = labels.reshape(count, -1)
    if not labels.size or labels.min() < 0 or labels.max() > HIGHEST_LABEL:
        found = f"{labels.min()} to {labels.max()}" if labels.size else "none"
        raise InputError(f"{file}: 'labels' must be from 0 to {HIGHEST_LABEL}, and are {found}")
    names = ["class"] if labels.shape[1] == 1 else [f"label{a}" for a in range(labels.shape[1])]
    values = [tuple(map(str, range(int(top) + 1))) for top in labels.max(0)]
    attributes = tuple(Attribute(*both) for both in zip(names, values, strict=True))
    return labels.astype(np.int32), attributes


def _from_folder(
    folder: Path, frames: int | None, most: int | None
) -> tuple[np.ndarray, float, _Labels]:
    kinds = f"a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file"
    files, labels, classes = class_folders.listed(folder, SUFFIXES, "videos", kinds)
    _check_count(folder, len(files))
    found = _measured(files, frames, most)
    _check_bytes(folder, len(files) * found.frames * found.height * found.width)
    videos = _decoded(folder, files, found)
    if labels is None:
        return videos, found.rate, (None, ())
    return videos, found.rate, (labels[:, None], (Attribute("class", classes),))


def _measured(files: list[Path], frames: int | None, most: int | None) -> Measured:
    """What all clips have in common, before any is kept."""
    first = measure_video(files[0], frames or most)
    shortest = first.frames
    for file in files:
        found = measure_video(file, shortest) if file != files[0] else first
        _check_length(file, found.frames, frames)
        if (found.height, found.width) != (first.height, first.width):
            sizes = f"{found.width}×{found.height} pixels, and {files[0]} has"
            message = f"{file}: has {sizes} {first.width}×{first.height}; all must be of one size"
            raise InputError(message)
        if abs(found.rate / first.rate - 1) > _NEAR:
            rates = f"{found.rate:.4g} frames a second, and {files[0]} has {first.rate:.4g}"
            raise InputError(f"{file}: has {rates}; all must be of one rate")
        shortest = min(shortest, found.frames)
    return first._replace(frames=shortest)


def _decoded(folder: Path, files: list[Path], common: Measured) -> np.ndarray:
    """The clips of all files, `[M, T, H, W, 1]`, or `[M, T, H, W, 3]` if one has colours."""
    shape = common.frames, common.height, common.width
    videos = np.empty((len(files), *shape, 1), np.uint8)
    for i, file in enumerate(files):
        clip, _ = read_video(file, common.frames)
        if clip.shape[-1] > videos.shape[-1]:
            _check_bytes(folder, 3 * videos.size)
            videos = np.repeat(videos, 3, axis=-1)
        videos[i] = clip
    return videos
