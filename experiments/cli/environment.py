"""Which environment variables a command obeys, and which it overrides.

They decide where a command runs and what it logs: JAX_PLATFORMS, CUDA_VISIBLE_DEVICES,
JAX_NUM_CPU_DEVICES and XLA_FLAGS, caches, logs and dumps. One of these that cannot be obeyed, or
any that JAX or Flax cannot read, is named in a one-line error with code 2.

They do not decide what a command computes, which depends only on its flags and config.json: else
a run continued from another shell would not give the same bits. What would change a number, or
raise where nothing is wrong, is silently set to JAX's default at launch: JAX_ENABLE_X64, for
instance, JAX_DEFAULT_PRNG_IMPL, JAX_NUMPY_RANK_PROMOTION, JAX_TRANSFER_GUARD or JAX_DEBUG_NANS (a
metric that is not finite ends training anyway, and is named). JAX_DEFAULT_DEVICE is refused unless
it is where the command runs, which JAX_PLATFORMS decides.

This is for commands. Other programs that import the package configure JAX themselves.
"""

import atexit
import contextlib
import importlib
import os
import re
import shutil
import sys
import tempfile
import warnings
from typing import Any

from aigc_jax.cache_folder import cache_folder
from aigc_jax.errors import InputError

SETTINGS: dict[str, Any] = {
    # Number formats, and how random numbers are drawn.
    "jax_enable_x64": False,
    "jax_explicit_x64_dtypes": "warn",
    "jax_default_prng_impl": "threefry2x32",
    "jax_enable_custom_prng": False,
    "jax_legacy_prng_key": "allow",
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_allow_f16_reductions": True,
    # How functions are differentiated and compiled.
    "jax_accurate_erf_inv": False,
    "jax_softmax_custom_jvp": False,
    "jax_use_hlo_logistic_lowering": None,
    "jax_use_direct_linearize": True,
    "jax_custom_jvp3": False,
    "jax_custom_vjp3": False,
    "jax_scan3": False,
    "jax_remat3": False,
    "jax_compiler_enable_remat_pass": True,
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_memory_fitting_level": "O2",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_enable_pgle": False,
    "jax_use_shardy_partitioner": True,
    # Checks that raise, to find mistakes in a program: they find none in ours.
    "jax_transfer_guard": None,
    "jax_transfer_guard_host_to_device": None,
    "jax_transfer_guard_device_to_device": None,
    "jax_transfer_guard_device_to_host": None,
    "jax_array_garbage_collection_guard": None,
    "jax_thread_guard": False,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_enable_checks": False,
    "jax_check_tracer_leaks": False,
    "jax_check_static_indices": False,
    "jax_no_tracing": False,
    "jax_no_execution": False,
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_disallow_mesh_context_manager": False,
    "jax_raise_persistent_cache_errors": False,
}
FLAX_SETTINGS: dict[str, Any] = {
    "flax_return_frozendict": False,
    "flax_preserve_adopted_names": False,
    "flax_fix_rng_separator": False,
}
_PLACES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS")


def import_jax() -> None:
    """Imports JAX and Flax, which read their variables then.

    Raises:
      InputError: they cannot read one; names it.
    """
    for library in ("jax", "flax"):
        try:
            importlib.import_module(library)
        except ImportError:
            raise
        except Exception as error:
            names = _named(str(error), f"{library.upper()}_")
            if not names:
                raise
            raise InputError(f"{_given(names)} cannot be read ({_first_line(error)})") from error


def settle() -> None:
    """Sets what results depend on, whatever the environment says.

    Raises:
      InputError: XLA cannot read XLA_FLAGS, or there is no place for JAX's cache or dump.
    """
    import flax
    import jax

    check_xla_flags()
    _check_folders()
    for name, value in SETTINGS.items():
        if name in jax.config.values:  # not all versions have all of them
            jax.config.update(name, value)
    for name, value in FLAX_SETTINGS.items():
        with contextlib.suppress(LookupError):
            flax.config.update(name, value)
    _settle_matplotlib()


