"""Variables change no result of a command, and what cannot be obeyed is one line that names it."""

import json
import os
import re
import subprocess
import sys

import pytest

from aigc_jax.errors import InputError
from experiments.cli import environment as of_commands
from experiments.cli import startup

# All that changes results or raises, at once.
HOSTILE = {
    "JAX_ENABLE_X64": "1",
    "JAX_EXPLICIT_X64_DTYPES": "error",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_ENABLE_CUSTOM_PRNG": "1",
    "JAX_LEGACY_PRNG_KEY": "error",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_RANDOM_SEED_OFFSET": "7",
    "JAX_HIGH_DYNAMIC_RANGE_GUMBEL": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "BF16_BF16_F32",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_TRANSFER_GUARD": "disallow_explicit",
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": "disallow",
    "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": "disallow_explicit",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEBUG_INFS": "1",
    "JAX_DEBUG_KEY_REUSE": "1",
    "JAX_ENABLE_CHECKS": "1",
    "JAX_CHECK_TRACER_LEAKS": "1",
    "JAX_THREAD_GUARD": "1",
    "JAX_ARRAY_GARBAGE_COLLECTION_GUARD": "fatal",
    "JAX_NO_TRACING": "1",
    "JAX_NO_EXECUTION": "1",
    "JAX_DISABLE_JIT": "1",
    "JAX_OPTIMIZATION_LEVEL": "O0",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_USE_DIRECT_LINEARIZE": "0",
    "JAX_DEFAULT_DEVICE": "cpu",
    "FLAX_RETURN_FROZENDICT": "1",
    "FLAX_FIX_RNG_SEPARATOR": "1",
    "MPLBACKEND": "none",
}
FEW = ["--steps=4", "--checkpoint_every=2", "--eval_every=4", "--log_every=1", "--batch_size=2"]
LM = ["--text=story.txt", "--context=8", "--layers=1", "--heads=2", "--width=8", "--dropout=0.1"]


