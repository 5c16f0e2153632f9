"""Failing storage does no damage, and folders of any name hold runs."""

import contextlib
import errno
import fcntl
import os
import pathlib
import sys
import zipfile

import numpy as np
import orbax.checkpoint as ocp
import pytest

from aigc_jax import plain_path as names
from aigc_jax import storage
from aigc_jax.cache_folder import cache_folder
from aigc_jax.checkpoint import Checkpoints
from aigc_jax.data.images import load_images
from aigc_jax.data.own_images import read_images
from aigc_jax.data.text import FilePart, chunks
from aigc_jax.errors import Diverged, InputError
from aigc_jax.run_folder import RunFolder, write_atomically

FAILURES = ["EACCES", "EPERM", "ESTALE", "EIO", "ENOSPC", "EMFILE", "EROFS"]
STATE = {"w": np.arange(100, dtype=np.float32)}


def failing(name, *_, **__):
    number = getattr(errno, name)

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of steps 10 and 20."""
    with Checkpoints(tmp_path / "c") as checkpoints:
        for step in (10, 20):
            checkpoints.save(step, {"w": STATE["w"] + step})
    return tmp_path / "c"


def contents(folder):
    return {p.relative_to(folder): p.is_file() and p.read_bytes() for p in folder.rglob("*")}


NAMES = ["[x]", "a*b", "{a,b}", "back\\slash", "new\nline", "-dash", "end ", os.fsdecode(b"\xff")]
DEEP = "/".join(["n" * 200] * 18)


@pytest.mark.parametrize("name", [*NAMES, DEEP], ids=lambda n: ascii(n)[:15])
def test_a_folder_of_any_name_holds_checkpoints(tmp_path, name, assert_identical):
    for step in (1, 2):
        with Checkpoints(tmp_path / name) as checkpoints:
            found = checkpoints.restore_newest(STATE)
            assert (found and found[0]) == (step - 1 or None)
            checkpoints.save(step, {"w": STATE["w"] + step})
            checkpoints.wait()
            assert_identical(checkpoints.restore_newest(STATE)[1], {"w": STATE["w"] + step})
    present = {p.name for p in (tmp_path / name).iterdir()}
    assert present == {"1", "2"}


def test_without_descriptors_a_link_gives_the_plain_name(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "_DESCRIPTORS", tmp_path / "no such folder")
    folder = tmp_path / "[x]"
    folder.mkdir()
    with names.plain_path(folder) as path:
        assert path.is_symlink()
        assert path.samefile(folder)
        assert "[" not in str(path)
    assert not path.is_symlink()
    monkeypatch.setattr(names.tempfile, "tempdir", str(folder))
    with pytest.raises(InputError, match="TMPDIR"), names.plain_path(folder):
        pass


@pytest.mark.parametrize("path", ["/gs/run", "/s3/run", "/a/../gs/run", "//gs/run"])
def test_a_local_folder_that_is_named_like_a_bucket_is_not_plain(path):
    assert not names._PLAIN.fullmatch(path)
    assert names._PLAIN.fullmatch("/home/gs/run")


@pytest.mark.parametrize("name", FAILURES)
def test_what_cannot_be_read_is_not_damaged(folder, monkeypatch, name):
    before = contents(folder)
    with Checkpoints(folder) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", failing(name))
        with pytest.raises(InputError, match=os.strerror(getattr(errno, name))):
            checkpoints.restore_newest(STATE)
    assert contents(folder) == before


def test_what_a_library_tells_in_words_is_not_damaged(folder, monkeypatch):
    def fail(*_, **__):
        raise ValueError('PERMISSION_DENIED: Failed to open: "d/1": Permission denied [spec=1]')

    with Checkpoints(folder) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", fail)
        with pytest.raises(InputError, match=r"20: cannot be read \(Permission denied\)"):
            checkpoints.restore_newest(STATE)
    assert {p.name for p in folder.iterdir()} == {"10", "20"}


def test_what_a_library_takes_for_missing_is_not_damaged(folder, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("Checkpoint not found.")

    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("state"):
            raise OSError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    with Checkpoints(folder) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", missing)
        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(InputError, match="Permission denied"):
            checkpoints.restore_newest(STATE)
    assert {p.name for p in folder.iterdir()} == {"10", "20"}


@pytest.mark.parametrize("name", FAILURES)
def test_a_folder_that_cannot_be_listed_is_one_line(folder, monkeypatch, name):
    monkeypatch.setattr(ocp.CheckpointManager, "all_steps", failing(name))
    monkeypatch.setattr(ocp.CheckpointManager, "__init__", failing(name))
    with pytest.raises(InputError, match=os.strerror(getattr(errno, name))):
        Checkpoints(folder)


@pytest.mark.parametrize("blind", [("20",), ("10", "20")])
def test_a_step_that_may_not_be_looked_at_is_not_missing(folder, monkeypatch, blind):
    """Of which Orbax tells nothing, and the run would go on from an older one, or from none."""
    look = os.stat

    def refuse(path, *_, **__):
        if str(path).endswith(blind):
            raise OSError(errno.EACCES, "Permission denied")
        return look(path, *_, **__)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        Checkpoints(folder)


def test_a_step_that_is_seen_again_a_moment_later_is_not_missing(folder, monkeypatch):
    monkeypatch.setattr(ocp.CheckpointManager, "all_steps", lambda _: [10])
    with pytest.raises(InputError, match="20: disappeared"):
        Checkpoints(folder)


@pytest.mark.parametrize("name", ["EREMOTEIO", "EINTR", "ECONNRESET", "EKEYEXPIRED", "EUCLEAN"])
def test_the_words_of_any_failure_are_known(name):
    number = getattr(errno, name)
    error = ValueError(f"UNKNOWN: Failed to read 1 bytes: {os.strerror(number)} [{number=}]")
    assert storage.said(error) == os.strerror(number)
    assert storage.said(ValueError("Error decoding: Invalid argument, not zstd")) is None


def test_a_write_that_fails_says_what_the_storage_did(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError(f"Error writing {'x' * 300}: {os.strerror(errno.ENOSPC)}")

    monkeypatch.setattr(ocp.CheckpointManager, "save", fail)
    refused = pytest.raises(InputError, match=r"written \(No space left on device\)")
    with refused, Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, STATE)


def test_writes_that_end_after_the_first_that_failed_print_nothing(tmp_path, capsys):
    with Checkpoints(tmp_path):
        sys.excepthook(RuntimeError, RuntimeError("Event loop is closed"), None)
        sys.excepthook(RuntimeError, RuntimeError("another"), None)
    sys.excepthook(RuntimeError, RuntimeError("Event loop is closed"), None)
    told = [line for line in capsys.readouterr().err.splitlines() if "Error" in line]
    assert told == ["RuntimeError: another", "RuntimeError: Event loop is closed"]


@pytest.mark.parametrize("name", ["EPERM", "ENOSYS", "EOPNOTSUPP"])
def test_storage_without_permissions_takes_files(tmp_path, monkeypatch, name):
    write_atomically(tmp_path / "a", "old")
    monkeypatch.setattr(os, "chmod", failing(name))
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_samples_that_cannot_be_listed_are_one_line(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    run.create()
    monkeypatch.setattr(pathlib.Path, "glob", failing("EIO"))
    with pytest.raises(InputError, match="Input/output error"), run.locked():
        pass


def test_text_and_images_that_cannot_be_read_are_not_called_missing_or_damaged(
    tmp_path, monkeypatch
):
    (tmp_path / "t.txt").write_text("some text")
    (tmp_path / "i.npz").write_bytes(b"PK")
    (tmp_path / "d").mkdir()
    part = FilePart(tmp_path / "t.txt", 0, 9)
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", failing("EIO"))
        with pytest.raises(InputError, match=r"t\.txt: cannot be read \(Input"):
            list(chunks(part))
    with monkeypatch.context() as patched:
        patched.setattr(zipfile, "_EndRecData", failing("EIO"))
        with pytest.raises(InputError, match=r"i\.npz: cannot be read \(Input"):
            read_images(str(tmp_path / "i.npz"))
    monkeypatch.setattr(pathlib.Path, "stat", failing("ESTALE"))
    with pytest.raises(InputError, match="Stale file handle"):
        read_images(str(tmp_path / "d"))
    with pytest.raises(InputError, match="Stale file handle"):
        load_images("mnist", str(tmp_path / "d"))


def test_a_damaged_checkpoint_that_cannot_be_renamed_is_one_line(folder, monkeypatch):
    for file in (folder / "20" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"?")
    monkeypatch.setattr(pathlib.Path, "rename", failing("EROFS"))
    with pytest.raises(InputError, match="repaired"), Checkpoints(folder) as checkpoints:
        checkpoints.restore_newest(STATE)


def test_a_save_that_cannot_be_read_back_is_an_error_at_once(tmp_path, monkeypatch):
    merge = ocp.CheckpointManager.wait_until_finished

    def lose(manager):
        merge(manager)
        for file in pathlib.Path(manager.directory).rglob("manifest.ocdbt"):
            file.unlink()

    refused = pytest.raises(InputError, match="/1: was saved and cannot be read back")
    with refused, Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, STATE)
        monkeypatch.setattr(ocp.CheckpointManager, "wait_until_finished", lose)


def test_where_all_were_damaged_before_no_run_starts_over(folder):
    for step in (10, 20):
        (folder / str(step)).rename(folder / f"damaged-{step}")
    with Checkpoints(folder) as checkpoints, pytest.raises(InputError, match="damaged-10, dama"):
        checkpoints.restore_newest(STATE)


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_without_locks_a_run_goes_on_with_a_note(tmp_path, monkeypatch, caplog, name):
    run = RunFolder(tmp_path / "run")
    run.create()
    monkeypatch.setattr(fcntl, "flock", failing(name))
    with run.locked():
        pass
    assert "no locks on this storage" in caplog.text


@pytest.mark.parametrize(
    ("name", "said"),
    [("EWOULDBLOCK", "in use"), ("EAGAIN", "in use"), ("EIO", "locked"), ("ESTALE", "locked")],
)
def test_only_a_lock_that_is_held_is_in_use(tmp_path, monkeypatch, name, said):
    run = RunFolder(tmp_path / "run")
    run.create()
    monkeypatch.setattr(fcntl, "flock", failing(name))
    with pytest.raises(InputError, match=said), run.locked():
        pass


@pytest.mark.parametrize("name", FAILURES)
def test_metrics_and_files_that_the_storage_does_not_take_are_one_line(tmp_path, monkeypatch, name):
    run = RunFolder(tmp_path / "run")
    run.create()
    run.append_metrics(1, "train", {"loss": 1.0}, 1.0)
    before = (run.path / "metrics.jsonl").read_bytes()
    calls = [
        lambda: run.read_metrics(),
        lambda: run.rewind_metrics(0),
        lambda: run.append_metrics(2, "train", {}, 2.0),
        lambda: run.write_config({}),
        lambda: run.page_is_stale(),
        lambda: run.read_config(),
    ]
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", failing(name))
        for method in ("read_bytes", "read_text", "stat"):
            patched.setattr(pathlib.Path, method, failing(name))
        patched.setattr(os, "replace", failing(name))
        for call in calls:
            with pytest.raises(InputError, match=os.strerror(getattr(errno, name))):
                call()
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_a_folder_whose_files_would_have_too_long_names_is_refused_at_the_start(tmp_path):
    deep = tmp_path
    while len(str(deep)) < 3800:
        deep = deep / ("n" * 100)
    deep.mkdir(parents=True)
    path = deep / ("n" * (4095 - len(str(deep)) - 1 - len("/samples") - 20))
    with pytest.raises(InputError, match="too long"):
        RunFolder(path).create()


def test_a_config_holds_names_that_are_not_utf_8(tmp_path):
    run, name = RunFolder(tmp_path), os.fsdecode(b"bad\xff")
    config = {"experiment": "a", "metadata": {}, "data": {}, "options": {"workdir": name}}
    run.write_config(config)
    (tmp_path / "config.json").read_text("utf-8")
    assert run.read_config() == config


def test_a_message_is_one_line_whatever_a_file_is_called():
    message = str(InputError("a\nb\x1b[31m" + os.fsdecode(b"\xff") + " ü"))
    assert message == "a\\nb\\x1b[31m\\udcff ü"
    assert "\n" not in str(Diverged("in a\nb", 3))


@pytest.mark.parametrize("cache", ["", "~/cache", "cache"])
def test_a_cache_folder_that_is_not_absolute_is_passed_over(monkeypatch, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setenv("HOME", "/home/one")
    assert str(cache_folder("tokens")) == "/home/one/.cache/aigc_jax/tokens"


def test_storage_that_answers_later_is_not_taken_for_empty(tmp_path, monkeypatch):
    assert not storage.is_there(tmp_path / "missing")
    with contextlib.suppress(NotADirectoryError):
        (tmp_path / "file").touch()
        assert not storage.is_there(tmp_path / "file" / "x")
    monkeypatch.setattr(pathlib.Path, "stat", failing("ESTALE"))
    with pytest.raises(InputError, match="cannot be read"):
        storage.is_there(tmp_path)
