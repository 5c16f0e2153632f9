"""What a program does before it imports anything beyond the standard library."""

import sys


def prepare(package: str) -> None:
    """Prepares to run a module of the package; does nothing if the package is merely imported.

    JAX reads its variables when it is imported, and a closed standard stream's number goes to the
    next file that is opened: both come before any line of the module itself.

    Args:
      package: the one whose import calls this.
    """
    # Python imports the package of `python -m package.module` with this as the program's name.
    if sys.argv[:1] != ["-m"]:
        return
    if not any(a.removeprefix("-m").startswith(f"{package}.") for a in sys.orig_argv):
        return
    from experiments.cli import environment, streams  # neither imports JAX

    streams.guard()
    try:
        environment.import_jax()
    except environment.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
