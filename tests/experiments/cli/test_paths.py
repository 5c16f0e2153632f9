"""Paths on the command line: ~ is expanded, URLs are refused, outputs write through links."""

import os
import socket
import stat
import threading

import pytest

from aigc_jax.errors import InputError
from experiments.cli import output
from experiments.cli.options import from_flags
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import local
from experiments.families.classifier import experiment as classifier
from experiments.families.gan import experiment as gan
from experiments.families.lm import experiment as lm
from experiments.families.translate import experiment as translate
from experiments.families.vae import experiment as vae
from experiments.runs.comparison import find

PATHS = {
    gan: ["workdir", "data_dir", "images", "classifier"],
    vae: ["workdir", "images", "start_from"],
    classifier: ["workdir", "images"],
    lm: ["workdir", "text"],
    translate: ["pairs", "source_file", "target_file", "heldout_source", "heldout_target"],
}
URLS = ["gs://a/b", "s3://a", "file:///a", "http://a/b", "GS://a", "abfs+x://a"]


@pytest.mark.parametrize(
    ("launcher", "flag"), [(m, f) for m, names in PATHS.items() for f in names]
)
def test_every_path_of_an_experiment_is_of_this_machine(launcher, flag, monkeypatch):
    monkeypatch.setenv("HOME", "/home/one")
    presets = launcher.EXPERIMENT.presets
    assert getattr(from_flags(presets, {flag: "~/x"}), flag) == "/home/one/x"
    with pytest.raises(InputError, match=f"--{flag}: s3://a/b is a URL"):
        from_flags(presets, {flag: "s3://a/b"})


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_refused_by_name(url):
    with pytest.raises(InputError, match=r"--out: .* is a URL"):
        check_out(url)
    with pytest.raises(InputError, match=r"--runs: .* is a URL"):
        find([url])


@pytest.mark.parametrize("name", ["/gs/a", "gs:/a", "./~x", "a~", "-", "-x", "[x]", " "])
def test_what_is_of_this_machine_stays_as_it_is(name):
    assert local(name, "--text") == name


@pytest.mark.parametrize("name", ["", "~nobody-of-that-name/x", "a\0b"])
def test_what_is_no_path_is_refused(name):
    with pytest.raises(InputError, match="--text: "):
        local(name, "--text")


def test_a_name_below_a_folder_that_is_gone_is_refused(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for call in (local, check_out):
        with pytest.raises(InputError, match="--out: a is below the current folder, which no"):
            call("a", "--out")
    assert local(str(tmp_path), "--out") == str(tmp_path)


def test_an_empty_home_does_not_make_it_the_root(monkeypatch):
    monkeypatch.setenv("HOME", "")
    with pytest.raises(InputError, match="home folder"):
        local("~/x", "--workdir")


def test_runs_whose_names_look_like_patterns_are_found(tmp_path):
    for name in ("[x]", "x", "y*"):
        (tmp_path / name).mkdir()
        config = '{"experiment": "a", "options": {}, "metadata": {}, "data": {}}'
        (tmp_path / name / "config.json").write_text(config)
    assert find([f"{tmp_path}/[x]"]) == [f"{tmp_path}/[x]"]
    assert find([f"{tmp_path}/y*"]) == [f"{tmp_path}/y*"]
    (tmp_path / "notes.txt").touch()
    assert len(find([f"{tmp_path}/*"])) == 3
    (tmp_path / "x").rename(tmp_path / "[x]" / "y")
    assert find([f"{tmp_path}/[x]/*"]) == [f"{tmp_path}/[x]/y"]


def put(path, content="new"):
    write_out(check_out(str(path)), content)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through(tmp_path, there):
    target, link = tmp_path / "target", tmp_path / "link"
    if there:
        target.write_text("old")
    link.symlink_to("target")
    put(link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert {p.name for p in tmp_path.iterdir()} == {"target", "link"}


def test_a_pipe_is_written_to_and_stays_one(tmp_path, monkeypatch):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    content = b"x" * 2**18  # more than a pipe holds
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    put(pipe, content)
    reader.join(20)
    monkeypatch.setattr(output, "_PATIENCE", 0.05)
    with pytest.raises(InputError, match="nobody reads"):
        put(pipe)
    assert read == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
@pytest.mark.parametrize("linked", [True, False])
def test_a_device_is_written_to_and_stays_one(tmp_path, device, linked):
    before, path = os.stat(device), device
    if linked:
        path = tmp_path / "link"
        path.symlink_to(device)
    if device == "/dev/full":
        with pytest.raises(InputError, match="No space left"):
            put(path)
    else:
        put(path)
    assert os.stat(device).st_rdev == before.st_rdev
    assert stat.S_ISCHR(os.stat(device).st_mode)
    assert not linked or path.is_symlink()


def test_a_file_of_several_names_keeps_them(tmp_path):
    (tmp_path / "one").write_text("old")
    os.link(tmp_path / "one", tmp_path / "other")
    with pytest.raises(InputError, match="has hard links"):
        put(tmp_path / "other")
    assert os.path.samefile(tmp_path / "one", tmp_path / "other")


def test_what_a_run_is_known_by_is_no_output(tmp_path):
    (tmp_path / "config.json").write_text("old")
    put(tmp_path / "config.json")  # which is of no run, alone
    (tmp_path / "metrics.jsonl").touch()
    for own in ("config.json", "metrics.jsonl"):
        with pytest.raises(InputError, match="is a run's own file"):
            put(tmp_path / own)
    assert (tmp_path / "config.json").read_text() == "new"


@pytest.mark.parametrize("linked", [True, False])
def test_the_standard_output_goes_on_after_it(tmp_path, capfd, linked):
    path = "/dev/stdout"
    if linked:
        path = tmp_path / "link"
        path.symlink_to("/dev/stdout")
    print("before")
    put(path, "content\n")
    print("after")
    assert capfd.readouterr().out == "before\ncontent\nafter\n"


def test_where_no_file_can_be_is_refused_before_any_work(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("no/folder")
    (tmp_path / "to folder").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tmp_path / "socket"))
        for name in ("loop", "nowhere", "to folder", "socket", "file/x", "n" * 300):
            with pytest.raises(InputError, match="--out: "):
                check_out(str(tmp_path / name))


@pytest.mark.parametrize("name", ["[x]\n", os.fsdecode(b"bad\xff")], ids=ascii)
def test_a_run_in_a_folder_of_any_name_goes_on_where_it_stopped(toy, tmp_path, name):
    for steps in (30, 60):
        folder = toy.Toy().train(tmp_path / name, steps=steps)
    assert [m["step"] for m in folder.heldout()] == [10, 20, 30, 40, 50, 60]
    assert list(toy.stored(folder.checkpoints)) == [30, 60]
    assert folder.read_config()["options"]["workdir"] == str(tmp_path / name)
    assert "held-out" in folder.page.read_text("utf-8").lower()
