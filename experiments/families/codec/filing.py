"""Files to codes, and codes to files.

A file of codes is an .npz of plain arrays: `codes` int32 `[M, *G, n]`, −1 beyond the end of shorter
signals; `sides` int32 `[M, s]`, of the signals; `files` their names; `codec_sha256` of the codec.

Dimensions: M files, S a signal's sides, G the grid's sides, n stages.
"""

import io
import itertools
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import codec, pictures, storage
from aigc_jax.artefacts import Sound
from aigc_jax.checkpoint import digest
from aigc_jax.data import audio, class_folders, npz, own_images, sound_files, video
from aigc_jax.errors import InputError
from experiments.data.signals import SUFFIXES, floats, integers
from experiments.runs.restore import Restored

MOST_BYTES = 2**32  # of an array in a file of codes
WRITTEN = {"image": ".png", "audio": ".wav", "video": ".gif"}


def read_signal(path: Path, metadata: dict[str, Any]) -> np.ndarray:
    """What a file holds, as a run's codec takes it: integers `[*S, C]`.

    Sounds are made mono and resampled, and not made louder or softer.

    Raises:
      InputError: it cannot be read, or is of another number of channels.
    """
    medium, channels = metadata["medium"], metadata["channels"]
    if medium == "audio":
        samples, rate = sound_files.read_sound(path)
        mono = audio.resampled(samples.mean(axis=1, dtype=np.float64), rate, metadata["rate"])
        return audio.quantised(mono)[:, None]
    signal = own_images.read_image(path) if medium == "image" else video.read_video(path)[0]
    if signal.shape[-1] == 1 and channels == 3:
        signal = np.repeat(signal, 3, axis=-1)
    if signal.shape[-1] != channels:
        raise InputError(f"{path}: has colours, and the codec was trained on grey ones")
    return signal


def coder_sha256(coder: codec.Coder) -> str:
    """SHA-256 over all arrays that code and decode."""
    return digest([np.asarray(leaf) for leaf in jax.tree.leaves(coder)])


