"""Our parameters and another program's tensors, array by array, in both directions.

A family of models is a list of `Match`es, which says everything: the names, what is
transposed and what is joined. Reading, writing and the checks of names and shapes follow from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import printed
from aigc_jax.algorithm import Params
from aigc_jax.errors import InputError
from aigc_jax.transformer.architecture import Architecture
from aigc_jax.transformer.networks import networks_of

NAMED = 4  # tensors that a message names before it counts the rest
LONGEST_NAME = 200  # characters of one; those of models have less than a hundred


class Match(NamedTuple):
    """One of our arrays, and the tensors elsewhere that hold it."""

    ours: str  # the path in our parameters, such as "decoder/block_0/attention/qkv/kernel"
    theirs: tuple[str, ...]  # joined along our last axis; none: elsewhere it does not exist, so 0
    transposed: bool = False  # a matrix is [outputs, inputs] elsewhere, and [inputs, outputs] here
    widths: tuple[int, ...] = ()  # of the joined parts; not needed for a single one


def shapes_of(architecture: Architecture) -> Params:
    """The shapes of unstacked parameters, a tree of `jax.ShapeDtypeStruct`s, without arrays."""
    plain = replace(architecture, scan=False, remat=False)
    return jax.eval_shape(networks_of(plain).init, jax.random.key(0))


def from_tensors(
    tensors: Mapping[str, Any], matches: Sequence[Match], architecture: Architecture
) -> Params:
    """Our parameters, float32.

    Args:
      tensors: by name; each has `shape`, and is read by `np.asarray` once, where it is needed.
      matches: one for each of the parameters.
      architecture: of the model; with `scan`, its blocks are stacked.

    Raises:
      InputError: tensors are missing, left over, have other shapes or numbers that are not finite
        in float32; it names them.
    """
    shapes, by_path = shapes_of(architecture), {match.ours: match for match in matches}
    expected: dict[str, tuple[int, ...]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        expected |= _their_shapes(by_path[_name(path)], leaf.shape)
    _check(tensors, expected)

    def read(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        match = by_path[_name(path)]
        if not match.theirs:
            return jnp.zeros(leaf.shape, leaf.dtype)
        parts = [_finite(f"tensor {printable(name)}", tensors[name]) for name in match.theirs]
        whole = np.concatenate([part.T if match.transposed else part for part in parts], axis=-1)
        return jnp.asarray(whole)

    params = jax.tree_util.tree_map_with_path(read, shapes)
    return stacked(params, architecture.layers) if architecture.scan else params


def to_tensors(
    params: Params, matches: Sequence[Match], architecture: Architecture
) -> dict[str, np.ndarray]:
    """Their tensors by name, float32.

    Args:
      params: of `architecture`.
      matches: one for each parameter that the other program needs; one that ours lacks is 0.
      architecture: of the model.

    Raises:
      InputError: one of ours has no place elsewhere and is not 0, or is not finite.
    """
    params = jax.device_get(params)
    if architecture.scan:
        params = unstacked(params, architecture.layers)
    arrays = {_name(path): x for path, x in jax.tree_util.tree_leaves_with_path(params)}
    # With biases it has every array that a match may ask for.
    shapes = jax.tree_util.tree_leaves_with_path(shapes_of(replace(architecture, bias=True)))
    sizes = {_name(path): leaf.shape for path, leaf in shapes}
    tensors: dict[str, np.ndarray] = {}
    for match in matches:
        ours = arrays.get(match.ours, np.zeros(sizes[match.ours]))
        array = _finite(f"parameter {match.ours}", ours)
        if not match.theirs and array.any():
            raise InputError(f"parameter {match.ours} is not 0, and the format has no place for it")
        for name, part in zip(match.theirs, _parts(match, array), strict=bool(match.theirs)):
            # Files are written from raw memory, whatever the strides say.
            tensors[name] = np.ascontiguousarray(part.T if match.transposed else part)
    return tensors


def stacked(params: Params, layers: int) -> Params:
    """Parameters for `scan=True`: each array of the blocks gets an axis of layers in front."""
    decoder = dict(params["params"]["decoder"])
    blocks = [decoder.pop(f"block_{i}") for i in range(layers)]
    decoder["blocks"] = jax.tree.map(lambda *x: jnp.stack(x), *blocks)
    return {"params": {**params["params"], "decoder": decoder}}


def unstacked(params: Params, layers: int) -> Params:
    """The inverse of `stacked`."""
    decoder = dict(params["params"]["decoder"])
    blocks = decoder.pop("blocks")
    for i in range(layers):
        decoder[f"block_{i}"] = jax.tree.map(lambda x, i=i: x[i], blocks)
    return {"params": {**params["params"], "decoder": decoder}}


def _name(path: Any) -> str:
    """A path in our parameters as a `Match` writes it."""
    return jax.tree_util.keystr(path[1:], simple=True, separator="/")


def _parts(match: Match, array: np.ndarray) -> list[np.ndarray]:
    return np.split(array, np.cumsum(match.widths)[:-1], axis=-1) if match.widths else [array]


def _their_shapes(match: Match, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """What shape each tensor of a match has elsewhere."""
    widths = match.widths or (shape[-1],)
    parts = [(*shape[:-1], width) for width in widths][: len(match.theirs)]
    return {
        name: part[::-1] if match.transposed else part
        for name, part in zip(match.theirs, parts, strict=True)
    }


def printable(name: str) -> str:
    """A name from a file as a message shows it."""
    return printed.line(name)[:LONGEST_NAME]


def _finite(called: str, array: Any) -> np.ndarray:
    """An array in float32.

    Raises:
      InputError: not all of it is finite there.
    """
    with np.errstate(over="ignore"):
        found = np.asarray(array, np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{called} holds NaN, infinity, or more than float32 can")
    return found


def _check(tensors: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses what does not fit, all of it in one message.

    Raises:
      InputError: names tensors that are missing, left over or of another shape.
    """
    wrong = [
        f"{printable(name)} is {list(tensors[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    found = {
        "missing": [name for name in expected if name not in tensors],
        "not of this model": [name for name in tensors if name not in expected],
        "of other shapes than config.json says": wrong,
    }
    complaints = [f"tensors {kind}: {_some(names)}" for kind, names in found.items() if names]
    if complaints:
        raise InputError("; ".join(complaints))


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(map(printable, names[:NAMED])) + (f" and {more} more" if more > 0 else "")
