"""What a program does before it imports anything else; the standard library is all it has."""

import sys


def prepare(package: str) -> None:
    """Gets ready to run a module of the package; where it is merely imported, does nothing.

    JAX reads its variables when it is imported, and a closed standard stream's number goes to the
    next file that is opened: both come before any line of the module itself.

    Args:
      package: whose import is what calls this.
    """
    # Python imports the package of `python -m package.module` under this name of the program.
    if sys.argv[:1] != ["-m"]:
        return
    if not any(a.removeprefix("-m").startswith(f"{package}.") for a in sys.orig_argv):
        return
    from experiments.cli import environment, streams  # which import JAX nowhere

    streams.guard()
    try:
        environment.import_jax()
    except environment.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