def start_device() -> str:
    """Starts the device that the command runs on; returns its platform: `cpu`, `gpu` or `tpu`.

    Raises:
      InputError: the environment asks for a device that is not there; names the variable.
    """
    import jax

    wanted = jax.config.values.get("jax_default_device")
    if isinstance(wanted, str):
        jax.config.update("jax_default_device", None)
    try:
        jax.devices()
    except Exception as error:  # usually RuntimeError; plugins have others
        guilty = _asking(str(error))
        what = f"{_given(guilty)} cannot be obeyed" if guilty else "there is no device to run on"
        raise InputError(f"{what} ({_first_line(error)})") from error
    platform = jax.default_backend()
    if isinstance(wanted, str) and wanted not in (platform, jax.devices()[0].platform):
        raise InputError(
            f"JAX_DEFAULT_DEVICE={wanted!r} is not where this command runs, which is {platform!r}; "
            f"unset it, or set JAX_PLATFORMS instead"
        )
    return platform


def check_xla_flags() -> None:
    """Lets XLA read XLA_FLAGS in a child process, since it ends a process where it cannot.

    Raises:
      InputError: it cannot.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if not flags.strip() or (flags in _readable):
        return
    with tempfile.TemporaryFile() as said:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about threads, of which the child uses none
            child = os.fork()
        if not child:
            try:
                _read_flags(said.fileno())
            finally:
                os._exit(0)
        ended = os.waitpid(child, 0)[1]
        if ended == 0:
            _readable.add(flags)
            return
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    found = [line.split("] ", 1)[1] for line in lines if re.match(r"F\d+ .*\] ", line)]
    reason = f" ({found[0][:200]})" if found else ""
    raise InputError(f"{_given(['XLA_FLAGS'])} cannot be read by XLA{reason}; correct or unset it")


def _check_folders() -> None:
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_DUMP_IR_TO"):
        folder = os.environ.get(name, "")
        if not folder or "://" in folder or folder == "sponge":  # special names to JAX
            continue
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            message = f"{_given([name])} cannot be obeyed ({error.strerror})"
            raise InputError(message) from error


_readable: set[str] = set()  # values of XLA_FLAGS


def _read_flags(said: int) -> None:
    import resource

    from jaxlib import xla_client

    os.dup2(said, 1)
    os.dup2(said, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    xla_client.CompileOptions()  # holds what XLA_FLAGS says


def _settle_matplotlib() -> None:
    """Keeps a page's curves independent of a foreign backend and of a home folder not writable."""
    if "matplotlib" in sys.modules:
        return
    os.environ["MPLBACKEND"] = "svg"
    if os.environ.get("MPLCONFIGDIR"):
        return
    folder = cache_folder("matplotlib")
    try:
        if folder is None:
            raise FileNotFoundError
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        os.environ["MPLCONFIGDIR"] = str(folder)
    except OSError:
        os.environ["MPLCONFIGDIR"] = made = tempfile.mkdtemp(prefix="matplotlib-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)


def _named(message: str, prefix: str) -> list[str]:
    """The variables that a message is about: those it names, or whose value it contains, or all."""
    names = [name for name in os.environ if name.startswith(prefix)]
    # `JAX_DEBUG_NANS`, `jax_debug_nans` and `jax.debug_nans` occur.
    said = message.upper().replace(".", "_")
    named = [name for name in names if re.search(rf"\b{re.escape(name)}\b", said)]
    return named or [name for name in names if repr(os.environ[name]) in message] or names


def _asking(message: str) -> list[str]:
    """The variables that ask for a message's device: those whose value it contains, or all."""
    # `cpu` is always there, so asking for it is never the cause.
    asked = {name: os.environ.get(name, "").replace("cpu", "") for name in _PLACES}
    places = {name: value.split(",") for name, value in asked.items() if value}
    named = [
        name
        for name, values in places.items()
        if any(v and re.search(rf"(?<!\w){re.escape(v)}(?!\w)", message) for v in values)
    ]
    return named or list(places)


def _given(names: list[str]) -> str:
    """`JAX_PLATFORMS='tpu'`: in one line, and without terminal escapes."""
    return ", ".join(f"{name}={os.environ[name]!r}" for name in names)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