@pytest.fixture
def command(environment, tmp_path):
    """`command("experiments.table", JAX_PLATFORMS="tpu")` runs it in that environment."""

    def run(*arguments, **variables):
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            env={**environment, "XLA_FLAGS": "--xla_backend_optimization_level=0", **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_run_and_its_samples_are_the_same_in_every_environment(
    command, launch, environment, toy, tmp_path
):
    (tmp_path / "story.txt").write_text("It was a dark and stormy night.\n" * 20)
    written = []
    for name in ("calm", "hostile"):
        for arguments in (
            ("experiments.lm", *LM, *FEW, f"--workdir={name}"),
            ("experiments.sample", "--workdir=calm", "--length=20"),
        ):
            if name == "calm":
                done = launch(*arguments, cwd=tmp_path)
            else:
                done = command(*arguments, **HOSTILE, XLA_FLAGS=environment["XLA_FLAGS"])
            assert done.returncode == 0, done.stderr
        written.append(done.stdout)
    assert toy.metrics(tmp_path / "hostile") == toy.metrics(tmp_path / "calm")
    expected = toy.stored(tmp_path / "calm" / "checkpoints")
    assert list(expected) == [2, 4]
    assert toy.stored(tmp_path / "hostile" / "checkpoints") == expected
    assert written[0] == written[1]


CANNOT = {
    "read by JAX": {"JAX_DEBUG_NANS": "perhaps"},
    "another type": {"JAX_TRACEBACK_IN_LOCATIONS_LIMIT": "ten"},
    "no such choice": {"JAX_DEFAULT_PRNG_IMPL": "mersenne"},
    "no such platform": {"JAX_DEFAULT_DEVICE": "gpu:3"},
    "read by Flax": {"FLAX_RETURN_FROZENDICT": "x"},
}


@pytest.mark.parametrize("variables", CANNOT.values(), ids=CANNOT)
def test_what_cannot_be_read_at_import_is_named(command, variables):
    """These end before the command's own modules are imported."""
    refused(command("experiments.table", **variables), variables)


MISSING = {
    "no such device": {"JAX_PLATFORMS": "tpuu"},
    "a device that is not there": {"JAX_PLATFORM_NAME": "gpu"},
    "XLA's flags": {"XLA_FLAGS": "--nonsense --xla_backend_optimization_level=0"},
    "another device": {"JAX_DEFAULT_DEVICE": "gpu"},
    "no place for a dump": {"JAX_DUMP_IR_TO": "/dev/null/dump"},
    "no place for a cache": {"JAX_COMPILATION_CACHE_DIR": "/dev/null/cache"},
}


@pytest.mark.parametrize("variables", MISSING.values(), ids=MISSING)
def test_what_cannot_be_obeyed_is_named_even_where_nothing_is_computed(command, variables):
    refused(command("experiments.table", "--runs=none", **variables), variables)


def refused(done, variables):
    (name,) = variables
    assert done.returncode == 2
    assert re.fullmatch(f"error: {name}=.*\n", done.stderr), done.stderr
    assert done.stdout == ""


def test_settings_are_the_defaults_of_this_jax(environment):
    """Set to anything else, they would make commands unlike the library."""
    program = """
import json, flax, jax
plain = lambda x: x if x is None or isinstance(x, str | bool | float) else getattr(x, "name", x)
print(json.dumps([{k: plain(v) for k, v in jax.config.values.items()}, flax.config._values]))
"""
    clean = {k: v for k, v in environment.items() if not k.startswith(("JAX_", "FLAX_"))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean, capture_output=True, check=True
    )
    jax_has, flax_has = json.loads(done.stdout)
    known = {name: value for name, value in of_commands.SETTINGS.items() if name in jax_has}
    assert len(known) > 40
    for name, value in known.items():
        assert str(jax_has[name]).lower() == str(value).lower(), name
    for name, value in of_commands.FLAX_SETTINGS.items():
        assert flax_has[name] == value, name


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("invalid truth value 'x' for environment 'JAX_ENABLE_X64'", ["JAX_ENABLE_X64"]),
        ('Invalid value "x" for JAX flag jax_transfer_guard', ["JAX_TRANSFER_GUARD"]),
        ("jax.default_device must be passed", ["JAX_DEFAULT_DEVICE"]),
        ("invalid literal for int() with base 10: '1e3'", ["JAX_FRAMES"]),
        ("what is this", ["JAX_ENABLE_X64", "JAX_TRANSFER_GUARD", "JAX_DEFAULT_DEVICE"]),
    ],
)
def test_the_variable_is_found_that_a_message_is_about(monkeypatch, message, expected):
    for name in list(os.environ):
        if name.startswith("JAX_"):
            monkeypatch.delenv(name)
    for name in ("JAX_ENABLE_X64", "JAX_TRANSFER_GUARD", "JAX_DEFAULT_DEVICE"):
        monkeypatch.setenv(name, "x")
    if "1e3" in message:
        monkeypatch.setenv("JAX_FRAMES", "1e3")
    assert of_commands._named(message, "JAX_") == expected


def test_a_value_is_shown_in_one_line_and_without_escapes(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "a\nb\x1b[2J")
    assert of_commands._given(["JAX_PLATFORMS"]) == r"JAX_PLATFORMS='a\nb\x1b[2J'"


def test_importing_prepares_nothing(monkeypatch):
    def called():
        raise InputError("it was prepared")

    monkeypatch.setattr(of_commands, "import_jax", called)
    monkeypatch.setattr(sys, "argv", ["-m"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "theirs.program", "experiment"])
    startup.prepare("experiments")
    monkeypatch.setattr(sys, "argv", ["program.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "program.py", "experiments.gan"])
    startup.prepare("experiments")


@pytest.mark.parametrize("home", ["nowhere", "a file", "a folder"])
def test_matplotlib_has_a_folder_that_it_can_write_to(monkeypatch, tmp_path, home):
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setenv("MPLBACKEND", "none")
    (tmp_path / "a file").write_text("")
    folder = None if home == "nowhere" else tmp_path / home / "matplotlib"
    monkeypatch.setattr(of_commands, "cache_folder", lambda kind: folder)
    of_commands._settle_matplotlib()
    found = os.environ["MPLCONFIGDIR"]
    assert os.access(found, os.W_OK)
    assert (found == str(folder)) == (home == "a folder")
    assert os.environ["MPLBACKEND"] == "svg"
