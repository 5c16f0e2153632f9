"""What MkDocs derives from the code: the tables of presets, and one API page for each package.

A line `<!-- presets: gan -->` in a page becomes the tables of the presets of `experiments.gan`.
"""

import ast
import importlib
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT)]

from experiments.cli.options import stored_options  # noqa: E402 - found by the line above

PACKAGE = ROOT / "aigc_jax"
MARKER = re.compile(r"^<!-- presets: (\w+) -->$", re.MULTILINE)

LEFT_OUT = {"preset", "eval_every", "checkpoint_every", "log_every", "steps_per_dispatch"}
"""Options that tell presets apart and do not describe them."""


def presets(family: str) -> str:
    """Two Markdown tables of a launcher's presets, from their declarations.

    What each is, its command, time and metric; and a column for each with the options that differ.
    """
    room = importlib.import_module(f"experiments.families.{family}.options")
    declared = [
        ["preset", "what it is", "command", "time", "expect"],
        ["---"] * 5,
        *(
            [f"`{p.name}`", p.about, f"`{p.command}`", p.time, p.reaches]
            for p in (options.declared for options in room.PRESETS.values())
        ),
    ]
    options = {name: stored_options(preset) for name, preset in room.PRESETS.items()}
    names = dict.fromkeys(name for found in options.values() for name in found)
    differing = [["", *(f"`{name}`" for name in options)], ["---"] * (len(options) + 1)]
    for name in (name for name in names if name not in LEFT_OUT):
        values = [shown(found.get(name)) for found in options.values()]
        if len(set(values)) > 1:
            differing.append([f"`--{name}`", *values])
    tables = ("\n".join(f"| {' | '.join(line)} |" for line in t) for t in (declared, differing))
    return "\n\n".join(tables)


def shown(value: Any) -> str:
    """An option's value as a cell."""
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


def api_pages() -> dict[str, str]:
    """The API's pages, by their path: `aigc_jax`'s own modules, then each package below it."""
    folders = [PACKAGE, *sorted(p.parent for p in PACKAGE.glob("*/__init__.py"))]
    return {f"api/{folder.name}.md": api_page(folder) for folder in folders}


def api_page(folder: Path) -> str:
    """A heading and a directive for each module of a folder, those below it included."""
    name = folder.name if folder == PACKAGE else f"aigc_jax.{folder.name}"
    found = sorted(folder.glob("*.py") if folder == PACKAGE else folder.rglob("*.py"))
    parts = [f"# {name}"]
    for path in [p for p in found if not p.name.startswith("_") and is_public(p)]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        options = "    options: {show_root_full_path: true, heading_level: 2}"
        parts.append(f"::: {module}\n{options}")
    return "\n\n".join(parts) + "\n"


def is_public(path: Path) -> bool:
    """Whether a module defines anything that others may use."""
    body = ast.parse(path.read_text("utf-8")).body
    named = (n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Assign))
    return any(not getattr(n, "name", "A").startswith("_") for n in named)


def on_config(config: Any) -> Any:
    """Adds the API to the navigation."""
    config.nav.append({"API": list(api_pages())})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the API's pages."""
    for path, content in api_pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces the markers."""
    return MARKER.sub(lambda found: presets(found[1]), markdown)
