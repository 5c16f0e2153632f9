"""Commands as `python -m` runs them, each in a fork of a process that has imported them already.

Importing takes longer than most of what a test asks of a command. A fork is a process of its own
all the same: with its exit code, its signals and its death.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

# Most of the tests' time is compilation. LLVM's optimisations take a fifth of that, and the fusion
# emitters of XLA, which jaxlib 0.12 cannot do without, three quarters of what is left.
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 12):
    QUICK += " --xla_cpu_use_fusion_emitters=false"

WRITES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")


def strike(operation: int, folder: str, signum: int = signal.SIGKILL) -> None:
    """Sends this process a signal when it is about to do its n-th write below a folder."""
    left = operation

    def hook(event, arguments):
        nonlocal left
        writes = event in WRITES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if writes and isinstance(arguments[0], str | Path) and folder in str(arguments[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signum)

    sys.addaudithook(hook)


class Finished(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Started(NamedTuple):
    pid: int
    stdout: Path
    stderr: Path


class Forks:
    """The client's side of `serve`."""

    def __init__(self, server: subprocess.Popen, outputs: Path):
        self._server, self._outputs, self._count = server, outputs, 0

    def _ask(self, request: dict) -> int:
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def start(self, module: str, *arguments: str, cwd: Path, struck: list | None = None) -> Started:
        """Begins `python -m module`; `struck` are arguments of `strike`."""
        self._count += 1
        paths = [self._outputs / f"{self._count}.{name}" for name in ("out", "err")]
        request = {"module": module, "arguments": arguments, "cwd": str(cwd), "struck": struck}
        return Started(self._ask({**request, "outputs": [str(p) for p in paths]}), *paths)

    def wait(self, started: Started) -> Finished:
        code = self._ask({"wait": started.pid})
        said = (path.read_text() for path in (started.stdout, started.stderr))
        return Finished(code, *said)

    def run(self, module: str, *arguments: str, cwd: Path, struck: list | None = None) -> Finished:
        return self.wait(self.start(module, *arguments, cwd=cwd, struck=struck))


@contextlib.contextmanager
def forks(environment: dict, outputs: Path) -> Iterator[Forks]:
    """A server of its own environment, as long as the context lasts."""
    pipe = subprocess.PIPE
    command = [sys.executable, __file__]
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    with server:
        yield Forks(server, outputs)
        server.stdin.close()


def _be(module: str, arguments: list, cwd: str, outputs: list, struck: list | None) -> int:
    """Is that command, to its end; returns its exit code."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), descriptor)
    os.chdir(cwd)
    signal.alarm(600)  # one that waits for ever ends so
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it is to be run, not to be found there
    if struck:
        strike(*struck)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
            return 1
        return exit.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def serve() -> None:
    """Reads requests from standard input; answers one with a process's number or exit code."""
    importlib.import_module("experiments.catalogue")  # and with it every launcher
    importlib.import_module("experiments.cli.environment").settle()
    figure = importlib.import_module("matplotlib.figure").Figure()
    figure.add_subplot().set_title("fonts are found once")
    figure.savefig(io.StringIO(), format="svg")
    gc.collect()
    gc.freeze()  # or each fork would copy what it looks through
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _be(**request)
            finally:
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    serve()
