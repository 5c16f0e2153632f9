"""Models in a folder: config.json and safetensors, as `transformers` saves and loads them.

Nothing is unpickled, and what is in a file is a number or it is refused.
"""

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from aigc_jax.algorithm import Params
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from aigc_jax.transformer.architecture import Architecture
from aigc_jax.transformer.interchange.gpt2 import GPT2
from aigc_jax.transformer.interchange.llama import LLAMA, MISTRAL, QWEN3
from aigc_jax.transformer.interchange.matching import from_tensors, to_tensors
from aigc_jax.transformer.interchange.settings import Family, Settings, insist

FAMILIES = {"gpt2": GPT2, "llama": LLAMA, "mistral": MISTRAL, "qwen3": QWEN3}
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
HEAD = "lm_head."
FLOATS = ("F64", "F32", "F16", "BF16")


class Model(NamedTuple):
    """What a folder holds."""

    architecture: Architecture
    params: Params  # float32
    settings: Settings  # config.json, for what is not the network's, such as eos_token_id


class _Stored:
    """A tensor that is read when it is needed."""

    def __init__(self, file: Any, name: str):
        part = file.get_slice(name)
        self.shape = tuple(part.get_shape())
        if part.get_dtype() not in FLOATS:
            raise InputError(f"tensor {name} is {part.get_dtype()}; only floats are supported")
        self._file, self._name = file, name

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._file.get_tensor(self._name), dtype)


def load_folder(path: str | Path, *, dtype: Any = jnp.float32, scan: bool = False) -> Model:
    """A model of Hugging Face's format: GPT-2, Llama, or Mistral or Qwen 3 of Llama's kind.

    Args:
      path: a folder with config.json, and model.safetensors or the shards that an index lists.
      dtype: of the computation. Parameters are float32, whatever the files have.
      scan: stack the parameters of all blocks; compiles faster.

    Returns:
      See `Model`; `transformer.networks_of(model.architecture)` computes the logits that
      `transformers` does.

    Raises:
      InputError: the folder is not such a model; the message names the key or the tensors.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give one with config.json and safetensors")
    settings = _object(path / "config.json")
    try:
        family = _family(settings)
        try:
            architecture = replace(family.architecture(settings), dtype=dtype, scan=scan)
        except InputError:
            raise
        except ValueError as error:  # sizes that do not fit each other
            raise InputError(f"config.json: {error}") from error
        with ExitStack() as stack:
            tensors: dict[str, _Stored] = {}
            for file in _files(path):
                tensors |= _tensors(stack, file, family, architecture)
            matches = family.matches(architecture, settings)
            return Model(architecture, from_tensors(tensors, matches, architecture), settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def save_folder(
    path: str | Path,
    architecture: Architecture,
    params: Params,
    files: Mapping[str, str] | None = None,
) -> None:
    """Writes a model that `transformers` loads, whole or not at all.

    Args:
      path: a folder that does not exist, or is empty.
      architecture: of the model.
      params: of `architecture`.
      files: what else to write, by name.

    Raises:
      InputError: the folder is not empty or cannot be written, or the format has no such model;
        the message names the option.
    """
    path = Path(path).absolute()
    check_new(path)
    family = family_of(architecture)
    settings = {
        **family.settings(architecture),
        "bos_token_id": None,  # else 50256, which GPT-2's alone is
        "eos_token_id": None,
        "dtype": "float32",
    }
    matches = family.matches(architecture, settings)
    tensors = to_tensors(params, matches, architecture)
    named = {n if n.startswith(HEAD) else family.prefix + n: x for n, x in tensors.items()}
    texts = {"config.json": dumps(settings, indent=2) + "\n", **(files or {})}
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=path.parent))
        try:
            save_file(named, temporary / WHOLE, metadata={"format": "pt"})
            for name, text in texts.items():
                (temporary / name).write_text(text, "utf-8")
            # safetensors and mkdtemp let their owner alone read, and ask no umask.
            mode = stat.S_IMODE((temporary / "config.json").stat().st_mode)
            for file in temporary.iterdir():
                file.chmod(mode)
                _sync(file)
            temporary.chmod(mode | (mode & 0o444) >> 2)
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def check_new(path: Path) -> None:
    """Refuses a place where something is already, before any work is done for it.

    Raises:
      InputError: it is a file or a folder that is not empty, or its parent does not exist.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists already; give the name of a new folder")


def family_of(architecture: Architecture) -> Family:
    """The family to write an architecture as.

    Raises:
      InputError: none has it; the message names the option.
    """
    family = LLAMA if architecture.gated else GPT2
    family.settings(architecture)
    return family


def _family(settings: Settings) -> Family:
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise InputError(f"config.json: model_type {kind!r} is not supported; it is one of {known}")
    insist(settings, {"quantization_config": [None]})
    return FAMILIES[kind]


def _object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
      InputError: it is something else, or cannot be read.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        message = f"{path.parent} is not a model: it has no {path.name}"
        raise InputError(message) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def _files(path: Path) -> list[Path]:
    """The files of a model's tensors.

    Raises:
      InputError: there are none, or the index names what is not in the folder.
    """
    if (path / INDEX).exists() and not (path / WHOLE).exists():
        listed = _object(path / INDEX).get("weight_map")
        names = {str(name) for name in listed.values()} if isinstance(listed, dict) else {""}
        for name in names:
            # A file of a model has no business outside of its folder.
            if not name or Path(name).name != name:
                raise InputError(f"{INDEX}: {name!r} is not the name of a file beside it")
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


def _tensors(
    stack: ExitStack, path: Path, family: Family, architecture: Architecture
) -> dict[str, _Stored]:
    """The parameters in a file by their names without the prefix, of the file's own shapes.

    Raises:
      InputError: it is not whole.
    """
    try:
        file = stack.enter_context(safe_open(path, "numpy"))
    except FileNotFoundError:
        raise InputError(f"{path.name} is missing") from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path.name} is damaged, or not safetensors ({error})") from error
    names = {name.removeprefix(family.prefix): name for name in file.keys()}  # noqa: SIM118
    if architecture.tied:
        # A copy of the embedding, which transformers passes over too.
        names.pop(f"{HEAD}weight", None)
    return {
        short: _Stored(file, name)
        for short, name in names.items()
        if not re.fullmatch(family.ignored, short)
    }


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
