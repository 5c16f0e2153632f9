"""Images of the user's own: an .npz file, or a folder of PNG and JPEG files.

Dimensions: M images, H W C image.
"""

import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from aigc_jax import storage
from aigc_jax.data import class_folders, npz
from aigc_jax.data.images import Images
from aigc_jax.data.splits import tenth_held_out
from aigc_jax.data.whole_image import whole_image
from aigc_jax.errors import InputError

FEWEST = 20  # images, so that two are held out
MOST_BYTES = 2**35  # of pixels, as all are kept in memory
HIGHEST_LABEL = 2**16 - 1

SUFFIXES = (".png", ".jpg", ".jpeg")
# The modes in which Pillow opens them, each with the one to convert to.
_CONVERTED = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}


def load_own_images(path: str) -> Images:
    """Loads the images of an .npz file or of a folder, and splits them 90 / 10.

    The split is by a permutation that depends on M alone; its last ⌊M / 10⌋ are held out.

    Args:
      path: one of two.
        An .npz file with an array `images`, uint8 `[M, H, W]`, `[M, H, W, 1]` or `[M, H, W, 3]`,
        and, where they are labelled, `labels`, integers `[M]` from 0 on.
        A folder of PNG and JPEG files of one size, in the order of their names, rotated as a viewer
        shows them; RGB if a pixel of any of them has a colour, grey otherwise, however they are
        stored. Where they are in subfolders, each subfolder is a class: 0, 1, … in the order of
        their names. Names that begin with a dot are skipped, and so are captions, NAME.txt of
        NAME.png, and what systems leave behind, such as `Thumbs.db`, `desktop.ini` and `__MACOSX`.

    Returns:
      uint8 `[M, H, W, C]` in two parts, with int32 labels or None; named after the path, and the
      classes after their subfolders.

    Raises:
      InputError: names the file or folder that cannot be used.
    """
    if not path:
        raise InputError("--images is empty; name an .npz file or a folder of images")
    images, labels = read_images(path, FEWEST)
    train, heldout = tenth_held_out(len(images))
    name = Path(os.path.abspath(path)).stem
    if labels is None:
        return Images(name, images[train], None, images[heldout], None)
    parts = images[train], labels[train], images[heldout], labels[heldout]
    return Images(name, *parts, class_names(path))


def read_images(path: str, fewest: int = 1) -> tuple[np.ndarray, np.ndarray | None]:
    """All images of an .npz file or of a folder in their order, and their labels, if any.

    Args:
      path: as `load_own_images` takes it.
      fewest: how many there must be.

    Returns:
      uint8 `[M, H, W, C]`, and int32 `[M]` or None.

    Raises:
      InputError: names the file or folder that cannot be used.
    """
    kind = storage.kind_of(Path(path))
    if kind not in (stat.S_IFDIR, stat.S_IFREG):
        raise InputError(f"{path}: no such file or folder")
    read = _from_folder if kind == stat.S_IFDIR else _from_npz
    try:
        return read(Path(path), fewest)
    except MemoryError as error:
        raise InputError(f"{path}: its images do not fit into memory") from error


def class_names(path: str) -> tuple[str, ...] | None:
    """What the labels 0, 1, … of a folder of images are called; None of an .npz file.

    Raises:
      InputError: the folder cannot be read.
    """
    if storage.kind_of(Path(path)) != stat.S_IFDIR:
        return None
    return class_folders.subfolders(Path(path)) or None


def _check_count(place: Path, images: int, fewest: int) -> None:
    if images < fewest:
        raise InputError(f"{place}: holds {images} images; at least {fewest} are needed")


def _check_bytes(place: Path, count: int) -> None:
    npz.check_bytes(place, count, MOST_BYTES, "pixels")


def _from_npz(file: Path, fewest: int) -> tuple[np.ndarray, np.ndarray | None]:
    found = npz.read_npz(file, "images", ["labels"], most=MOST_BYTES, what="pixels")
    images, labels = found["images"], found.get("labels")
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        wanted = "uint8 [M, H, W], [M, H, W, 1] or [M, H, W, 3]"
        raise InputError(f"{file}: 'images' must be {wanted}, and is {npz.kind_of(images)}")
    _check_count(file, len(images), fewest)
    if images.size == 0:
        raise InputError(f"{file}: 'images' has no pixels: it is {npz.kind_of(images)}")
    if labels is None:
        return images, None
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        wanted = f"integers [{len(images)}]"
        raise InputError(f"{file}: 'labels' must be {wanted}, and is {npz.kind_of(labels)}")
    if labels.min() < 0 or labels.max() > HIGHEST_LABEL:
        span = f"{labels.min()} to {labels.max()}"
        raise InputError(f"{file}: 'labels' must be from 0 to {HIGHEST_LABEL}, and are {span}")
    return images, labels.astype(np.int32)


def _from_folder(folder: Path, fewest: int) -> tuple[np.ndarray, np.ndarray | None]:
    found = class_folders.listed(folder, SUFFIXES, "images", "a PNG or JPEG file")
    return _decoded(folder, found.files, fewest), found.labels


def _decoded(folder: Path, files: list[Path], fewest: int) -> np.ndarray:
    """The images of all files, `[M, H, W, 1]`, or `[M, H, W, 3]` if one of them has colours."""
    _check_count(folder, len(files), fewest)
    first = read_image(files[0])
    _check_bytes(folder, len(files) * first.size)
    images = np.empty((len(files), *first.shape), np.uint8)
    for i, file in enumerate(files):
        image = read_image(file)
        if image.shape[:2] != first.shape[:2]:
            (h, w, _), (height, width, _) = first.shape, image.shape
            sizes = f"{width}×{height} pixels, and {files[0]} has {w}×{h}"
            raise InputError(f"{file}: has {sizes}; all must be of one size")
        if image.shape[2] > images.shape[3]:
            _check_bytes(folder, 3 * images.size)
            images = np.repeat(images, 3, axis=3)
        images[i] = image
    return images


def read_image(file: Path) -> np.ndarray:
    """Of one file, uint8 `[H, W, 1]`, or `[H, W, 3]` where a pixel has a colour.

    Raises:
      InputError: it is no whole PNG or JPEG image of 8 bits, in grey or RGB, without transparency.
    """
    try:
        content = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage outside the pixels, as in the metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = whole_image(content)
            ImageOps.exif_transpose(image, in_place=True)
            return _pixels(file, image, content)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{file}: not a PNG or JPEG image, or damaged") from error
    except Exception as error:  # decoders raise many types
        raise InputError(f"{file}: cannot be read ({npz.reason(error)})") from error


def _pixels(file: Path, image: Image.Image, content: bytes) -> np.ndarray:
    # Pillow silently halves the bits of 16-bit colours; the depth is byte 24 of a PNG.
    if image.format == "PNG" and content[24] == 16:
        raise InputError(f"{file}: has 16 bits a channel; convert it to 8")
    frames = getattr(image, "n_frames", 1)
    if image.format == "PNG" and frames > 1:
        raise InputError(f"{file}: is animated, with {frames} images; save them separately")
    if image.mode not in _CONVERTED:
        raise InputError(f"{file}: is {image.mode}, neither grey nor RGB; convert it")
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise InputError(f"{file}: has transparent pixels; put it on a background")
    pixels = np.asarray(image.convert(_CONVERTED[image.mode]))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[..., :1] if (pixels == pixels[..., :1]).all() else pixels
