"""Paths that a person gives: on this machine, and with ~ filled in where the shell did not."""

import os
import re
from typing import Any

from absl import flags

from aigc_jax.errors import InputError

flags.disclaim_key_flags()  # `define_path` defines those of its callers

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def local(name: str, called: str) -> str:
    """The path of a file or folder of this machine.

    Args:
      name: as given; of `~/x` and `~user/x` the home folder is filled in.
      called: what it is called on the command line, as `--workdir` is.

    Raises:
      InputError: it is a URL or empty, or there is no such home folder.
    """
    if not name or "\0" in name:
        raise InputError(f"{called}: {name!r} is not a path; name a file or folder")
    if url := _URL.match(name):
        raise InputError(
            f"{called}: {name} is a URL; {url[1]}:// is not read or written here, "
            "give a path of this machine"
        )
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


class _Parser(flags.ArgumentParser[str]):
    syntactic_help = "a path of this machine"

    def __init__(self, called: str):
        super().__init__()
        self._called = called

    def parse(self, argument: Any) -> str:
        try:
            return local(argument, self._called)
        except InputError as error:  # absl puts the flag's name and value before it
            raise ValueError(str(error).removeprefix(f"{self._called}: ")) from error


def define_path(name: str, default: str | None, help: str) -> flags.FlagHolder:
    """An absl flag whose value is what `local` makes of it."""
    parser, serializer = _Parser(f"--{name}"), flags.ArgumentSerializer[str]()
    return flags.DEFINE(parser, name, default, help, serializer=serializer)
