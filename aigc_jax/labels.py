"""Classes and tokens that a model is given: which are valid, and which are drawn by default.

Dimensions: B examples, C classes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.errors import InputError


def as_array(name: str, values: Any) -> Any:
    """Values of any type as an array, without loss of digits.

    Raises:
      InputError: they are not an array, such as rows of unequal lengths.
    """
    if isinstance(values, jax.Array):
        return values
    leaves = jax.tree.leaves(values)
    # NumPy takes no list of traced values, and JAX truncates numbers to 32 bits.
    library = jnp if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves) else np
    try:
        return library.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} must be one array of integers ({error})") from error


def check_choices(name: str, values: Any, choices: int) -> Any:
    """Refuses what does not choose among 0 … choices − 1.

    A one-hot vector of another number is all zeros and an index wraps or is clipped, so that a
    model would answer without complaint. Under a transform values are not known yet, and only their
    dtype is checked.

    Args:
      name: of the values, for the message.
      values: of any shape.
      choices: how many there are.

    Returns:
      The values as an array.

    Raises:
      InputError: not integers, or one out of range.
    """
    array = as_array(name, values)
    if not jnp.issubdtype(array.dtype, jnp.integer) and array.size:
        raise InputError(f"{name} must be integers, got {array.dtype}")
    traced = isinstance(array, jax.core.Tracer)
    if traced or not getattr(array, "is_fully_addressable", True):
        return array
    known = np.asarray(array)
    wrong = known[(known < 0) | (known >= choices)]
    if wrong.size:
        raise InputError(f"{name} must be from 0 to {choices - 1}, got {wrong.flat[0]}")
    return array


def one_for_each(labels: Any, count: int) -> Any:
    """Labels of any type as an array `[count]`.

    Raises:
      InputError: there are none, or they are of another shape.
    """
    if labels is None:
        raise InputError("labels are missing: these networks need a Batch with labels")
    array = as_array("labels", labels)
    if array.shape != (count,):
        raise InputError(f"labels must be of shape ({count},), got {array.shape}")
    return array


def check_labels(labels: Any, count: int, classes: int) -> jax.Array:
    """Labels of any type as int32 `[count]`: one class for each example.

    Raises:
      InputError: there are none, or they are not `[count]` integers in [0, classes).
    """
    array = one_for_each(labels, count)
    return jnp.asarray(check_choices("labels", array, classes), jnp.int32)


def labels_to_draw(labels: Any, count: int, classes: int) -> jax.Array | None:
    """The labels that `sample` gives the networks: those passed, or the classes in turn.

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
        return jnp.arange(count, dtype=jnp.int32) % classes
    return check_labels(labels, count, classes)
