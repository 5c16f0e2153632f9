"""Checkpoints by Orbax: complete, verified when read, and written in the background.

What Orbax guarantees: a checkpoint appears under its step's name only when it is complete, whenever
the process dies. What it does not, and this file adds: a SHA-256 of the contents, stored within
each checkpoint, since flipped bits in array data restore silently; strict shapes and dtypes; a
fallback to the newest sound checkpoint; and reading back everything saved, once.
"""

import contextlib
import hashlib
import logging
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from aigc_jax import storage
from aigc_jax.errors import InputError
from aigc_jax.plain_path import plain_path

logger = logging.getLogger(__name__)
_STEP = re.compile(r"0|[1-9][0-9]{0,9}")  # as Orbax names a checkpoint


def _to_host(state: Any) -> list[np.ndarray]:
    """The leaves copied to NumPy arrays; typed keys as their raw data."""

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


@contextlib.contextmanager
def _without_stragglers() -> Iterator[None]:
    """Silences writes that end after the first failed write has ended Orbax's event loop.

    TensorStore prints a traceback for each of them; the first raises an error of its own.
    """
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not (kind is RuntimeError and str(error) == "Event loop is closed"):
            shown(kind, error, trace)

    sys.excepthook = hook
    try:
        yield
    finally:
        sys.excepthook = shown


class _Saved(NamedTuple):
    """A checkpoint that was handed to Orbax and not yet read back."""

    step: int
    sha256: str
    like: list[np.ndarray]  # of its shapes and dtypes, and next to no memory


