"""The README's snippets run, and what it names exists."""

import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(
    r"python -m ((?:experiments|benchmarks)\.\w+)((?: --[\w]+(?:=[^\s`|]+)?)*)", README
)


def test_there_are_snippets_and_commands():
    assert len(SNIPPETS) >= 1
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("code", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs(code):
    scope = {}
    with jax.numpy_rank_promotion("allow"):
        exec(compile(code, "README.md", "exec"), scope)


@pytest.mark.parametrize(("module", "options"), COMMANDS)
def test_a_command_names_a_module_and_its_options(module, options):
    path = ROOT / (module.replace(".", "/") + ".py")
    assert path.exists()
    places = ["experiments/options.py", "experiments/images.py", "benchmarks/side_by_side.py"]
    places += [str(p) for p in ROOT.glob(module.replace(".", "/") + "_options.py")]
    known = path.read_text() + "".join((ROOT / place).read_text() for place in places)
    for option in re.findall(r"--(\w+)", options):
        assert re.search(rf'\b{option}: |"{option}"', known), option


def test_the_map_of_the_house_is_complete():
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    block = next(block for block in blocks if block.startswith("aigc_jax/"))
    for path in [*(ROOT / "aigc_jax").rglob("*.py"), *(ROOT / "experiments").glob("*.py")]:
        if path.name != "__init__.py":
            assert path.name in block, path


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
