"""What the README and the documentation show runs, and what they name exists."""

import functools
import re
import textwrap
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in PAGES}
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
SNIPPETS = {
    f"{page}:{i}": textwrap.dedent(code)
    for page, text in TEXTS.items()
    for i, (_, language, code) in enumerate(FENCED.findall(text))
    if language == "python"
}
COMMANDS = sorted(
    {
        (module, flag)
        for text in TEXTS.values()
        for module, flags in re.findall(
            r"python -m ((?:experiments|benchmarks)\.\w+)((?:\s+(?:--[^\s`|]+|[^\s`|-]+))*)", text
        )
        for flag in ["", *re.findall(r"--(\w+)", flags)]
    }
)
LINKS = [
    (page, target)
    for page, text in TEXTS.items()
    for target in re.findall(r"\]\(([^)\s]+)\)", text)
    if not re.match(r"https?:", target)
]


def anchors(text):
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    kept = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in kept}


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].encode()) <= 8192


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs(name):
    with jax.numpy_rank_promotion("allow"):
        exec(compile(SNIPPETS[name], name, "exec"), {})


@pytest.fixture(scope="module")
def help_of(launch):
    """`help_of("experiments.gan")`: what its --help shows."""
    return functools.cache(lambda module: launch(module, "--help", cwd=ROOT).stdout)


@pytest.mark.parametrize(("module", "flag"), COMMANDS)
def test_a_command_names_a_module_and_its_flags(module, flag, help_of):
    assert (ROOT / f"{module.replace('.', '/')}.py").exists()
    if flag not in ("", "help"):
        assert re.search(rf"--(\[no\])?{flag.removeprefix('no')}\b", help_of(module))


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    found = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    if found.parent == ROOT / "docs/api":  # made from the package's docstrings
        assert found.stem == "aigc_jax" or (ROOT / "aigc_jax" / found.stem).is_dir()
        return
    assert found.exists()
    if anchor:
        assert anchor in anchors(found.read_text("utf-8"))
