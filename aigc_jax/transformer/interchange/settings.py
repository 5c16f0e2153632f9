"""What config.json says, read with care, and what families of models have in common in it."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.layers import gelu, gelu_tanh
from aigc_jax.transformer.architecture import Architecture
from aigc_jax.transformer.interchange.matching import Match

CONFIG = "config.json"
LARGEST = 2**31 - 1  # of a size: what JAX takes as an axis
LARGEST_REAL = 3e38  # of float32

Settings = Mapping[str, Any]
"""The object in config.json."""

# The first name of a function is the one that is written.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu": gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
}


class Family(NamedTuple):
    """A family of models elsewhere, and how its members correspond to ours."""

    prefix: str  # of the names of all tensors but the output layer's; may be absent from a file
    layers_key: str  # of the number of layers
    ignored: str  # a regular expression of tensors, without the prefix, that hold no parameters
    architecture: Callable[[Settings], Architecture]
    settings: Callable[[Architecture], dict[str, Any]]
    matches: Callable[[Architecture, Settings], list[Match]]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def shown(value: Any) -> str:
    """A value of a file as a message shows it: on one line, a long one shortened to its ends."""
    return printed.line(_SHORT.repr(value))


def number(settings: Settings, key: str, default: int | None = None) -> int:
    """A positive integer below 2³¹; where it is absent or null, the default.

    Raises:
      InputError: it is something else, or absent without a default.
    """
    value = settings.get(key)
    value = default if value is None else value
    if value is None:
        raise InputError(f"config.json: {key} is missing")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise InputError(f"config.json: {key} must be a positive integer, got {shown(value)}")
    return value


def real(settings: Settings, key: str, default: float) -> float:
    """A positive number; where it is absent or null, the default.

    Raises:
      InputError: it is something else.
    """
    value = settings.get(key)
    value = default if value is None else value
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or not 0 < value < LARGEST_REAL:
        raise InputError(f"config.json: {key} must be a positive number, got {shown(value)}")
    return float(value)


def switch(settings: Settings, key: str, default: bool) -> bool:
    """True or false; where it is absent or null, the default.

    Raises:
      InputError: it is something else.
    """
    value = settings.get(key)
    value = default if value is None else value
    if not isinstance(value, bool):
        raise InputError(f"config.json: {key} must be true or false, got {shown(value)}")
    return value


def activation(settings: Settings, key: str, default: str) -> Callable[[jax.Array], jax.Array]:
    """The function that config.json names.

    Raises:
      InputError: it is not one that our blocks have.
    """
    name = settings.get(key, default)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise InputError(
            f"config.json: {key} {shown(name)} is not supported; it is one of "
            f"{', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


def name_of(function: Callable[[jax.Array], jax.Array]) -> str:
    """What an activation is called elsewhere.

    Raises:
      InputError: it has no name there.
    """
    for name, known in ACTIVATIONS.items():
        if known is function:
            return name
    raise InputError("option activation: the function has no name elsewhere")


def insist(settings: Settings, needed: Mapping[str, Sequence[Any]]) -> None:
    """Refuses what our blocks do not compute.

    Args:
      settings: of a model; what they leave out is as we need it.
      needed: the values that are possible, by key.

    Raises:
      InputError: names the key.
    """
    for key, values in needed.items():
        if key in settings and settings[key] not in values:
            only = " or ".join(map(repr, values))
            raise InputError(
                f"config.json: {key} {shown(settings[key])} is not supported here; only {only} is"
            )


def insist_on_options(architecture: Architecture, needed: Mapping[str, Any], called: str) -> None:
    """Refuses to write an architecture as what it is not.

    Raises:
      InputError: names the option.
    """
    for option, value in needed.items():
        found = getattr(architecture, option)
        if found != value:
            shown, wanted = (getattr(v, "name", v) for v in (found, value))
            raise InputError(
                f"option {option}={shown} has no counterpart in {called}, which has {wanted}"
            )
