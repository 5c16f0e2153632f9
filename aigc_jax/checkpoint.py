"""Orbax behind one door: checkpoints that are complete, verified when read, and never in the way.

What Orbax guarantees: a checkpoint appears under its step's name only when it is complete, whenever
the process dies. What it does not, and this file adds: a SHA-256 of the contents, stored within
each checkpoint, since flipped bits in array data restore silently; strict shapes and dtypes; and a
fallback to the newest checkpoint that is sound.
"""

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from aigc_jax.errors import InputError

logger = logging.getLogger(__name__)


def _to_host(state: Any) -> list[np.ndarray]:
    """The leaves as NumPy arrays of their own; typed keys as their raw data."""

    def copy(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        # A copy, since on the CPU a view would share memory with a buffer that the next dispatch is
        # given.
        return np.array(leaf, copy=True)

    return [copy(leaf) for leaf in jax.tree.leaves(state)]


def _from_host(leaves: list[np.ndarray], like: Any) -> Any:
    def wrap(array, leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        return jax.numpy.asarray(array)

    structure = jax.tree.structure(like)
    return jax.tree.unflatten(
        structure, [wrap(a, b) for a, b in zip(leaves, jax.tree.leaves(like), strict=True)]
    )


def digest(leaves: list[np.ndarray]) -> str:
    """SHA-256 over dtype, shape and bytes of each array in order."""
    sha = hashlib.sha256()
    for leaf in leaves:
        sha.update(f"{leaf.dtype.str}{leaf.shape}".encode())
        sha.update(leaf.tobytes())
    return sha.hexdigest()


def _signature(leaves: list[np.ndarray]) -> list[str]:
    return [f"{leaf.dtype.name}{list(leaf.shape)}" for leaf in leaves]


def _named(leaves: list[Any]) -> dict[str, Any]:
    return {f"{i:04d}": leaf for i, leaf in enumerate(leaves)}


class Checkpoints:
    """The checkpoints of one run. Leaving its context waits for what is being written.

    Args:
      folder: created when missing.
      keep: how many of the newest checkpoints stay on disk; None leaves that to `remove`.
    """

    def __init__(self, folder: Path, keep: int | None = 3):
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax narrates each save
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.absolute()
        self._keep = keep
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(max_to_keep=self._keep)
        return ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        with self._write_errors():
            self._manager.close()

    def steps(self) -> list[int]:
        """The steps of the finished checkpoints, in ascending order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Writes the state in the background; a step that is there already is left as it is.

        Raises:
          InputError: this or the previous save failed, for want of space, say.
        """
        if step in self.steps():
            return
        self.wait()
        host = _to_host(state)
        meta = {"sha256": digest(host), "leaves": _signature(host)}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(_named(host)), meta=ocp.args.JsonSave(meta)
        )
        try:
            self._manager.save(step, args=args, force=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder}: cannot save step {step} ({error})") from error

    def wait(self) -> None:
        """Returns when all saves are on disk, which is the first moment to say so.

        Raises:
          InputError: one of them failed.
        """
        with self._write_errors():
            self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder}: a checkpoint could not be written ({error})"
            ) from error

    def remove(self, unwanted: Callable[[int], bool]) -> None:
        """Deletes the checkpoints of the steps that `unwanted` picks, whole or damaged.

        Raises:
          InputError: a save before this one failed, or the folder cannot be changed.
        """
        self.wait()
        try:
            paths = [p for p in self.folder.iterdir() if p.name.isdecimal()]
            for path in (p for p in paths if unwanted(int(p.name))):
                shutil.rmtree(path)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot make room ({error})") from error
        self._manager.reload()

    def restore_newest(self, like: Any, repair: bool = True) -> tuple[int, Any] | None:
        """The newest sound checkpoint, or None where there is none; see `newest_sound`.

        Raises:
          InputError: there are checkpoints and all are damaged, or one is sound but of another
            model.
        """
        tried = self.steps()
        found = self.newest_sound(like, repair)
        if tried and found is None:
            raise InputError(
                f"{self.folder}: none of the checkpoints {tried} can be read; "
                "choose another --workdir"
            )
        return found

    def newest_sound(self, like: Any, repair: bool = True) -> tuple[int, Any] | None:
        """The newest sound checkpoint, or None where none is.

        A damaged one is renamed `damaged-<step>` and the one before it is tried: nothing is
        deleted, and training can save that step again.

        Args:
          like: a state of the structure, shapes and dtypes to restore.
          repair: rename damaged checkpoints; False only passes over them, for readers of a folder.

        Returns:
          Its step, and a state like `like`.

        Raises:
          InputError: one is sound but of another model.
        """
        for step in reversed(self.steps()):
            problem = "its contents do not match their SHA-256"
            try:
                leaves, stored = self._read(step, _to_host(like))
                if digest(leaves) == stored:
                    return step, _from_host(leaves, like)
            except InputError:
                raise
            except Exception as error:  # Orbax raises many types for a damaged folder
                problem = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            logger.warning("checkpoint %d is damaged and passed over: %s", step, problem)
            if repair:
                self._set_aside(step)
        return None

    def _read(self, step: int, target: list[np.ndarray]) -> tuple[list[np.ndarray], str]:
        restore_meta = ocp.args.Composite(meta=ocp.args.JsonRestore())
        meta = self._manager.restore(step, args=restore_meta)["meta"]
        # Orbax casts dtypes silently and reports another structure as it would report damage.
        if meta["leaves"] != _signature(target):
            raise InputError(
                f"{self.folder / str(step)}: was written by another model than this one"
            )
        restore_state = ocp.args.Composite(state=ocp.args.StandardRestore(_named(target)))
        restored = self._manager.restore(step, args=restore_state)["state"]
        return [np.asarray(restored[name]) for name in sorted(restored)], meta["sha256"]

    def _set_aside(self, step: int) -> None:
        self._manager.close()
        target, number = self.folder / f"damaged-{step}", 1
        while target.exists():
            number += 1
            target = self.folder / f"damaged-{step}-{number}"
        (self.folder / str(step)).rename(target)
        self._manager = self._open()
