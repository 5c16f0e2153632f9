"""Everything that names a device axis: reductions, per-example keys, meshes, pmap and shard_map.

Data parallelism here is exact, not approximate. Two rules make it so:
  * an example's randomness depends on its index in the whole batch, never on its device;
  * means are Σ weight·loss / Σ weight with both sums taken over all devices before the division.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from aigc_jax.algorithm import Key, Keys

BATCH_AXIS = "batch"


def psum(tree: Any, axis_name: str | None) -> Any:
    """Sums each leaf over the mapped axis; the identity where `axis_name` is None."""
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)


def example_keys(key: Key, batch_size: int, axis_name: str | None = None) -> Keys:
    """One key per example: key_i = fold_in(key, i), with i the example's index in the whole batch.

    Args:
      key: one typed key, the same on every device.
      batch_size: the number of examples on this device.
      axis_name: the mapped axis over which the batch is split in equal shards, or None.

    Returns:
      `[batch_size]` typed keys. Shards laid side by side hold exactly the keys of the unsplit
      batch.
    """
    first = first_index(batch_size, axis_name)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(batch_size))


def first_index(size: int, axis_name: str | None = None) -> jax.Array | int:
    """Where this device's shard of `size` rows begins in the whole batch."""
    return 0 if axis_name is None else jax.lax.axis_index(axis_name) * size


def mean_and_grad(
    loss_fn: Callable[..., tuple],
    axis_name: str | None = None,
    microbatches: int = 1,
    pullback: Callable[[Any], tuple] | None = None,
) -> Callable[..., tuple]:
    """The weighted mean of a loss over the whole batch, and its gradient.

        mean = Σ_i w_i l_i / max(Σ_i w_i, 1),   sums over all examples of all devices

    Each device differentiates its *local* sum and the gradients are summed afterwards:
    differentiating through a psum would count every device's contribution once per device.

    Args:
      loss_fn: `(params, *args) -> (losses, weights, aux, *stats)`, `losses` and `weights` of one
        shape; `aux` holds sums to be reported in the same way, weighted already; `stats`, if any,
        is passed on as it is: what the networks have reduced over the axis themselves.
      axis_name: the mapped axis, or None.
      microbatches: m, parts that the rows of all `args` are cut into, to be processed one after
        another. The sums are over all of them, so m changes only memory and time. Above 1 there
        can be no `stats`.
      pullback: where `loss_fn` takes this device's share of something computed from the parameters
        instead of them: from the gradient with respect to that to the one of the parameters, as
        `jax.vjp` gives it.

    Returns:
      `(params, *args) -> (mean, aux / Σw, gradient, *stats)`, equal on all devices.

    Raises:
      ValueError: m does not divide the rows.
    """

    def local_sum(params, *args):
        losses, weights, aux, *stats = loss_fn(params, *args)
        return jnp.sum(weights * losses), (jnp.sum(weights), aux, stats)

    gradient_of_sum = jax.value_and_grad(local_sum, has_aux=True)

    def sum_of_parts(params, *args):
        parts = jax.tree.map(lambda x: _split_rows(x, microbatches), args)
        shapes = jax.eval_shape(gradient_of_sum, params, *jax.tree.map(lambda x: x[0], parts))
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        def add(sums, part):
            return jax.tree.map(jnp.add, sums, gradient_of_sum(params, *part)), None

        return jax.lax.scan(add, zeros, parts)[0]

    def whole_mean(params, *args):
        gradient = gradient_of_sum if microbatches == 1 else sum_of_parts
        (total, (count, aux, stats)), grads = gradient(params, *args)
        if pullback is not None:
            (grads,) = pullback(grads)
        total, count, aux, grads = psum((total, count, aux, grads), axis_name)
        count = jnp.maximum(count, 1.0)
        return total / count, *jax.tree.map(lambda x: x / count, (aux, grads)), *stats

    return whole_mean


def _split_rows(x: jax.Array, parts: int) -> jax.Array:
    if len(x) % parts:
        raise ValueError(f"{len(x)} rows cannot be cut into {parts} equal microbatches")
    return x.reshape(parts, -1, *x.shape[1:])


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A one-dimensional mesh over `devices` (all of them when None), named `BATCH_AXIS`."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh(
        (len(devices),), (BATCH_AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def split_on_axis(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """The given axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, BATCH_AXIS))


def split_if_even(array: Any, mesh: Mesh, axis: int) -> jax.Array:
    """The array on the devices: split along `axis` where they divide it, whole on each if not."""
    even = array.shape[axis] % mesh.size == 0
    return jax.device_put(array, split_on_axis(mesh, axis) if even else replicated(mesh))


def pmap_step(step: Callable) -> Callable:
    """`step` under pmap: `(state, batch) -> (state, info)` with a leading device axis on the batch.

    The state enters unreplicated and leaves replicated, as does `info`. An index `[0]` reads one
    copy, by a program over all devices; `x.addressable_shards[0].data` reads it without.
    """
    return jax.pmap(partial(step, axis_name=BATCH_AXIS), BATCH_AXIS, in_axes=(None, 0))


def shard_map_step(step: Callable, mesh: Mesh) -> Callable:
    """`step` under shard_map: the state on every device, the batch split over `mesh`.

    `check_vma=False` is essential. With it on, the transpose of the implicit cast of the replicated
    parameters is itself a psum, and a step that reduces its own gradients would scale them by the
    device count.
    """
    whole, split = PartitionSpec(), PartitionSpec(BATCH_AXIS)
    return jax.shard_map(
        partial(step, axis_name=BATCH_AXIS),
        mesh=mesh,
        in_specs=(whole, split),
        out_specs=(whole, whole),
        check_vma=False,
    )
