"""Compiled programs that are kept between runs."""

import os
import subprocess
import sys
import time

import pytest

PROGRAM = """
import jax
from experiments.cli import compile_cache
print(compile_cache.keep_programs())
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name.endswith("cache_hits")))
print(jax.jit(lambda x: 2 * x + 1)(3.0), sum(hits))
"""


@pytest.fixture
def outside(environment, tmp_path):
    """The environment of a person who has set nothing."""
    env = {k: v for k, v in environment.items() if not k.startswith(("JAX_COMP", "JAX_PERSIST"))}
    return {**env, "XDG_CACHE_HOME": str(tmp_path)}


def run(environment, *command):
    command = [sys.executable, *(command or ("-c", PROGRAM))]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def kept(folder):
    """The programs in a folder and its own folders, by name, with what they hold."""
    return {p: p.read_bytes() for p in folder.rglob("*-cache")}


def test_a_program_is_kept_and_taken_from_there(outside, tmp_path):
    done = run(outside)
    folder, answer = done.stdout.splitlines()
    first = kept(tmp_path)
    assert first
    assert {str(p.parent) for p in first} == {folder}
    assert folder.startswith(str(tmp_path / "aigc_jax" / "compiled"))
    assert answer == "7.0 0"
    assert run(outside).stdout.splitlines() == [folder, "7.0 1"]
    assert kept(tmp_path) == first


def test_damaged_programs_are_compiled_in_silence(outside, tmp_path):
    clean = run(outside)
    for path, content in kept(tmp_path).items():
        path.write_bytes(content[: len(content) // 2])
    again = run(outside)
    assert (again.returncode, again.stdout, again.stderr) == (0, clean.stdout, "")


def test_old_programs_are_deleted(outside, tmp_path):
    run(outside)
    (new,) = kept(tmp_path)
    old = new.with_name("old-cache")
    old.write_text("")
    month_ago = time.time() - 31 * 24 * 3600
    os.utime(old, (month_ago, month_ago))
    run(outside)
    assert list(kept(tmp_path)) == [new]


def test_a_folder_that_cannot_be_written_to_changes_nothing(outside, tmp_path):
    (tmp_path / "aigc_jax").write_text("a file")
    done = run(outside)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n7.0 0\n", "")


def test_a_folder_that_jax_was_told_of_stays_in_use(outside, tmp_path):
    done = run({**outside, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine")})
    assert done.stdout == "None\n7.0 0\n"
    assert not (tmp_path / "aigc_jax").exists()


@pytest.mark.parametrize(("flags", "exists"), [((), True), (("--nocompilation_cache",), False)])
def test_commands_keep_programs_unless_told_otherwise(outside, tmp_path, flags, exists):
    done = run(outside, "-m", "experiments.sample", f"--workdir={tmp_path / 'none'}", *flags)
    assert done.returncode == 2
    assert (tmp_path / "aigc_jax" / "compiled").exists() == exists
