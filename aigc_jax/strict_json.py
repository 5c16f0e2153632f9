"""JSON as its standard has it: without NaN and Infinity, which most other readers refuse."""

import json
import math
import re
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")  # from names that are not UTF-8; nor would a file be


def dumps(value: Any, **layout: Any) -> str:
    """As `json.dumps`, with null for every float that is not finite."""
    text = json.dumps(_finite(value), allow_nan=False, **layout)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def loads(text: str | bytes) -> Any:
    """As `json.loads`, with None for every float that is not finite, such as 1e999.

    Raises:
      ValueError: it is not JSON in UTF-8, or nested deeper than it can be read.
    """
    whole = text.decode() if isinstance(text, bytes) else text
    try:
        return json.loads(whole, parse_float=_number, parse_constant=lambda name: None)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(v) for name, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value
