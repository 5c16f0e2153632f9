"""Models in a folder: config.json and safetensors, as `transformers` saves and loads them."""

import os
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
from safetensors import SafetensorError
from safetensors.numpy import save_file

from aigc_jax import storage
from aigc_jax.algorithm import Params
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from aigc_jax.transformer.architecture import Architecture
from aigc_jax.transformer.interchange.files import WHOLE, Stored, read_object, read_tensors
from aigc_jax.transformer.interchange.gpt2 import GPT2
from aigc_jax.transformer.interchange.llama import LLAMA, MISTRAL, QWEN3
from aigc_jax.transformer.interchange.matching import from_tensors, to_tensors
from aigc_jax.transformer.interchange.settings import CONFIG, Family, Settings, insist, shown
from aigc_jax.transformer.interchange.special_tokens import (
    BEGIN,
    END,
    GENERATION,
    SpecialTokens,
    special_tokens,
)

FAMILIES = {"gpt2": GPT2, "llama": LLAMA, "mistral": MISTRAL, "qwen3": QWEN3}
HEAD = "lm_head."
_HEAD_WEIGHT = f"{HEAD}weight"


class Model(NamedTuple):
    """What a folder holds."""

    architecture: Architecture
    params: Params  # float32
    settings: Settings  # config.json
    special: SpecialTokens  # of generation_config.json before config.json


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
    if storage.kind_of(path) != stat.S_IFDIR:
        raise InputError(f"{path} is not a folder; give one with config.json and safetensors")
    try:
        return _load(path, dtype, scan)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _load(path: Path, dtype: Any, scan: bool) -> Model:
    files = {CONFIG: read_object(path / CONFIG)}
    if (path / GENERATION).exists():
        files[GENERATION] = read_object(path / GENERATION)
    settings = files[CONFIG]
    family = _family(settings)
    try:
        architecture = replace(family.architecture(settings), dtype=dtype, scan=scan)
    except InputError:
        raise
    except ValueError as error:  # sizes that do not fit each other
        raise InputError(f"{CONFIG}: {error}") from error
    special = special_tokens(files, architecture.vocabulary_size)
    with ExitStack() as stack:
        tensors = read_tensors(stack, path, family)
        if architecture.layers > len(tensors):  # before an array is allocated for each
            raise InputError(
                f"{CONFIG}: {family.layers_key} {architecture.layers} is more than there are "
                f"tensors, {len(tensors)}"
            )
        embedding = family.matches(architecture, settings)[0].theirs[0]
        if architecture.tied and not _tie(tensors, embedding):
            architecture = replace(architecture, tied=False)
        matches = family.matches(architecture, settings)
        return Model(architecture, from_tensors(tensors, matches, architecture), settings, special)


def _tie(tensors: dict[str, Stored], embedding: str) -> bool:
    """Whether a model that config.json calls tied is. If so, leaves one tensor for both.

    As in `transformers`, the tensors take precedence over config.json: an output layer that differs
    from the embedding is kept, and where only one of the two exists it serves as both.
    """
    head = tensors.get(_HEAD_WEIGHT)
    if head is not None and embedding in tensors:
        if not np.array_equal(np.asarray(head), np.asarray(tensors[embedding])):
            return False
        del tensors[_HEAD_WEIGHT]
    elif head is not None:
        tensors[embedding] = tensors.pop(_HEAD_WEIGHT)
    return True


def save_folder(
    path: str | Path,
    architecture: Architecture,
    params: Params,
    files: Mapping[str, str] | None = None,
    end: int | None = None,
) -> None:
    """Writes a model that `transformers` loads, whole or not at all.

    Args:
      path: a folder that does not exist, or is empty.
      architecture: of the model.
      params: of `architecture`.
      files: what else to write, by name.
      end: the token that each text begins and ends with, where there is one.

    Raises:
      InputError: the folder is not empty or cannot be written, or the format has no such model;
        the message names the option.
    """
    path = Path(os.path.realpath(path))
    check_new(path)
    family = family_of(architecture)
    settings = {
        **family.settings(architecture),
        BEGIN: end,  # null where there is none: the default, 50256, is only GPT-2's
        END: end,
        "dtype": "float32",
    }
    matches = family.matches(architecture, settings)
    tensors = to_tensors(params, matches, architecture)
    named = {n if n.startswith(HEAD) else family.prefix + n: x for n, x in tensors.items()}
    texts = {CONFIG: _json(settings), **(files or {})}
    if end is not None:
        texts[GENERATION] = _json({BEGIN: end, END: end})
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=path.parent))
        try:
            save_file(named, temporary / WHOLE, metadata={"format": "pt"})
            for name, text in texts.items():
                (temporary / name).write_text(text, "utf-8")
            # safetensors and mkdtemp let only the owner read, whatever the umask.
            mode = stat.S_IMODE((temporary / CONFIG).stat().st_mode)
            for file in temporary.iterdir():
                storage.set_mode(file, mode)
                _sync(file)
            storage.set_mode(temporary, mode | (mode & 0o444) >> 2)
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        reason = storage.said(error) or error
        raise InputError(f"{path}: cannot be written ({reason})") from error


def check_new(path: Path) -> None:
    """Refuses a path where something is already, before any work is done for it.

    Raises:
      InputError: it is a file or a folder that is not empty, its parent does not exist, or the
        storage does not say.
    """
    if storage.kind_of(path.parent) != stat.S_IFDIR:
        raise InputError(f"{path}: there is no folder {path.parent}")
    kind = storage.kind_of(path)
    with storage.told(path):
        taken = any(path.iterdir()) if kind == stat.S_IFDIR else kind is not None
    if taken:
        raise InputError(f"{path} exists already; give the name of a new folder")


def family_of(architecture: Architecture) -> Family:
    """The family to write an architecture as.

    Raises:
      InputError: none has it; the message names the option.
    """
    if getattr(architecture, "order", None) is not None:
        raise InputError("it fills in masked tokens, and the formats are of models of the next one")
    family = LLAMA if architecture.gated else GPT2
    family.settings(architecture)
    return family


def _family(settings: Settings) -> Family:
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise InputError(
            f"{CONFIG}: model_type {shown(kind)} is not supported; it is one of {known}"
        )
    insist(settings, {"quantization_config": [None]})
    return FAMILIES[kind]


def _json(value: Any) -> str:
    return dumps(value, indent=2) + "\n"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
