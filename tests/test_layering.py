"""Which file may import which, read off the imports, and what importing does not do.

shared ← families ← composites ← experiments
in experiments: cli ← data ← runs ← fidelity ← families ← catalogue ← programs
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPOSITES = {"codec"}  # packages made of families
FAMILIES = {path.parent.name for path in (ROOT / "aigc_jax").glob("*/step.py")} - COMPOSITES
HOST = ("loop", "report", "run_folder", "progress", "checkpoint")  # what families do without
# In experiments/families: what language model and translator share, and what a prior is over.
SHARED = {"transformer", "codec"}
STRATA = ("cli", "data", "runs", "fidelity", "families")
# The network in whose features images are evaluated is a run of the classifier's.
EVALUATOR = "experiments.fidelity.features"
CLASSIFIER = "experiments.families.classifier."


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_of(path): path
    for package in ("aigc_jax", "experiments")
    for path in sorted((ROOT / package).rglob("*.py"))
}
PACKAGE = [name for name in FILES if name.split(".")[0] == "aigc_jax"]
LAUNCHERS = [name for name in FILES if name.split(".")[0] == "experiments"]


def imports_in(tree):
    """Every module that the code imports, wherever it does, as dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in FILES else node.module


@cache
def tree_of(name):
    return ast.parse(FILES[name].read_text())


@cache
def imports(name):
    return frozenset(imports_in(tree_of(name)))


def own(name):
    """Files of this repository that a file imports by name."""
    return imports(name) & FILES.keys()


def place(name, level=1):
    """The folder or file below the package: gan of aigc_jax.gan.step."""
    return (*name.split("."), "", "", "")[level]


def reached_from(name):
    """All files that are imported when one is, but for the `__init__` of its folders."""
    found, left = set(), [name]
    while left:
        for other in own(left.pop()) - found:
            found.add(other)
            left.append(other)
    return found


def circles():
    """Files that reach themselves, imports within functions included."""
    return {name for name in FILES if name in reached_from(name)}


def test_the_files_are_found():
    assert {"gan", "vae", "vq", "transformer", "classifier"} <= FAMILIES
    assert {place(name) for name in LAUNCHERS} >= {*STRATA, "gan", "catalogue"}


def test_no_file_imports_itself_by_way_of_others():
    assert circles() == set()


@pytest.mark.parametrize("name", PACKAGE)
class TestPackage:
    def test_families_and_leaves_import_no_family_but_their_own(self, name):
        allowed = {place(name)}
        if place(name) in COMPOSITES:
            allowed |= {*FAMILIES, *COMPOSITES}
        packages = {place(n) for n in own(name) if n.split(".")[0] == "aigc_jax"}
        assert packages & {*FAMILIES, *COMPOSITES} <= allowed

    def test_families_do_without_the_host(self, name):
        if place(name) in (*FAMILIES, *COMPOSITES):
            assert not {place(n) for n in own(name)} & {*HOST}

    def test_the_package_knows_no_launcher_and_no_flags(self, name):
        assert not {n for n in imports(name) if n.split(".")[0] in ("experiments", "absl")}

    def test_linen_stays_in_networks(self, name):
        if any(n.split(".")[0] == "flax" for n in imports(name)):
            parts = name.split(".")
            assert "networks" in parts or place(name) in ("nn", "layers")

    def test_losses_and_steps_do_not_reach_flax(self, name):
        if name.rpartition(".")[2] in ("losses", "step", "updates", "objectives", "model"):
            for other in (name, *reached_from(name)):
                assert not any(n.split(".")[0] == "flax" for n in imports(other)), other


@pytest.mark.parametrize("name", LAUNCHERS)
class TestExperiments:
    def test_what_is_below_knows_nothing_above(self, name):
        here = place(name)
        for other in (n for n in own(name) if n.split(".")[0] == "experiments"):
            there = place(other)
            if name == EVALUATOR and other.startswith(CLASSIFIER):
                continue
            if here in STRATA:
                assert there in STRATA, other
                assert STRATA.index(there) <= STRATA.index(here), other

    def test_no_family_imports_another(self, name):
        if place(name) != "families":
            return
        others = {place(n, 2) for n in own(name) if place(n) == "families"}
        assert others <= {place(name, 2), *SHARED}

    def test_the_catalogue_knows_no_program(self, name):
        if name == "experiments.catalogue":
            below = {place(n) for n in own(name) if n.split(".")[0] == "experiments"}
            assert below <= {*STRATA}

    def test_at_the_top_there_are_programs(self, name):
        path = FILES[name]
        if path.parent.name != "experiments" or path.stem in ("__init__", "catalogue"):
            return
        defined = {n.name for n in tree_of(name).body if isinstance(n, ast.FunctionDef)}
        guards = [ast.unparse(n.test) for n in tree_of(name).body if isinstance(n, ast.If)]
        assert "main" in defined
        assert "__name__ == '__main__'" in guards


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_unpickled(name):
    unsafe = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert not {n for n in imports(name) if n.split(".")[0] in unsafe}
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False"


IMPORTING = """
import importlib, sys
import jax
from absl import flags
from jax._src import xla_bridge
before = dict(jax.config.values)
for name in sys.argv[1:]:
    importlib.import_module(name)
    # Some of other packages' are Orbax's.
    ours = {m for m in flags.FLAGS.flags_by_module_dict() if m.startswith(("aigc_jax", "exp"))}
    assert not ours, f"{name} defines flags"
    assert not xla_bridge.backends_are_initialized(), f"{name} starts a backend"
    assert dict(jax.config.values) == before, f"{name} changes JAX's configuration"
heavy = {"matplotlib", "mlxtend", "torch", "tensorflow", "pooch", "constriction"} & set(sys.modules)
assert not heavy, f"imported before they are needed: {heavy}"
"""


def test_importing_everything_in_one_process_does_nothing():
    """Programs too, which once clashed over the names of their flags."""
    command = [sys.executable, "-c", IMPORTING, *FILES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
