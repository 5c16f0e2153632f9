"""The house's arrows, read off the imports, and what importing the package does not do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAMILIES = ("gan", "vae", "vq", "transformer", "classifier")
ABOVE = {f"aigc_jax.{m}" for m in ("loop", "report", "run_folder", "progress", "checkpoint")}
FILES = sorted((ROOT / "aigc_jax").rglob("*.py"))


def imports(path):
    """Every module that a file imports, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def family_of(path):
    part = path.relative_to(ROOT / "aigc_jax").parts[0]
    return part if part in FAMILIES else None


def families_imported(path):
    names = {tuple(name.split(".")[:2]) for name in imports(path)}
    return {family for family in FAMILIES if ("aigc_jax", family) in names}


def test_the_files_are_found():
    assert {family_of(path) for path in FILES} == {None, *FAMILIES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
class TestPackage:
    def test_families_and_leaves_import_no_family_but_their_own(self, path):
        assert families_imported(path) <= {family_of(path)}

    def test_families_stand_on_leaves_alone(self, path):
        if family_of(path):
            assert not {n for n in imports(path) if ".".join(n.split(".")[:2]) in ABOVE}

    def test_the_package_knows_no_launcher_and_no_flags(self, path):
        assert not {n for n in imports(path) if n.split(".")[0] in ("experiments", "absl")}

    def test_linen_stays_in_networks_and_layers(self, path):
        if any(name.split(".")[0] == "flax" for name in imports(path)):
            assert path.name in ("networks.py", "layers.py") or path.parent.name in (
                "networks",
                "nn",
            )

    def test_nothing_is_unpickled(self, path):
        assert not {
            n for n in imports(path) if n.split(".")[0] in ("pickle", "cloudpickle", "dill")
        }


def test_losses_and_steps_do_not_reach_flax_even_indirectly():
    """By the files themselves: a room's __init__ opens the front door too."""
    found = [path for path in FILES if path.stem in ("losses", "step") and family_of(path)]
    assert {family_of(path) for path in found} == set(FAMILIES)
    for path in found:
        for module in imports(path):
            assert not module.endswith(("networks", "layers", "config"))
            assert not module.startswith("aigc_jax.nn")


def test_launchers_stay_small():
    for name in ("gan", "vae", "lm", "translate", "classifier"):
        text = (ROOT / "experiments" / f"{name}.py").read_text()
        assert len(text.splitlines()) <= 120


def test_importing_starts_no_backend_and_changes_no_configuration():
    code = """
import jax
before = dict(jax.config.values)
import aigc_jax
from aigc_jax import gan, vae, transformer, classifier
from aigc_jax import loop, attention, parallel, layers, optim, report
from aigc_jax.data import images, text, tokenizers, batches
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "a backend was started"
assert before == dict(jax.config.values)
import sys
assert "matplotlib" not in sys.modules and "mlxtend" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
