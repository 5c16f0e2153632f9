"""Paths that a person gives: on this machine, and with ~ filled in where the shell did not."""

import os
import re

from absl import flags

from aigc_jax.errors import InputError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def local(name: str, called: str) -> str:
    """The path of a file or folder of this machine.

    Args:
      name: as given; of `~/x` and `~user/x` the home folder is filled in.
      called: what it is called on the command line, as `--workdir` is.

    Raises:
      InputError: it is a URL or empty, or there is no such home folder, or no current one.
    """
    if not name or "\0" in name:
        raise InputError(f"{called}: {name!r} is not a path; name a file or folder")
    if url := _URL.match(name):
        raise InputError(
            f"{called}: {name} is a URL; {url[1]}:// is not read or written here, "
            "give a path of this machine"
        )
    if not name.startswith(("~", "/")):
        try:
            os.getcwd()
        except OSError as error:
            raise InputError(
                f"{called}: {name} is below the current folder, which is not there any more "
                f"({error.strerror}); change to another one"
            ) from error
    if not name.startswith("~"):
        return name
    # HOME= would make ~/x the root's.
    found = os.path.expanduser(name) if os.environ.get("HOME", "/") else name
    if found.startswith("~"):
        raise InputError(
            f"{called}: {name} names a home folder that is not known here; "
            f"write it out, or ./{name} for a name that begins with ~"
        )
    return found


class _Path(flags.ArgumentParser):
    """Keeps the text as it is: what is wrong with it is said when it is used."""

    syntactic_help = "a path"


def define_path(name: str, default: str | None, help: str, flag_values: flags.FlagValues) -> None:
    """An absl flag of a path: `is_path` knows it."""
    serializer: flags.ArgumentSerializer = flags.ArgumentSerializer()
    flags.DEFINE(_Path(), name, default, help, flag_values=flag_values, serializer=serializer)


def is_path(flag: flags.Flag) -> bool:
    """Whether `define_path` has defined it."""
    return isinstance(flag.parser, _Path)
