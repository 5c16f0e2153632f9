"""Errors that are a person's to mend, of which launchers print one line and no traceback; and what
of their words, as of all that came from files, a terminal may be given.

A terminal obeys control characters: they colour, move the cursor, rename the window, paste. Names
of files, the configuration of a run, a header or a model's vocabulary may hold any of them, so all
that is printed passes here, and shows them as Python would write them: `\\x1b`, `\\n`, `\\udcff`.
"""

import unicodedata

_OBEYED = {"Cc", "Cs", "Zl", "Zp"}  # controls, halves of UTF-16 pairs, separators of lines
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # order of what follows


def one_line(text: object) -> str:
    """`str(text)` as a terminal may show it, in one line."""
    return _escaped(str(text), kept="")


def many_lines(text: object) -> str:
    """`str(text)` as a terminal may show it, with its line breaks and tabs."""
    return _escaped(str(text), kept="\n\t")


def _escaped(text: str, kept: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in kept or not _is_obeyed(c) else _written(c) for c in text)


def _is_obeyed(character: str) -> bool:
    return (
        unicodedata.category(character) in _OBEYED
        or unicodedata.bidirectional(character) in _TURNING
    )


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class InputError(ValueError):
    """An option, a file or a folder cannot be used as given. The message says what to do."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class Diverged(FloatingPointError):
    """Training produced a number that is not finite, first seen at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(one_line(message))
        self.step = step
