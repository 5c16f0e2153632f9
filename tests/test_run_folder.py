import json
import os
import stat
import subprocess
import sys

import pytest

from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder, write_atomically

CONFIG = {
    "experiment": "gan",
    "options": {"seed": 0, "dataset": "Größe 😀"},
    "metadata": {"image_shape": [28, 28, 1]},
    "data": {"sha256": "ab"},
    "metrics": [1.5, None],
}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "a" / "run")
    made.create()
    return made


def names(path):
    return sorted(p.name for p in path.rglob("*"))


@pytest.mark.parametrize("content", ["new ä\r\n", b"\x00\xff", ""])
def test_a_write_replaces_the_whole_content(tmp_path, content):
    path = tmp_path / "file"
    path.write_text("old and longer than the new")
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(tmp_path) == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_content_and_nothing_else(
    tmp_path, monkeypatch, call, error
):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_the_content_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append(os.fstat(handle).st_size))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    write_atomically(tmp_path / "file", "12345")
    assert calls[:2] == [5, "replace"]


def test_config_is_read_as_it_was_written(folder):
    assert folder.read_config() is None
    folder.write_config(CONFIG)
    assert RunFolder(str(folder.path)).read_config() == CONFIG
    folder.write_config({**CONFIG, "more": 1})
    assert folder.read_config() == {**CONFIG, "more": 1}


def test_what_had_another_name_before_has_todays(folder):
    texts = {"fcd": "a distance"}
    now = {**CONFIG, "metrics": texts}
    renamed = {"metadata": "model", "metrics": "figures"}
    folder.write_config({renamed.get(name, name): value for name, value in now.items()})
    assert folder.read_config() == now


@pytest.mark.parametrize(
    "content",
    [b"", b'{"experiment": "gan", "opt', b"[]", b"{}", b'{"experiment": 1}', b"\xff"]
    + [b"[" * 10**6, b'{"a":' * 10**5, json.dumps({**CONFIG, "experiment": 1}).encode()]
    + [json.dumps({**CONFIG, name: []}).encode() for name in ("options", "metadata", "data")],
)
def test_a_config_that_is_not_a_runs_is_named(folder, content):
    path = folder.path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        folder.read_config()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_holds_no_infinity_and_any_name(folder):
    folder.write_config({**CONFIG, "goal": float("inf"), "data": {"name": "caf\udce9"}})
    text = (folder.path / "config.json").read_text("utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["goal"] is None
    assert folder.read_config()["data"] == {"name": "caf\udce9"}


def test_a_folder_can_be_made_again(folder):
    folder.write_config(CONFIG)
    folder.append_metrics(1, "train", {}, 0.0)
    folder.page.touch()
    folder.create()
    assert folder.read_config() == CONFIG


@pytest.mark.parametrize("present", [[], [".hidden"], ["samples", "checkpoints", "best"]])
def test_a_folder_without_foreign_files_becomes_a_run(tmp_path, present):
    for name in present:
        (tmp_path / name).mkdir()
    RunFolder(tmp_path).create()
    assert (tmp_path / "samples").is_dir()


def test_a_folder_of_other_files_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="'photos'") as caught:
        RunFolder(tmp_path).create()
    assert str(tmp_path) in str(caught.value)
    assert names(tmp_path) == ["photos", "thesis.tex"]


@pytest.mark.parametrize("place", ["{}/file", "{}/file/run", "/proc/run"])
def test_a_place_that_cannot_be_written_to_is_named(tmp_path, place):
    # The permissions of a folder would not stop root.
    (tmp_path / "file").write_text("a file")
    path = place.format(tmp_path)
    with pytest.raises(InputError, match="is not writable") as caught:
        RunFolder(path).create()
    assert path in str(caught.value)
    assert (tmp_path / "file").read_text() == "a file"


HOLD = """
import sys
from aigc_jax.run_folder import RunFolder
with RunFolder(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process(folder):
    """A process that holds the folder's lock until it is killed."""
    root = os.path.dirname(os.path.dirname(__file__))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_excludes_a_second_process_until_the_first_is_killed(folder, other_process):
    with pytest.raises(InputError, match="in use by another process") as caught, folder.locked():
        pass
    assert str(folder.path) in str(caught.value)
    other_process.kill()
    other_process.wait()
    with folder.locked():
        pass


def test_a_lock_is_let_go_of_at_the_end_however_it_comes(folder):
    with pytest.raises(RuntimeError, match="training failed"), folder.locked():
        raise RuntimeError("training failed")
    with folder.locked(), pytest.raises(InputError), RunFolder(folder.path).locked():
        pass


