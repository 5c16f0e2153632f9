"""The suite runs on four virtual CPU devices, with implicit rank promotion forbidden."""

import hashlib
import os
import resource
from pathlib import Path

from forks import QUICK
from forks import forks as serving

os.environ["JAX_PLATFORMS"] = "cpu"
# XLA aborts when a device keeps the others waiting for 40 s, as a busy machine may.
os.environ["XLA_FLAGS"] = (
    f"{QUICK} --xla_force_host_platform_device_count=4"
    " --xla_cpu_collective_call_terminate_timeout_seconds=600"
)

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# Of two workers, one might read a program that the other has not written to its end.
jax.config.update("jax_enable_compilation_cache", False)

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser):
    parser.addoption("--part", help="3/10: the tests whose id's hash falls in the third tenth")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leaves the tests of one part, and keeps those of a file in one worker.

    Where a file says nothing of its own, a fixture of it would else be made in each worker.
    """
    groups = [item.get_closest_marker("xdist_group") for item in items]
    if config.getoption("part"):
        part, parts = map(int, config.getoption("part").split("/"))
        left = []
        for item, group in zip(items, groups, strict=True):
            name = group.args[0] if group else item.nodeid.split("[")[0]
            number = int(hashlib.sha256(name.encode()).hexdigest(), 16)
            left.append(number % parts == part % parts)
        config.hook.pytest_deselected(items=[i for i, x in zip(items, left, strict=True) if not x])
        items[:] = [item for item, x in zip(items, left, strict=True) if x]
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))


def crowded():
    """Whether this process holds much memory, or many mappings of it; True where nothing says."""
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        mappings = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return True
    return resident > 3 * 2**30 or mappings > 20_000


@pytest.fixture(scope="module", autouse=True)
def programs_of_some_files():
    """Lets go of compiled programs after a file that leaves many.

    Each takes some memory mappings, of which Linux grants a process 65,530. A worker that kept
    those of thousands of tests grew to 5 GB, and the compiler ended in a segmentation fault.
    """
    yield
    if crowded():
        jax.clear_caches()


@pytest.fixture
def rng():
    """NumPy randomness that is the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of a launcher: one CPU device, compiled programs kept for the session."""
    cache = tmp_path_factory.getbasetemp().parent / "compiled"
    return {
        **os.environ,
        "XLA_FLAGS": QUICK,
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@pytest.fixture(scope="session")
def forks(environment, tmp_path_factory):
    """Starts commands; see forks.py."""
    with serving(environment, tmp_path_factory.mktemp("outputs")) as server:
        yield server


@pytest.fixture(scope="session")
def launch(forks):
    """`launch("experiments.gan", "--steps=1", cwd=...)` runs a module to its end."""

    def run(module, *arguments, cwd, check=True):
        done = forks.run(module, *arguments, cwd=cwd)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run


def arrays(tree):
    """The leaves of a tree as NumPy arrays, typed keys as their data."""
    key = jax.dtypes.prng_key
    return [
        np.asarray(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, key) else x)
        for x in jax.tree.leaves(tree)
    ]


@pytest.fixture(scope="session")
def replica():
    """`replica(tree, d)`: what a pmap has left on device d, taken from that device's own memory.

    An index would be a program over all devices for each leaf, and XLA:CPU may wait for ever where
    more than 32 of these are under way: each holds a place that another device's share needs.
    """

    def read(tree, device):
        own = [x.addressable_shards[device].data for x in jax.tree.leaves(tree)]
        return jax.tree.unflatten(jax.tree.structure(tree), [x[0] for x in arrays(own)])

    return read


@pytest.fixture(scope="session")
def assert_close():
    """Compares two trees leaf by leaf."""

    def compare(actual, expected, rtol=2e-5, atol=2e-6):
        for a, b in zip(arrays(actual), arrays(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

    return compare


@pytest.fixture(scope="session")
def assert_identical():
    """Compares two trees leaf by leaf and bit by bit."""

    def compare(actual, expected):
        for a, b in zip(arrays(actual), arrays(expected), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)

    return compare