class Checkpoints:
    """The checkpoints of one run. Leaving its context waits for what is being written.

    Args:
      folder: of any name; created when missing.
      keep: how many of the newest checkpoints stay on disk; None leaves that to `remove`.

    Raises:
      InputError: the folder cannot be made or read.
    """

    def __init__(self, folder: Path, keep: int | None = 3):
        # Orbax logs each save, and at length each failure, which it also raises.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.folder = folder.absolute()
        self._keep = keep
        self._unread: _Saved | None = None
        with contextlib.ExitStack() as stack, storage.told(self.folder, "used"):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_without_stragglers())
            self._path = stack.enter_context(plain_path(folder))
            self._manager = self._open()
            self._resources = stack.pop_all()

    def _open(self) -> ocp.CheckpointManager:
        there = self._of_steps()
        options = ocp.CheckpointManagerOptions(max_to_keep=self._keep)
        manager = ocp.CheckpointManager(self._path, options=options)
        # Orbax treats what it may not read as missing, and a run would go on from an older step.
        for path in there:
            with contextlib.suppress(FileNotFoundError):  # a run that goes on deletes its oldest
                is_folder = stat.S_ISDIR(path.stat().st_mode)
                if is_folder and int(path.name) not in manager.all_steps():
                    message = f"{self.folder / path.name}: disappeared while the folder was read"
                    raise InputError(f"{message}; nothing was changed, run this again")
        return manager

    def _of_steps(self) -> list[Path]:
        """Whatever has a checkpoint's name, which `007` is not."""
        return [path for path in self._path.iterdir() if _STEP.fullmatch(path.name)]

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._resources, self._write_errors():
            try:
                if kind is None:
                    self.wait()
            finally:
                self._manager.close()

    def steps(self) -> list[int]:
        """The steps of the finished checkpoints, in ascending order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Writes the state in the background; a step that already exists is left as it is.

        Raises:
          InputError: this or the previous save failed, for lack of space, say, or the previous one
            cannot be read back.
        """
        if step in self.steps():
            return
        self.wait()
        host = _to_host(state)
        meta = {"sha256": digest(host), "leaves": _signature(host)}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(_named(host)), meta=ocp.args.JsonSave(meta)
        )
        with self._write_errors():
            self._manager.save(step, args=args, force=True)
        hollow = [np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape) for leaf in host]
        self._unread = _Saved(step, str(meta["sha256"]), hollow)

    def wait(self) -> None:
        """Returns once all saves are on disk and have been read back.

        Raises:
          InputError: one of them failed, or is not what was saved.
        """
        with self._write_errors():
            self._manager.wait_until_finished()
        saved, self._unread = self._unread, None
        if saved is None:
            return
        problem = "its contents do not match their SHA-256"
        try:
            leaves, stored = self._read(saved.step, saved.like)
            if digest(leaves) == stored == saved.sha256:
                return
        except Exception as error:
            problem = self._brief(error)
        raise InputError(
            f"{self.folder / str(saved.step)}: was saved and cannot be read back ({problem}); "
            "choose a --workdir on storage that keeps what is written"
        )

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # Orbax raises many types
            reason = storage.said(error) or self._brief(error)
            message = f"a checkpoint could not be written ({reason})"
            raise InputError(f"{self.folder}: {message}") from error

    def _brief(self, error: Exception) -> str:
        """The first line of Orbax's message, with the folder's own name."""
        said = str(error).replace(str(self._path), str(self.folder)).strip()
        return said.splitlines()[0][:200] if said else type(error).__name__

    def remove(self, unwanted: Callable[[int], bool]) -> None:
        """Deletes the checkpoints of the steps that `unwanted` picks, whole or damaged.

        Raises:
          InputError: a save before this one failed, or the folder cannot be changed.
        """
        self.wait()
        with storage.told(self.folder, "cleared"):
            for path in (p for p in self._of_steps() if unwanted(int(p.name))):
                shutil.rmtree(path)
            self._manager.reload()

    def restore_newest(self, like: Any, repair: bool = True) -> tuple[int, Any] | None:
        """The newest sound checkpoint, or None where there is none; see `newest_sound`.

        Raises:
          InputError: there are checkpoints and all are damaged, now or at an earlier start of the
            run; one is sound but of another model; or the storage fails.
        """
        tried = [str(step) for step in self.steps()]
        found = self.newest_sound(like, repair)
        if found is None:
            with storage.told(self.folder):
                aside = (p.name for p in self._path.iterdir() if p.name.startswith("damaged-"))
                tried = tried or sorted(aside)
            if tried:
                raise InputError(
                    f"{self.folder}: none of the checkpoints {', '.join(tried)} can be read; "
                    "choose another --workdir"
                )
        return found

    def newest_sound(self, like: Any, repair: bool = True) -> tuple[int, Any] | None:
        """The newest sound checkpoint, or None where none is.

        A damaged one is renamed `damaged-<step>` and the one before it is tried: nothing is
        deleted, and training can save that step again. One that the storage fails to read is not
        damaged.

        Args:
          like: a state of the structure, shapes and dtypes to restore.
          repair: rename damaged checkpoints; False only skips them, for readers of a folder.

        Returns:
          Its step, and a state like `like`.

        Raises:
          InputError: one is sound but of another model, or the storage fails.
        """
        for step in reversed(self.steps()):
            problem = "its contents do not match their SHA-256"
            try:
                leaves, stored = self._read(step, _to_host(like))
                if digest(leaves) == stored:
                    return step, _from_host(leaves, like)
            except (InputError, MemoryError):
                raise
            except Exception as error:  # Orbax raises many types for a damaged folder
                if failed := storage.failure(error, self._path / str(step)):
                    raise InputError(
                        f"{self.folder / str(step)}: cannot be read ({failed}); nothing was changed"
                    ) from error
                problem = self._brief(error)
            logger.warning("checkpoint %d is damaged and skipped: %s", step, problem)
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
        with storage.told(self.folder, "repaired"):
            target, number = self._path / f"damaged-{step}", 1
            while target.exists():
                number += 1
                target = self._path / f"damaged-{step}-{number}"
            (self._path / str(step)).rename(target)
            self._manager = self._open()
