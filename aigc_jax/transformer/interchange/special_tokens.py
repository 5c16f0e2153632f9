"""Which tokens texts begin and end with, as config.json and generation_config.json say."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aigc_jax.errors import InputError
from aigc_jax.transformer.interchange.settings import CONFIG, Settings, shown

GENERATION = "generation_config.json"
BEGIN, END, PAD = "bos_token_id", "eos_token_id", "pad_token_id"


class SpecialTokens(NamedTuple):
    """Numbers of tokens."""

    begin: int | None = None
    ends: tuple[int, ...] = ()  # a text ends with any of them


def special_tokens(files: Mapping[str, Settings], vocabulary_size: int) -> SpecialTokens:
    """What the files say; generation_config.json comes first, as in `transformers`.

    Args:
      files: what is in config.json, and in generation_config.json where there is one.
      vocabulary_size: V.

    Raises:
      InputError: an id is malformed, or of no token; the message names file and key.
    """
    begin: int | None = None
    ends: tuple[int, ...] = ()
    for name in (CONFIG, GENERATION):
        settings = files.get(name, {})
        firsts = _tokens(name, settings, BEGIN, vocabulary_size)
        lasts = _tokens(name, settings, END, vocabulary_size, several=True)
        _tokens(name, settings, PAD, vocabulary_size, least=-1)  # which is none, in old files
        begin, ends = next(iter(firsts), begin), lasts or ends
    return SpecialTokens(begin, ends)


def _tokens(
    name: str,
    settings: Settings,
    key: str,
    vocabulary_size: int,
    several: bool = False,
    least: int = 0,
) -> tuple[int, ...]:
    """A number, or where there may be several a list of them; none where it is absent or null."""
    value: Any = settings.get(key)
    listed = several and isinstance(value, list)
    numbers = value if listed else [] if value is None else [value]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int):
            kinds = "a token's number or a list of them" if several else "a token's number"
            raise InputError(f"{name}: {key} must be {kinds}, got {shown(value)}")
        if not least <= number < vocabulary_size:
            raise InputError(
                f"{name}: {key} {shown(number)} is not a token: the model has {vocabulary_size}"
            )
    return tuple(numbers)
