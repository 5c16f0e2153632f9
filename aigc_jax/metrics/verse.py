"""The form of Chinese regulated verse: four or eight lines, all of five or all of seven characters.

Tones and rhymes, which regulated verse also prescribes, are not checked.
"""

import re
from collections.abc import Sequence

_BETWEEN = re.compile(r"[，。？！；：、\s]+")
LINES, LENGTHS = (4, 8), (5, 7)


def lines_of(verse: str) -> list[str]:
    """The lines of a verse, split at punctuation and line breaks, without either."""
    return [line for line in _BETWEEN.split(verse) if line]


def has_equal_lines(verse: str) -> bool:
    """Whether there are lines, and all of them are of the same length."""
    return len({len(line) for line in lines_of(verse)}) == 1


def is_regulated(verse: str) -> bool:
    """Whether there are as many lines as regulated verse has, of one of its lengths."""
    lines = lines_of(verse)
    return len(lines) in LINES and has_equal_lines(verse) and len(lines[0]) in LENGTHS


def first_line(verse: str) -> str:
    """A verse up to its first punctuation, inclusive."""
    found = _BETWEEN.search(verse)
    return verse[: found.end()] if found else verse


def up_to_last_line(verse: str) -> str:
    """A verse without what follows its last punctuation: a line that may be cut short."""
    return verse[: max((found.end() for found in _BETWEEN.finditer(verse)), default=0)]


def shares(verses: Sequence[str]) -> dict[str, float]:
    """The shares of N ≥ 1 verses that keep the form, each in [0, 1].

    Returns:
      `equal_lines`: all lines are of one length; `regulated`: and as many as they should be.
    """
    return {
        "equal_lines": sum(map(has_equal_lines, verses)) / len(verses),
        "regulated": sum(map(is_regulated, verses)) / len(verses),
    }
