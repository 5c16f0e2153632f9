"""The folder of one run: config.json, metrics.jsonl, samples/, checkpoints/, best/, index.html.

Every file is replaced atomically or appended to line by line, so a process may be killed at any
instruction and the next one finds a folder that it can continue from.
"""

import contextlib
import errno
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aigc_jax import storage
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps, loads

OF_A_RUN = CONFIG, METRICS = "config.json", "metrics.jsonl"  # which every run has
_REQUIRED = {"experiment": str, "options": dict, "metadata": dict, "data": dict}  # of CONFIG
_RENAMED = {"model": "metadata", "figures": "metrics"}  # keys of runs before 0.2
_LONGEST = 100  # characters: more than any file's name in a run's folder has


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces `path` with `content`, whole or not at all, even when the machine loses power.

    A byte of a file's name that is not UTF-8 becomes `\\udcff`, which JSON reads as that byte.
    A new file has the permissions that the umask allows; one that is replaced keeps its own.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    # Not by tempfile, whose files only their owner can read.
    temporary = str(path.parent / f".{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                storage.set_mode(temporary, stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _is_record(found: Any) -> bool:
    """Whether this is a line of metrics.jsonl: a step, a split and metrics, which may be null."""
    if not isinstance(found, dict) or type(found.get("step")) is not int:
        return False
    metrics = (value for name, value in found.items() if name != "split")
    return isinstance(found.get("split", ""), str) and all(
        value is None or (type(value) in (int, float) and abs(value) < sys.float_info.max)
        for value in metrics
    )


class RunFolder:
    """The paths of a run and what is written to them."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.samples = self.path / "samples"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.page = self.path / "index.html"
        self._config = self.path / CONFIG
        self._metrics = self.path / METRICS

    def create(self) -> None:
        """Makes the folder.

        Raises:
          InputError: it cannot be made or written to, or it holds something other than a run.
        """
        ours = {self.samples.name, self.checkpoints.name, self.best.name}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            present = [p.name for p in self.path.iterdir() if p.name[0] != "."]
            foreign = sorted(name for name in present if name not in ours)
            if foreign and not self._config.exists():
                raise InputError(
                    f"workdir {self.path} holds {foreign[0]!r} but no run; "
                    "choose an empty or new folder"
                )
            self.samples.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            with contextlib.suppress(FileNotFoundError):
                (self.samples / ("n" * _LONGEST)).stat()
        except OSError as error:
            reason = "is too long" if error.errno == errno.ENAMETOOLONG else "is not writable"
            message = f"workdir {self.path} {reason} ({error.strerror})"
            raise InputError(message) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for one process, until it ends, however it ends.

        Raises:
          InputError: another process is training there, or the storage fails.
        """
        path = self.path / ".lock"
        with contextlib.ExitStack() as stack:
            with storage.told(path, "locked"):
                free = storage.lock(stack.enter_context(open(path, "w")))
            if not free:
                raise InputError(f"workdir {self.path} is in use by another process")
            with storage.told(self.path):
                left = [*self.path.glob(".*.tmp"), *self.samples.glob(".*.tmp")]
            for unfinished in left:
                with contextlib.suppress(OSError):  # they do no harm
                    unfinished.unlink()  # of a process that was killed while it wrote
            yield

    def read_config(self) -> dict[str, Any] | None:
        """What `write_config` wrote, or None where the run has not begun.

        Raises:
          InputError: the file is not the JSON object of a run.
        """
        try:
            config = loads(self._config.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{self._config}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise InputError(f"{self._config}: cannot be read ({error})") from error
        if isinstance(config, dict):
            config = {_RENAMED.get(name, name): value for name, value in config.items()}
        if not isinstance(config, dict) or not all(
            isinstance(config.get(name), kind) for name, kind in _REQUIRED.items()
        ):
            raise InputError(f"{self._config}: not the configuration of a run")
        return config

    def write(self, path: Path, content: str | bytes) -> None:
        """Replaces a file of the folder, as `write_atomically` does.

        Raises:
          InputError: the storage fails, because it is full for example.
        """
        with storage.told(path, "written"):
            write_atomically(path, content)

    def write_config(self, config: dict[str, Any]) -> None:
        """Replaces config.json."""
        self.write(self._config, dumps(config, indent=2, ensure_ascii=False) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl in order, without what `append_metrics` did not write.

        A line that a kill cut short is left out, for instance.

        Raises:
          InputError: the storage fails.
        """
        lines = []
        for line in self._metrics_as_bytes().split(b"\n"):
            try:
                record = loads(line)
            except ValueError:
                continue
            if _is_record(record):
                lines.append(record)
        return lines

    def _metrics_as_bytes(self) -> bytes:
        with storage.told(self._metrics):
            try:
                return self._metrics.read_bytes()
            except FileNotFoundError:
                return b""

    def heldout(self) -> list[dict[str, Any]]:
        """The evaluations on held-out data, lines of metrics.jsonl, in order."""
        return [record for record in self.read_metrics() if record.get("split") == "heldout"]

    def append_metrics(
        self, step: int, split: str, values: dict[str, float], wall_s: float
    ) -> None:
        """Adds one line: step, split, name → value, and the seconds of training so far.

        A value that is not finite becomes null, since JSON has no NaN.

        Raises:
          InputError: the storage fails, because it is full for example.
        """
        floats = {name: float(value) for name, value in values.items()}
        record = {"step": step, "split": split, **floats, "wall_s": round(wall_s, 3)}
        with storage.told(self._metrics, "written"), open(self._metrics, "a") as file:
            file.write(dumps(record) + "\n")

    def rewind_metrics(self, step: int) -> float:
        """Drops the lines after `step`, which a resumed run will write again.

        Returns:
          The seconds of training up to `step`.
        """
        kept = [record for record in self.read_metrics() if record["step"] <= step]
        content = "".join(dumps(record) + "\n" for record in kept)
        if self._metrics_as_bytes() != content.encode():
            self.write(self._metrics, content)
        return max((record.get("wall_s") or 0.0 for record in kept), default=0.0)

    def page_is_stale(self) -> bool:
        """Whether index.html is missing or older than the newest metrics."""
        if not storage.is_there(self.page) or not storage.is_there(self._metrics):
            return True
        with storage.told(self.page):
            return self.page.stat().st_mtime_ns < self._metrics.stat().st_mtime_ns
