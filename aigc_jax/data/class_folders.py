"""Folders of files, and folders of such folders, each of which is a class."""

import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aigc_jax import storage
from aigc_jax.errors import InputError

# What systems and programs leave in folders, besides what begins with a dot.
_LEFT_BEHIND = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "icon\r",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "picasa.ini",
    "system volume information",
    "lost+found",
}


class Listed(NamedTuple):
    """The files of a folder, in the order of their names."""

    files: list[Path]
    labels: np.ndarray | None  # int32 [M], the class of each; None without subfolders
    classes: tuple[str, ...]  # the subfolders' names


def listed(folder: Path, suffixes: Collection[str], things: str, kinds: str) -> Listed:
    """All files of a folder, or of its subfolders, each of which is a class.

    The captions beside them, see `caption_file`, are no such files, and are left out.

    Args:
      folder: with files alone, or with subfolders of files alone. Names that begin with a dot and
        what systems leave behind are skipped.
      suffixes: in small letters, those that the files may have.
      things: what messages call the contents, such as `sounds`.
      kinds: what messages call such files, such as `a WAV file`.

    Raises:
      InputError: names the file or folder that does not belong there or cannot be read.
    """
    inside = entries(folder)
    folders = [entry for entry in inside if _is_folder(entry)]
    if folders and len(folders) < len(inside):
        file = next(entry for entry in inside if entry not in folders)
        mixture = f"a file ({file.name}) beside a subfolder ({folders[0].name})"
        raise InputError(f"{folder}: has {mixture}; put all {things} into subfolders, or none")
    files: list[Path] = []
    labels: list[int] = []
    for label, place in enumerate(folders or [folder]):
        found = entries(place)
        if not found:
            raise InputError(f"{place}: holds no {things}")
        captions = {caption_file(file) for file in found if file.suffix.lower() in suffixes}
        own = [file for file in found if file not in captions]
        files += own
        labels += [label] * len(own)
    for file in files:
        if file.suffix.lower() not in suffixes or storage.kind_of(file) != stat.S_IFREG:
            raise InputError(f"{file}: not {kinds}; move it elsewhere")
    return Listed(
        files,
        np.array(labels, np.int32) if folders else None,
        tuple(entry.name for entry in folders),
    )


def caption_file(file: Path) -> Path:
    """Where the caption of a file is: NAME.txt of NAME.png, say."""
    return file.with_suffix(".txt")


def subfolders(folder: Path) -> tuple[str, ...]:
    """The names of a folder's subfolders, which are its classes.

    Raises:
      InputError: it cannot be read.
    """
    return tuple(entry.name for entry in entries(folder) if _is_folder(entry))


def entries(folder: Path) -> list[Path]:
    """What is in a folder and was put there by somebody, in the order of the names.

    Raises:
      InputError: it cannot be read.
    """
    with storage.told(folder):
        found = [entry for entry in folder.iterdir() if not _is_left_behind(entry.name)]
    return sorted(found, key=lambda entry: entry.name)


def _is_folder(path: Path) -> bool:
    return storage.kind_of(path) == stat.S_IFDIR


def _is_left_behind(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFT_BEHIND
