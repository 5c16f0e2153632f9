"""A terminal may show what a file holds, but not obey it."""

import ast
from pathlib import Path

import pytest

from aigc_jax.errors import Diverged, InputError
from aigc_jax.printed import line, lines
from aigc_jax.progress import ProgressReport
from experiments.cli import launch
from experiments.cli.signals import Interrupted

ROOT = Path(__file__).parent.parent
HOSTILE = {
    "a colour": ("\x1b[31m", r"\x1b[31m"),
    "a title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "an 8-bit sequence": ("\x9b2J", r"\x9b2J"),
    "delete": ("\x7f", r"\x7f"),
    "zero": ("\x00", r"\x00"),
    "the line's beginning": ("error\rfine", r"error\rfine"),
    "backspaces": ("a\b\bb", r"a\x08\x08b"),
    "a form feed": ("\f\v", r"\x0c\x0b"),
    "another direction": ("\u202egnp.exe", r"\u202egnp.exe"),
    "an isolate": ("\u2066x", r"\u2066x"),
    "separators of lines": ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
    "a name that is not UTF-8": ("caf\udce9", r"caf\udce9"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_controls_are_shown(kind):
    given, shown = HOSTILE[kind]
    assert line(f"runs/{given}: gone") == f"runs/{shown}: gone"
    assert lines(f"{given}\n\tgone") == f"{shown}\n\tgone"


@pytest.mark.parametrize(
    "text", ["runs/a [b]", "Größe 😀 漢字　", "می‌خواهم עברית", "👩‍🚀 e\u0301", ""]
)
def test_all_else_stays_as_it_is(text):
    assert line(text) == lines(text) == text


def test_a_line_is_one():
    assert line("a\n\tb") == r"a\n\tb"
    assert line(InputError("no\nsuch")) == r"no\nsuch"


@pytest.mark.parametrize(
    "error", [InputError, lambda m: Diverged(m, 1), lambda m: Interrupted(2, m)]
)
def test_an_error_is_one_line_whatever_it_quotes(error, capsys):
    def command():
        raise error("cat\x1b[2J\nfine\udce9")

    with pytest.raises(SystemExit):
        launch.report_errors(command)
    shown = capsys.readouterr().err
    assert shown.endswith("cat\\x1b[2J\\nfine\\udce9\n")
    assert shown.count("\n") == 1


def test_so_is_an_argument_that_does_not_parse(capsys, monkeypatch):
    monkeypatch.setattr(launch.compile_cache, "keep_programs", lambda: None)  # not of this process
    with pytest.raises(SystemExit):
        launch.parse(None, lambda values: None, ["--no_such\x1b[2J=1"])
    assert "\x1b" not in capsys.readouterr().err


def test_so_is_a_note_of_a_training(capsys):
    with ProgressReport("gan", 0, 1) as report:
        report.note("starting runs/\x1b[2Ja\nb")
    assert capsys.readouterr().err == "starting runs/\\x1b[2Ja\\nb\n"


def _is_safe(node):
    """A constant, a number in a fixed format, or what `printed` has returned."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.FormattedValue):
        return node.format_spec is not None or _is_safe(node.value)
    if isinstance(node, ast.JoinedStr):
        return all(map(_is_safe, node.values))
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "id", "") == "printed"
    )


FREE = {
    ("progress.py", "message"),  # numbers, and what `note` has escaped
    ("compress.py", "report(done)"),  # numbers, and names of ours
    ("import_hf.py", "f'{name} {value:.4f}'"),
    ("launch.py", "_help(description, values)"),  # a program's own docstring and flags
    ("quickstart.py", "f'{line} ({done} of {len(RUNS)} models)\\n'"),  # of which line is escaped
    ("verse.py", "f'{name} {share:.4f} of {len(verses)} poems'"),
    ("startup.py", "f'error: {error}'"),  # an InputError, whose words are escaped
    ("launch.py", "f'error: {names[len(left)]} is missing; see --help'"),
    (
        "translation.py",
        "f'note: longer than the context and left out: {packed.dropped} of {len(pairs)} pairs'",
    ),
    ("evaluator.py", "f'{name}: {signature}'"),
}


def test_nothing_is_printed_past_it():
    """Each `print` of the package and of the programs, but for those of our own words."""
    found = set()
    for path in [*(ROOT / "aigc_jax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                found |= {(path.name, ast.unparse(a)) for a in node.args if not _is_safe(a)}
    assert found <= FREE
