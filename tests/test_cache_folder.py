"""Where caches go, depending on the environment, and that there may be no place."""

import pwd
from pathlib import Path

import pytest

from aigc_jax.cache_folder import cache_folder
from aigc_jax.data.token_file import tokens_on_disk
from aigc_jax.errors import InputError


@pytest.fixture
def environment(monkeypatch):
    """`environment(home_in_passwd, HOME=…)`: a person without a line in passwd where it is None."""

    def set_to(passwd=None, **variables):
        def line_of(uid):
            if passwd is None:
                raise KeyError(f"getpwuid(): uid not found: {uid}")
            return pwd.struct_passwd(("me", "x", uid, uid, "", passwd, "/bin/sh"))

        monkeypatch.setattr(pwd, "getpwuid", line_of)
        for name in ("HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_to


@pytest.mark.parametrize(
    ("passwd", "variables", "expected"),
    [
        ("/home/me", {"XDG_CACHE_HOME": "/cache", "HOME": "/h"}, "/cache"),
        ("/home/me", {"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache"),
        ("/home/me", {"XDG_CACHE_HOME": "cache", "HOME": "/h"}, "/h/.cache"),
        ("/home/me", {"XDG_CACHE_HOME": "~/cache", "HOME": "/h"}, "/h/.cache"),
        ("/home/me", {}, "/home/me/.cache"),
        ("/home/me", {"HOME": ""}, "/home/me/.cache"),
        ("/home/me", {"HOME": "h"}, "/home/me/.cache"),
        ("", {}, None),
        (None, {}, None),
        (None, {"HOME": "."}, None),
        (None, {"XDG_CACHE_HOME": "/cache"}, "/cache"),
    ],
)
def test_caches_lie_in_an_absolute_folder_or_nowhere(environment, passwd, variables, expected):
    environment(passwd, **variables)
    assert cache_folder("kind") == (expected and Path(expected) / "aigc_jax" / "kind")


def test_tokens_that_have_no_place_say_how_to_give_them_one(environment):
    environment()
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        tokens_on_disk("text", 256, lambda: [])