def test_metrics_are_read_in_the_order_they_were_added(folder):
    assert folder.read_metrics() == []
    folder.append_metrics(0, "unigram counts", {"nll_nats": 3.0}, 0.0)
    folder.append_metrics(10, "train", {"loss_d": 1.25, "loss_g": 0.5}, 1.23456)
    assert folder.read_metrics() == [
        {"step": 0, "split": "unigram counts", "nll_nats": 3.0, "wall_s": 0.0},
        {"step": 10, "split": "train", "loss_d": 1.25, "loss_g": 0.5, "wall_s": 1.235},
    ]


def test_evaluations_are_picked_out_in_order(folder):
    for step, split in [(0, "one"), (10, "train"), (10, "heldout"), (20, "train"), (20, "heldout")]:
        folder.append_metrics(step, split, {"a": 1.0 + step}, 0.0)
    with open(folder.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 7}\n')
    assert [(m["step"], m["a"]) for m in folder.heldout()] == [(10, 11.0), (20, 21.0)]


def test_a_metric_that_is_not_finite_becomes_null(folder):
    values = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 1.0}
    folder.append_metrics(1, "train", values, 0.0)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    line = (folder.path / "metrics.jsonl").read_text()
    record = json.loads(line, parse_constant=refuse)
    assert [record[name] for name in "abcd"] == [None, None, None, 1.0]


@pytest.mark.parametrize("kept", [0, 1, 10, -2])
def test_a_last_line_cut_short_is_left_out(folder, kept):
    folder.append_metrics(1, "train", {"loss": 1.0}, 1.0)
    folder.append_metrics(2, "train", {"loss": 2.0}, 2.0)
    path = folder.path / "metrics.jsonl"
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first + b"\n" + second[:kept])
    assert [record["step"] for record in folder.read_metrics()] == [1]


def test_lines_that_are_no_records_are_left_out(folder):
    lines = [b"3", b"[]", b'{"a": 1}', b"\xff", b"", b"[" * 10**5, b'{"step": "1"}']
    lines += [b'{"step": 1.5}', b'{"step": 7}', b'{"step": 8, "a": NaN, "b": 1e999}', b""]
    lines += [b'{"step": 9, "a": %s}' % a for a in (b'"b"', b"true", b"[1]", b"1" + b"0" * 400)]
    lines += [b'{"step": 9, "split": 1}', b'{"step": 9, "wall_s": "1"}', b""]
    (folder.path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    assert folder.read_metrics() == [{"step": 7}, {"step": 8, "a": None, "b": None}]
    folder.rewind_metrics(8)
    assert "NaN" not in (folder.path / "metrics.jsonl").read_text()


def test_rewinding_drops_what_came_later_and_returns_the_seconds(folder):
    for step, split, wall_s in [
        (0, "floor", 0.1),
        (10, "train", 1.0),
        (20, "train", 2.0),
        (20, "heldout", 2.5),
        (30, "train", 4.0),
    ]:
        folder.append_metrics(step, split, {}, wall_s)
    assert folder.rewind_metrics(20) == 2.5
    assert [m["step"] for m in folder.read_metrics()] == [0, 10, 20, 20]
    assert folder.rewind_metrics(19) == 1.0
    assert folder.rewind_metrics(-1) == 0.0
    assert folder.read_metrics() == []


def test_rewinding_nothing_is_no_time_and_no_file(folder):
    assert folder.rewind_metrics(10) == 0.0
    assert not (folder.path / "metrics.jsonl").exists()


def test_a_line_added_after_a_cut_one_and_a_rewind_is_whole(folder):
    path = folder.path / "metrics.jsonl"
    folder.append_metrics(1, "train", {}, 1.0)
    with open(path, "a") as file:
        file.write('{"step": 2, "spl')
    folder.rewind_metrics(1)
    folder.append_metrics(2, "train", {}, 2.0)
    assert [m["step"] for m in folder.read_metrics()] == [1, 2]


def test_a_page_is_stale_until_it_is_newer_than_the_metrics(folder):
    assert folder.page_is_stale()
    folder.append_metrics(1, "train", {}, 0.0)
    assert folder.page_is_stale()
    folder.page.touch()
    os.utime(folder.path / "metrics.jsonl", ns=(10, 10))
    os.utime(folder.page, ns=(10, 10))
    assert not folder.page_is_stale()
    os.utime(folder.path / "metrics.jsonl", ns=(11, 11))
    assert folder.page_is_stale()


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    for folder in (run.path, run.samples):
        (folder / ".a1b2.tmp").write_bytes(b"half")
    with run.locked():
        assert not list(run.path.rglob("*.tmp"))
