"""Errors that are a person's to mend: launchers print one line and no traceback."""


def one_line(text: str) -> str:
    """Text as a terminal may show it: what is not printable is escaped, as `\\n` and `\\udcff` are.

    A file's name may hold line breaks, a terminal's escape sequences and bytes that are not UTF-8.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class InputError(ValueError):
    """An option, a file or a folder cannot be used as given. The message says what to do."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class Diverged(FloatingPointError):
    """Training produced a number that is not finite, first seen at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(one_line(message))
        self.step = step
