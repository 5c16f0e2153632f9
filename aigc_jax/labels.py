"""Classes that a model is told: what they may be, and which are drawn where nobody says.

Dimensions: B examples, C classes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.errors import InputError


def check_choices(name: str, values: Any, choices: int) -> None:
    """Refuses what does not choose among 0 … choices − 1.

    A one-hot vector of another number is all zeros and an index wraps or is clipped, so that a
    model would answer without complaint. Under a transform values are not known yet, and their
    dtype alone is looked at.

    Args:
      name: of the values, for the message.
      values: of any shape.
      choices: how many there are.

    Raises:
      InputError: not integers, or one out of range.
    """
    dtype = values.dtype if hasattr(values, "dtype") else np.asarray(values).dtype
    if not np.issubdtype(dtype, np.integer) and np.size(values):
        raise InputError(f"{name} must be integers, got {dtype}")
    traced = isinstance(values, jax.core.Tracer)
    if traced or not getattr(values, "is_fully_addressable", True):
        return
    array = np.asarray(values)
    wrong = array[(array < 0) | (array >= choices)]
    if wrong.size:
        raise InputError(f"{name} must be from 0 to {choices - 1}, got {wrong.flat[0]}")


def check_labels(labels: Any, count: int, classes: int) -> jax.Array:
    """Labels, however they are written, as int32 `[count]`: one class for each example.

    Raises:
      InputError: there are none, or other than `[count]` integers in [0, classes).
    """
    if labels is None:
        raise InputError("class-conditional networks need a Batch with labels")
    if np.shape(labels) != (count,):
        raise InputError(f"labels must be of shape ({count},), got {np.shape(labels)}")
    check_choices("labels", labels, classes)
    return jnp.asarray(labels, jnp.int32)


def labels_to_draw(labels: Any, count: int, classes: int) -> jax.Array | None:
    """What `sample` tells the networks: the labels given, or the classes in turn.

    Args:
      labels: int `[count]` or None.
      count: how many examples are drawn.
      classes: C; 0 for networks without labels, which get None.

    Raises:
      InputError: see `check_labels`; or labels are given to networks without classes.
    """
    if not classes:
        if labels is not None:
            raise InputError("labels are for class-conditional networks, and these know no classes")
        return None
    if labels is None:
        return jnp.arange(count) % classes
    return check_labels(labels, count, classes)
