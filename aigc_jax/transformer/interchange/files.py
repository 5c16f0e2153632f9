"""The files of a model's folder, read with care: JSON objects, and tensors in safetensors.

Nothing is unpickled, and what is not a number is refused.
"""

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from aigc_jax.errors import InputError
from aigc_jax.transformer.interchange.matching import printable
from aigc_jax.transformer.interchange.settings import Family, shown

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F64", "F32", "F16", "BF16")


class Stored:
    """A tensor that is read when it is needed."""

    def __init__(self, file: Any, name: str):
        part = file.get_slice(name)
        self.shape = tuple(part.get_shape())
        if part.get_dtype() not in FLOATS:
            raise InputError(
                f"tensor {printable(name)} is {part.get_dtype()}; only floats are supported"
            )
        self._file, self._name = file, name

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._file.get_tensor(self._name), dtype)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
      InputError: it is something else, or cannot be read.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        message = f"{path.parent} is not a model: it has no {path.name}"
        raise InputError(message) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def read_tensors(stack: ExitStack, path: Path, family: Family) -> dict[str, Stored]:
    """The parameters in a folder by their names without the prefix, of the files' own shapes.

    Args:
      stack: closes the files.
      path: the folder.
      family: of the model.

    Raises:
      InputError: files are missing or not whole, or a tensor is there twice.
    """
    tensors: dict[str, Stored] = {}
    for file in _files(path):
        found = _read(stack, file, family)
        if twice := sorted(tensors.keys() & found.keys()):
            raise InputError(f"{file.name}: tensor {printable(twice[0])} is in another file too")
        tensors |= found
    return tensors


def _files(path: Path) -> list[Path]:
    """The files of a model's tensors.

    Raises:
      InputError: there are none, or the index names what is not in the folder.
    """
    if (path / INDEX).exists() and not (path / WHOLE).exists():
        listed = read_object(path / INDEX).get("weight_map")
        names = {str(name) for name in listed.values()} if isinstance(listed, dict) else {""}
        for name in names:
            # A file of a model has no business outside of its folder.
            if not name or Path(name).name != name:
                raise InputError(f"{INDEX}: {shown(name)} is not the name of a file beside it")
        return [path / name for name in sorted(names)]
    if not (path / WHOLE).exists():
        pickles = sorted(p.name for p in path.iterdir() if p.suffix in (".bin", ".pt", ".pth"))
        if pickles:
            raise InputError(
                f"{pickles[0]} is a pickle, which can run any code and is not opened; save the "
                "model again as safetensors"
            )
        raise InputError(f"there is no {WHOLE} beside config.json")
    return [path / WHOLE]


def _read(stack: ExitStack, path: Path, family: Family) -> dict[str, Stored]:
    """The parameters in a file by their names without the prefix, of the file's own shapes.

    Raises:
      InputError: it is not whole.
    """
    try:
        open(path, "rb").close()  # safetensors reports what it cannot open as missing
        file = stack.enter_context(safe_open(path, "numpy"))
    except FileNotFoundError:
        raise InputError(f"{path.name} is missing") from None
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise InputError(f"{path.name} is damaged, or not safetensors ({error})") from error
    names: dict[str, str] = {}
    for name in file.keys():  # noqa: SIM118
        short = name.removeprefix(family.prefix)
        if short in names:
            raise InputError(f"{path.name}: tensor {printable(short)} is there twice")
        names[short] = name
    return {
        short: Stored(file, name)
        for short, name in names.items()
        if not re.fullmatch(family.ignored, short)
    }
