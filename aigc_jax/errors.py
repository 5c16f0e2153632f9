"""The errors that are a person's to mend: launchers print their one line and exit, without a
traceback."""


class InputError(ValueError):
    """Something given by the user (an option, a file, a folder) cannot be used. The message says
    what to do."""


class Diverged(FloatingPointError):
    """Training produced a number that is not finite. Carries the `step` at which it was first
    seen."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step
