"""The machine and the software that a measurement is made on, and its settings for one."""

import datetime
import importlib
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from aigc_jax.errors import InputError

PEERS = ("jax", "flax", "optax", "tensorflow", "keras", "torch", "transformers")


def hold_to(device: str) -> None:
    """Keeps all frameworks on the `cpu`, or JAX and PyTorch on the `gpu`; Keras on TensorFlow.

    Call it before any is used.

    Raises:
      InputError: there is no GPU, or the environment names a device that is not there.
    """
    import jax

    from experiments.cli import environment

    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        environment.start_device()
        return
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leaves memory for PyTorch
    if (found := environment.start_device()) != "gpu":
        raise InputError(f"--device=gpu: JAX sees no GPU here, only {found}")


def held_to_cpu() -> bool:
    """The argument of `hold_to`, in this process or in the one that started it."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") == ""


def threads() -> int:
    """The number of CPU cores that this process may use: every row gets as many threads."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def metadata() -> dict[str, Any]:
    """Processor, cores, device, system, date, and the versions of what frameworks are loaded."""
    jax = sys.modules.get("jax")
    loaded = {name: sys.modules[name].__version__ for name in PEERS if name in sys.modules}
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu_model(),
        "cores": threads(),
        "device": "cpu" if held_to_cpu() or not jax else jax.devices()[0].device_kind,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **loaded},
    }


def foreign_cpu_seconds() -> float | None:
    """CPU time used so far by all but this process and its children, over all cores, in seconds.

    It includes what a hypervisor withheld. None where the system does not report it.
    """
    file = Path("/proc/stat")
    if not file.is_file():
        return None
    ticks = [int(field) for field in file.read_text().split()[1:9]]
    idle, waiting_for_disk = ticks[3:5]
    busy = sum(ticks) - idle - waiting_for_disk
    own = sum(os.times()[:4])  # of this process and of its children that have ended
    return busy / os.sysconf("SC_CLK_TCK") - own


def import_peer(module: str) -> Any:
    """A module of `benchmarks`, such as `peers.torch.gan`, that needs a framework of its own.

    Raises:
      ImportError: the framework is not installed.
    """
    return importlib.import_module(f"benchmarks.{module}")


def _cpu_model() -> str:
    """The processor's name, and numbers that tell generations apart if a hypervisor shortens it."""
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.is_file() else ""
    name, family, model = (
        re.search(rf"^{key}\s*: (.+)$", text, re.MULTILINE)
        for key in ("model name", "cpu family", "model")
    )
    if not name:
        return platform.processor() or "unknown"
    numbers = f" (family {family[1]}, model {model[1]})" if family and model else ""
    return name[1].strip() + numbers