class CodeFile(NamedTuple):
    """The codes of files."""

    codes: np.ndarray
    sides: np.ndarray
    files: tuple[str, ...]
    codec_sha256: str

    def encode(self) -> bytes:
        """The content of the .npz file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{**self._asdict(), "files": np.array(self.files, str)})
        return buffer.getvalue()


def read_codes(path: Path) -> CodeFile:
    """Reads a file of codes.

    Raises:
      InputError: it is none, or is damaged.
    """
    if storage.kind_of(path) != stat.S_IFREG:
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            found = {name: _member(archive, name, path) for name in CodeFile._fields}
    except InputError:
        raise
    except Exception as error:  # zip, its compressors and NumPy's header raise many types
        said = npz.reason(error)
        raise InputError(f"{path}: not a file of codes, or damaged ({said})") from error
    codes, sides, files = found["codes"], found["sides"], found["files"]
    integers_only = codes.dtype.kind in "iu" and sides.dtype.kind in "iu"
    if not integers_only or sides.ndim != 2 or codes.ndim != sides.shape[1] + 2 or files.ndim != 1:
        raise InputError(f"{path}: not a file of codes; see experiments.encode")
    if not len(codes) == len(sides) == len(files) or not codes.size or sides.min() < 1:
        raise InputError(f"{path}: {len(codes)} codes, {len(sides)} sides, {len(files)} names")
    return CodeFile(codes, sides, tuple(map(str, files)), str(found["codec_sha256"]))


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    if f"{name}.npy" not in archive.namelist():
        raise InputError(f"{path}: has no array {name!r}; see experiments.encode")
    return npz.member(archive, path, name, MOST_BYTES, "arrays")


def inputs(source: Path, medium: str) -> list[tuple[str, Path]]:
    """The files of INPUT by their names below it: itself, or those of a folder and its subfolders.

    Raises:
      InputError: there are none, or others.
    """
    if storage.kind_of(source) != stat.S_IFDIR:
        return [(source.name, source)]
    suffixes = SUFFIXES[medium]
    kinds = f"a {' or '.join(suffixes)} file"
    found = class_folders.listed(source, suffixes, f"{medium} files", kinds)
    if not found.files:
        raise InputError(f"{source}: holds no {medium} files ({', '.join(suffixes)})")
    return [(str(file.relative_to(source)), file) for file in found.files]


def span(networks: codec.Networks, frame: tuple[int, ...]) -> int:
    """How many samples or frames, of the sides `frame`, one position of the grid is for."""
    return next(n for n in itertools.count(1) if networks.grid((n + 1, *frame))[0] > 1)


def _compiled(run: Restored, sides: Sequence[int]) -> tuple[int, ...]:
    """The sides for which a program is compiled: of a sound those of whole codes.

    Its codes are those of the sound with zeros up to there, and there are many fewer such lengths.
    """
    if run.metadata["medium"] != "audio":
        return tuple(map(int, sides))
    each = span(run.algorithm.networks, ())
    return (-(-int(sides[0]) // each) * each,)


def encode(run: Restored, files: list[tuple[str, Path]], sha256: str) -> CodeFile:
    """The codes of files, one after another: they may be of different lengths.

    Raises:
      InputError: one cannot be read, or is not of the codec's medium.
    """
    coder, made = codec.coder_of(run.state), run.algorithm
    coded = jax.jit(made.encode)
    codes, sides = [], []
    for _, path in files:
        signal = read_signal(path, run.metadata)
        sides.append(signal.shape[:-1])
        beyond = [(0, n - len(signal)) for n in _compiled(run, sides[-1])[:1]]
        whole = np.pad(signal, beyond + [(0, 0)] * (signal.ndim - 1))
        codes.append(np.asarray(coded(coder, floats(jnp.asarray(whole[None]))))[0])
    shape = np.max([found.shape for found in codes], axis=0)
    padded = np.full((len(codes), *shape), -1, np.int32)
    for row, found in zip(padded, codes, strict=True):
        row[tuple(slice(side) for side in found.shape)] = found
    return CodeFile(padded, np.array(sides, np.int32), tuple(name for name, _ in files), sha256)


def decode(run: Restored, found: CodeFile, stages: int | None = None) -> list[np.ndarray]:
    """The signals of codes, integers `[*S, C]` each.

    Args:
      run: of the codec.
      found: the codes.
      stages: decode by the first of them alone; None: all.

    Raises:
      InputError: the codes are none of this codec's.
    """
    coder, made, medium = codec.coder_of(run.state), run.algorithm, run.metadata["medium"]
    if found.sides.shape[1] != len(run.metadata["sides"]):
        raise InputError(f"the codes are not of this codec: they are not of {medium} files")
    decoded = jax.jit(made.decode, static_argnums=2)
    signals = []
    for codes, sides in zip(found.codes, found.sides, strict=True):
        grid = made.networks.grid(tuple(map(int, sides)))
        own = codes[tuple(slice(side) for side in grid)][..., :stages]
        if own.shape[:-1] != grid or codes.shape[-1] != made.quantiser.stages:
            raise InputError("the codes are not of this codec: they are of another grid")
        if own.min() < 0 or own.max() >= made.quantiser.codes:
            raise InputError("the codes are not of this codec: some are out of range")
        signal = decoded(coder, jnp.asarray(own[None]), _compiled(run, sides))
        signals.append(integers(signal, medium)[0][: sides[0]])
    return signals


def content(signal: np.ndarray, metadata: dict[str, Any]) -> bytes:
    """A signal, integers `[*S, C]`, as the content of a file of its medium."""
    medium, rate = metadata["medium"], metadata["rate"]
    if medium == "audio":
        return Sound(signal / np.float32(2**15 - 1), rate).encode()  # the same 16 bits
    unit = signal.astype(np.float32) / np.float32(255)
    if medium == "video":
        return pictures.video(unit, min(rate, pictures.MOST_PER_SECOND))
    return pictures.image_grid(unit[None, None], scale=1, gap=0)
