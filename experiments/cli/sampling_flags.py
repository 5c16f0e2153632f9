"""Flags for how a token is chosen, one per field of `Sampling`, for programs that write text."""

from collections.abc import Callable
from dataclasses import fields

from absl import flags

from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import Sampling
from experiments.cli.launch import Arguments

_HELP = {
    "temperature": "Below 1, sharpens the distribution; 0 takes the most probable token.",
    "top_k": "Sample from this number of most probable tokens.",
    "top_p": "Sample from the fewest tokens whose probabilities sum to this.",
    "min_p": "Exclude tokens below this fraction of the largest probability.",
    "repetition_penalty": "Above 1, makes tokens that have occurred less probable.",
}
NAMES = tuple(field.name for field in fields(Sampling))


def define_flags(flag_values: flags.FlagValues, prefix: str = "") -> None:
    """A flag for each field of `Sampling`, with its default.

    Args:
      flag_values: where they are defined.
      prefix: of each help text, such as "For text: ".
    """
    defaults = Sampling()
    for field in fields(Sampling):
        define: Callable = flags.DEFINE_integer if field.name == "top_k" else flags.DEFINE_float
        text = prefix + _HELP[field.name]
        define(field.name, getattr(defaults, field.name), text, flag_values=flag_values)


def sampling_of(arguments: Arguments) -> Sampling:
    """The `Sampling` that the flags describe.

    Raises:
      InputError: names the flag whose value is impossible.
    """
    try:
        return Sampling(*(getattr(arguments, name) for name in NAMES))
    except ValueError as error:
        raise InputError(f"--{error}") from error
