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
import platform
import re
import struct
from importlib import metadata
from typing import Any

import jax
import numpy as np

from aigc_jax.algorithm import Params
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps, loads

MAGIC = b"aigc-bb\n"
VERSION = 1
LIBRARIES = ("jax", "jaxlib", "numpy", "constriction")
MOST_BYTES = 2**35  # of pixels, as all are kept in memory
_CHECK = 32  # bytes of the SHA-256 at the end
_MOST_HEADER = 2**16  # bytes
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,63}")


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
        found.update(dumps(data, sort_keys=True).encode())
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
    described = dumps(dataclasses.asdict(header), separators=(",", ":")).encode()
    content = MAGIC + struct.pack("<II", VERSION, len(described)) + described
    content += words.astype("<u4").tobytes()
    return content + hashlib.sha256(content).digest()


def unpack(content: bytes, name: str) -> tuple[Header, np.ndarray]:
    """The header and the words of a file.

    Args:
      content: the file's.
      name: the file's, for messages.

    Raises:
      InputError: it is not such a file, is damaged, or of another version.
    """
    if content[: len(MAGIC)] != MAGIC[: len(content)] or not content:
        raise InputError(f"{name}: not a file that experiments.compress wrote")
    body, check = content[:-_CHECK], content[-_CHECK:]
    start = len(MAGIC) + 8
    if len(body) < start or hashlib.sha256(body).digest() != check:
        raise InputError(f"{name}: truncated or damaged: its checksum does not fit its contents")
    version, length = struct.unpack("<II", body[len(MAGIC) : start])
    if version != VERSION:
        raise InputError(f"{name}: is of format {version}, and only {VERSION} is supported")
    try:
        if length > min(_MOST_HEADER, len(body) - start):
            raise ValueError("it is too long")
        header = _header(loads(body[start : start + length]))
        words = np.frombuffer(body[start + length :], "<u4").astype(np.uint32)
    except ValueError as error:
        raise InputError(f"{name}: its header cannot be read ({error})") from error
    return header, words


# A checksum says that a file is whole, not who wrote it. So nothing of a header is believed before
# its type and its range are known, and no name in it is repeated: only ours are.


def _header(found: Any) -> Header:
    fields = _fields(found, Header)
    shape, grid = fields["shape"], fields["grid"]
    if not _whole(shape, 4, least=1) or not _whole(grid, 2, least=1):
        raise ValueError("shape or grid is not a list of the right number of positive integers")
    numbers = [fields["levels"], fields["lanes"], fields["below"]]
    if not _whole(numbers, 3, least=0) or fields["levels"] not in (2, 256):
        raise ValueError("levels, lanes or below is out of range")
    if not 1 <= fields["lanes"] <= shape[0]:
        raise ValueError("more lanes than images, or none")
    if np.prod(shape, dtype=object) > MOST_BYTES:
        raise ValueError("it announces more images than fit into a memory")
    if not _text(fields["images"]):
        raise ValueError("images is not a text")
    origin = _origin(fields["origin"])
    return Header(**{**fields, "shape": tuple(shape), "grid": tuple(grid), "origin": origin})


def _origin(found: Any) -> Origin:
    fields = _fields(found, Origin)
    versions = fields["versions"]
    if not _whole([fields["step"]], 1, least=0):
        raise ValueError("step is not a whole number")
    if not all(map(_text, (fields[name] for name in ("parameters", "options", "outputs")))):
        raise ValueError("parameters, options or outputs is not a text")
    if not _text(fields["device"]) or len(fields["device"]) > 200:
        raise ValueError("device is not a short text")
    if not isinstance(versions, dict) or not versions.keys() <= set(LIBRARIES):
        raise ValueError("versions names libraries that are unknown here")
    for library, version in versions.items():
        if version is not None and not (_text(version) and _VERSION.fullmatch(version)):
            raise ValueError(f"the version of {library} is malformed")
    return Origin(**fields)


def _fields(found: Any, kind: type) -> dict[str, Any]:
    """What represents an instance of a dataclass: an object with its fields and no others."""
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(found, dict) or found.keys() != names:
        raise ValueError(f"{kind.__name__.lower()} is not an object of {', '.join(sorted(names))}")
    return found


def _whole(numbers: Any, count: int, least: int) -> bool:
    """Whether these are `count` integers from `least` to below 2⁶³; true and 2.0 are none."""
    return (
        isinstance(numbers, list)
        and len(numbers) == count
        and all(type(n) is int and least <= n < 2**63 for n in numbers)
    )


def _text(value: Any) -> bool:
    return isinstance(value, str)


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
    for library in sorted(LIBRARIES):
        was, now = made.versions.get(library), here.versions.get(library)
        if was == now:
            continue
        if was is None:
            raise InputError(f"{name}: was made without {library}, and here there is {now}")
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
