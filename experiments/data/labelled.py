"""One attribute of labelled signals, as what a classifier learns.

Dimensions: M or N signals.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from aigc_jax.data.images import Images
from aigc_jax.errors import InputError


def labelled(
    source: Any,
    attribute: str | None,
    kind: str,
    parts: Callable[[], tuple[np.ndarray, np.ndarray]],
) -> Images:
    """The data set of a classifier of one attribute.

    Args:
      source: with `name`, `attributes`, `train_labels` and `heldout_labels`, as `Sounds` has them.
      attribute: its name; None: the first.
      kind: what the source is counted in, for errors.
      parts: `() -> ` what the classifier sees of training and of held-out signals, called once the
        attribute is known to exist.

    Raises:
      InputError: there is no such attribute.
    """
    names = [known.name for known in source.attributes]
    attribute = attribute or next(iter(names), None)
    if attribute not in names or source.train_labels is None or source.heldout_labels is None:
        told = f"they have {', '.join(names)}" if names else "they have none"
        raise InputError(f"the {kind} {source.name} have no attribute {attribute!r}; {told}")
    column = names.index(attribute)
    train, heldout = parts()
    return Images(
        f"{source.name}-{attribute}",
        train,
        source.train_labels[:, column],
        heldout,
        source.heldout_labels[:, column],
        source.attributes[column].values,
    )
