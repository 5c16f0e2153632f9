"""Errors that the user can correct: launchers print one line and no traceback."""

from aigc_jax import printed


class InputError(ValueError):
    """An option, a file or a folder cannot be used as given. The message says what to do."""

    def __init__(self, message: str):
        super().__init__(printed.line(message))


class Diverged(FloatingPointError):
    """Training produced a number that is not finite, first seen at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(printed.line(message))
        self.step = step
