"""Strings from files, made safe for a terminal: names, options, messages, texts.

A terminal obeys control characters: they colour, move the cursor, rename the window, paste. Names
of files, the configuration of a run, a header or a model's vocabulary may hold any of them, so all
that is printed passes through here, and shows them as Python would write them: `\\x1b`.
"""

import unicodedata

_OBEYED = {"Cc", "Cs", "Zl", "Zp"}  # controls, halves of UTF-16 pairs, separators of lines
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # order of what follows


def line(text: object) -> str:
    """`str(text)` as one line."""
    return _escaped(str(text), kept="")


def lines(text: object) -> str:
    """`str(text)`, with its line breaks and tabs."""
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
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
