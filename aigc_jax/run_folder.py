"""The folder of one run: config.json, metrics.jsonl, samples/, checkpoints/, best/, index.html.

Every file is replaced atomically or appended to line by line, so a process may be killed at any
instruction and the next one finds a folder that it can go on from.
"""

import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps, loads

_REQUIRED = {"experiment": str, "options": dict, "model": dict, "data": dict}  # of config.json


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces `path` by `content`, whole or not at all, even when the machine loses power.

    A new file has the permissions that the umask leaves it; one that is replaced keeps its own.
    """
    data = content.encode() if isinstance(content, str) else content
    # Not by tempfile, whose files are their owner's alone.
    temporary = str(path.parent / f".{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


class RunFolder:
    """The paths of a run and what is written to them."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.samples = self.path / "samples"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.page = self.path / "index.html"
        self._config = self.path / "config.json"
        self._metrics = self.path / "metrics.jsonl"

    def create(self) -> None:
        """Makes the folder.

        Raises:
          InputError: it cannot be made or written to, or it holds something that is not a run.
        """
        ours = {self.samples.name, self.checkpoints.name, self.best.name}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            present = [p.name for p in self.path.iterdir() if p.name[0] != "."]
            foreign = sorted(name for name in present if name not in ours)
            if foreign and not self._config.exists():
                raise InputError(
                    f"workdir {self.path} holds {foreign[0]!r} and no run; "
                    "choose an empty or new folder"
                )
            self.samples.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            message = f"workdir {self.path} is not writable ({error.strerror})"
            raise InputError(message) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for one process, until it ends, however it ends.

        Raises:
          InputError: another process is training there.
        """
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(f"workdir {self.path} is in use by another process") from error
            for unfinished in [*self.path.glob(".*.tmp"), *self.samples.glob(".*.tmp")]:
                unfinished.unlink()  # of a process that was killed while it wrote
            yield

    def read_config(self) -> dict[str, Any] | None:
        """What `write_config` wrote, or None where the run has not begun.

        Raises:
          InputError: the file is not the JSON object of a run.
        """
        try:
            config = loads(self._config.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{self._config}: cannot be read ({error})") from error
        if not isinstance(config, dict) or not all(
            isinstance(config.get(name), kind) for name, kind in _REQUIRED.items()
        ):
            raise InputError(f"{self._config}: not the configuration of a run")
        return config

    def write_config(self, config: dict[str, Any]) -> None:
        """Replaces config.json."""
        write_atomically(self._config, dumps(config, indent=2, ensure_ascii=False) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl in order, but for one that a kill cut short."""
        if not self._metrics.exists():
            return []
        lines = []
        for line in self._metrics.read_bytes().split(b"\n"):
            try:
                record = loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and type(record.get("step")) is int:
                lines.append(record)
        return lines

    def heldout(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are evaluations on held-out data, in order."""
        return [record for record in self.read_metrics() if record.get("split") == "heldout"]

    def append_metrics(
        self, step: int, split: str, values: dict[str, float], wall_s: float
    ) -> None:
        """Adds one line: step, split, name → value, and the seconds of training so far.

        A value that is not finite becomes null, since JSON has no NaN.
        """
        floats = {name: float(value) for name, value in values.items()}
        record = {"step": step, "split": split, **floats, "wall_s": round(wall_s, 3)}
        with open(self._metrics, "a") as file:
            file.write(dumps(record) + "\n")

    def rewind_metrics(self, step: int) -> float:
        """Drops the lines after `step`, which a resumed run will write again.

        Returns:
          The seconds of training up to `step`.
        """
        kept = [record for record in self.read_metrics() if record["step"] <= step]
        content = "".join(dumps(record) + "\n" for record in kept)
        if self._metrics.exists() and self._metrics.read_text(errors="replace") != content:
            write_atomically(self._metrics, content)
        return max((record.get("wall_s") or 0.0 for record in kept), default=0.0)

    def page_is_stale(self) -> bool:
        """Whether index.html is missing or older than the newest figures."""
        if not self.page.exists() or not self._metrics.exists():
            return True
        return self.page.stat().st_mtime_ns < self._metrics.stat().st_mtime_ns
