"""How a token is chosen, as flags: those of `Sampling`, for every program that writes text."""

from collections.abc import Callable
from dataclasses import fields

from absl import flags

from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import Sampling
from experiments.cli.launch import Arguments

_HELP = {
    "temperature": "Below 1 the probable becomes more so; 0 takes the most probable.",
    "top_k": "Draw from so many most probable tokens.",
    "top_p": "Draw from the fewest tokens that have this probability together.",
    "min_p": "Leave out tokens below this share of the most probable's probability.",
    "repetition_penalty": "Above 1, tokens that were there become less probable.",
}
NAMES = tuple(field.name for field in fields(Sampling))


def define_flags(flag_values: flags.FlagValues, prefix: str = "") -> None:
    """A flag for each field of `Sampling`, with its default.

    Args:
      flag_values: where they are defined.
      prefix: of each help text, such as "Of text: ".
    """
    defaults = Sampling()
    for field in fields(Sampling):
        define: Callable = flags.DEFINE_integer if field.name == "top_k" else flags.DEFINE_float
        text = prefix + _HELP[field.name]
        define(field.name, getattr(defaults, field.name), text, flag_values=flag_values)


def sampling_of(arguments: Arguments) -> Sampling:
    """What the flags say.

    Raises:
      InputError: names the flag whose value is impossible.
    """
    try:
        return Sampling(*(getattr(arguments, name) for name in NAMES))
    except ValueError as error:
        raise InputError(f"--{error}") from error
