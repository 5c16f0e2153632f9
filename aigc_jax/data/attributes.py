"""What the labels of a data set's artefacts name."""

from typing import NamedTuple


class Attribute(NamedTuple):
    """One thing that is labelled, such as the digit that is spoken: label i means `values[i]`."""

    name: str
    values: tuple[str, ...]
