"""Paths that the user gives: on this machine, and with ~ expanded where the shell did not."""

import os
import re

from absl import flags

from aigc_jax.errors import InputError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def local(name: str, called: str) -> str:
    """The path of a file or folder on this machine.

    Args:
      name: as given; `~/x` and `~user/x` are expanded.
      called: its name on the command line, such as `--workdir`.

    Raises:
      InputError: it is a URL or empty, or the home folder or the current one does not exist.
    """
    if not name or "\0" in name:
        raise InputError(f"{called}: {name!r} is not a path; name a file or folder")
    if url := _URL.match(name):
        raise InputError(
            f"{called}: {name} is a URL, and {url[1]}:// is not supported; "
            "give a path on this machine"
        )
    if not name.startswith(("~", "/")):
        try:
            os.getcwd()
        except OSError as error:
            raise InputError(
                f"{called}: {name} is below the current folder, which no longer exists "
                f"({error.strerror}); change to another one"
            ) from error
    if not name.startswith("~"):
        return name
    # With HOME= empty, ~/x would be /x.
    found = os.path.expanduser(name) if os.environ.get("HOME", "/") else name
    if found.startswith("~"):
        raise InputError(
            f"{called}: {name} names an unknown home folder; "
            f"write it out, or ./{name} for a name that begins with ~"
        )
    return found


class _Path(flags.ArgumentParser):
    """Keeps the text as it is; errors in it are reported when it is used."""

    syntactic_help = "a path"


def define_path(name: str, default: str | None, help: str, flag_values: flags.FlagValues) -> None:
    """An absl flag of a path, which `is_path` recognises."""
    serializer: flags.ArgumentSerializer = flags.ArgumentSerializer()
    flags.DEFINE(_Path(), name, default, help, flag_values=flag_values, serializer=serializer)


def is_path(flag: flags.Flag) -> bool:
    """Whether `define_path` has defined it."""
    return isinstance(flag.parser, _Path)
