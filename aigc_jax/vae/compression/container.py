"""The file of a compressed set of images: what is in it, and what made it.

    8 bytes     magic
    uint32      version of this format
    uint32      n, the length of the header
    n bytes     the header: JSON in UTF-8
    uint32 …    the words of the stack, the top last
    32 bytes    SHA-256 of all that is before

All numbers are little-endian. A decoder needs the very model, libraries and processor that encoded;
the header says which those were, so that others are refused before they decode garbage.
"""

import dataclasses
import hashlib
import json
import platform
import struct
from importlib import metadata
from typing import Any

import jax
import numpy as np

from aigc_jax.algorithm import Params
from aigc_jax.errors import InputError

MAGIC = b"aigc-bb\n"
VERSION = 1
LIBRARIES = ("jax", "jaxlib", "numpy", "constriction")
_CHECK = 32  # bytes of the SHA-256 at the end


@dataclasses.dataclass(frozen=True)
class Origin:
    """Everything that a decoder must share with the encoder.

    Attributes:
      step: of training, at which the parameters were taken.
      parameters: SHA-256 of them.
      options: SHA-256 of what else describes the model.
      versions: of the libraries; None for one that is not installed.
      device: its platform and kind, and the host's processor.
      outputs: SHA-256 of what the networks and the entropy coder return for a fixed input.
    """

    step: int
    parameters: str
    options: str
    versions: dict[str, str | None]
    device: str
    outputs: str


@dataclasses.dataclass(frozen=True)
class Header:
    """What the words mean.

    Attributes:
      shape: [M, H, W, C] of the images.
      levels: values that a pixel may take: 2 for images of 0 and 255, 256 for all of them.
      lanes: images in a call of the networks, at most.
      grid: points of a latent in a unit, and how many units they reach either way.
      below: words of the stack's known beginning that are left out.
      images: SHA-256 of the images.
      origin: what made the file.
    """

    shape: tuple[int, int, int, int]
    levels: int
    lanes: int
    grid: tuple[int, int]
    below: int
    images: str
    origin: Origin


def digest(data: Any) -> str:
    """SHA-256 of an array with its shape and type, of a pytree of arrays, or of what JSON holds."""
    found = hashlib.sha256()
    if isinstance(data, np.ndarray):
        found.update(f"{data.dtype} {data.shape}".encode())
        found.update(np.ascontiguousarray(data).data)
    else:
        found.update(json.dumps(data, sort_keys=True).encode())
    return found.hexdigest()


def parameters_digest(params: Params) -> str:
    """SHA-256 of the names and the values of all parameters."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return digest([[jax.tree_util.keystr(path), digest(np.asarray(a))] for path, a in leaves])


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def origin(params: Params, step: int, options: dict[str, Any], outputs: str) -> Origin:
    """The `Origin` of a file that is written here and now."""
    device = jax.devices()[0]
    return Origin(
        step=step,
        parameters=parameters_digest(params),
        options=digest(options),
        versions={name: _version(name) for name in LIBRARIES},
        device=f"{device.platform}, {device.device_kind}, {platform.machine()}",
        outputs=outputs,
    )


def pack(header: Header, words: np.ndarray) -> bytes:
    """The bytes of a file."""
    described = json.dumps(dataclasses.asdict(header), separators=(",", ":")).encode()
    content = MAGIC + struct.pack("<II", VERSION, len(described)) + described
    content += words.astype("<u4").tobytes()
    return content + hashlib.sha256(content).digest()


def unpack(content: bytes, name: str) -> tuple[Header, np.ndarray]:
    """The header and the words of a file.

    Args:
      content: the file's.
      name: the file's, for messages.

    Raises:
      InputError: it is no such file, damaged, or of another version.
    """
    if content[: len(MAGIC)] != MAGIC[: len(content)] or not content:
        raise InputError(f"{name}: not a file that experiments.compress wrote")
    body, check = content[:-_CHECK], content[-_CHECK:]
    start = len(MAGIC) + 8
    if len(body) < start or hashlib.sha256(body).digest() != check:
        raise InputError(f"{name}: truncated or damaged: its checksum does not fit its contents")
    version, length = struct.unpack("<II", body[len(MAGIC) : start])
    if version != VERSION:
        raise InputError(f"{name}: is of format {version}, and only {VERSION} is known here")
    try:
        header = _parse(json.loads(body[start : start + length]))
        words = np.frombuffer(body[start + length :], "<u4").astype(np.uint32)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{name}: its header cannot be read ({error})") from error
    return header, words


def _parse(found: Any) -> Header:
    header = Header(**{**found, "origin": Origin(**found["origin"])})
    shape, grid = tuple(map(int, header.shape)), tuple(map(int, header.grid))
    sizes = (*shape, header.lanes, header.below + 1)
    if len(shape) != 4 or min(sizes) < 1 or header.levels not in (2, 256):
        raise ValueError("it describes no images")
    if header.lanes > shape[0]:
        raise ValueError("more lanes than images")
    return dataclasses.replace(header, shape=shape, grid=grid)  # type: ignore[arg-type]


def check_origin(made: Origin, here: Origin, name: str) -> None:
    """Refuses to decode with anything but what encoded.

    Args:
      made: of the file.
      here: of the decoder.
      name: the file's, for messages.

    Raises:
      InputError: names what differs.
    """
    if made.parameters != here.parameters or made.options != here.options:
        at = f"at step {made.step}, and this run is at step {here.step}"
        same = "with other parameters or options"
        differ = at if made.step != here.step else same
        raise InputError(f"{name}: was made by another model ({differ}); give its --workdir")
    for library in sorted(made.versions.keys() | here.versions.keys()):
        was, now = made.versions.get(library), here.versions.get(library)
        if was != now:
            found = f"this is {now}" if now else "here there is none"
            raise InputError(
                f"{name}: was made with {library} {was}, and {found}; pip install {library}=={was}"
            )
    if made.device != here.device:
        raise InputError(f"{name}: was made on {made.device}, and this is {here.device}")
    if made.outputs != here.outputs:
        raise InputError(
            f"{name}: the networks return other numbers here than where it was made, by some "
            "rounding; decode it on the machine that made it"
        )
