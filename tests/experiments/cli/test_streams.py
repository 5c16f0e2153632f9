"""Standard streams that are full, closed, left by their reader, or of another encoding."""

import os
import re
import subprocess
import sys

import pytest

NO_SPACE = "error: standard output cannot be written (No space left on device)"
# A command in small: `launch.report_errors` does the same around real ones.
PROGRAM = """
import os, sys
from experiments.cli import streams
streams.guard()
print("log", file=sys.stderr, flush=True)
code = 0
try:
    for i in range(int(sys.argv[1])):
        print("result \\u2713")
except streams.OutputLost as lost:
    code = streams.give_up(lost)
first = os.open(os.devnull, os.O_RDONLY)
open(sys.argv[2], "w").write(str(first))
sys.exit(streams.finish(code))
"""


def run(environment, tmp_path, redirections, lines=1, **variables):
    """The exit code, standard error, and the first number that a file opened there was given."""
    note = tmp_path / "note"
    command = f'exec "$0" -c "$1" {lines} "$2" {redirections}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, PROGRAM, str(note)],
        env={**environment, **variables},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    return done, int(note.read_text())


@pytest.mark.parametrize("lines", [1, 10000], ids=["held back", "more than is held back"])
@pytest.mark.parametrize(
    ("redirections", "code", "said"),
    [
        ("", 0, "log\n"),
        (
            ">/dev/full",
            2,
            "log\nerror: standard output cannot be written (No space left on device)",
        ),
        ("> >(exit)", 141, "log\n"),
        ("2>/dev/full", 0, ""),
        (">/dev/full 2>/dev/full", 2, ""),
        (">&-", 0, "log\n"),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
    ],
)
def test_each_way_to_lose_a_stream_has_its_exit_code(
    environment, tmp_path, redirections, code, said, lines
):
    if code == 141 and lines == 1:
        pytest.skip("the reader may live as long as one line takes")
    done, first = run(environment, tmp_path, redirections, lines)
    assert done.returncode == code
    assert done.stderr.decode().strip() == said.strip()
    assert first > 2  # the number of no file of ours is that of a standard stream


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_characters_that_an_encoding_lacks_are_escaped(environment, tmp_path, variables):
    done, _ = run(environment, tmp_path, "", **variables)
    assert (done.returncode, done.stdout) == (0, b"result \\u2713\n")


@pytest.mark.parametrize("kept", ["full", "closed"])
def test_a_log_that_cannot_be_written_never_ends_a_training(toy, tmp_path, monkeypatch, kept):
    toy.Toy().train(tmp_path / "seen")
    stream = open(os.devnull if kept == "closed" else "/dev/full", "w", buffering=1)  # noqa: SIM115
    if kept == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    toy.Toy().train(tmp_path / "unseen")
    assert toy.metrics(tmp_path / "unseen") == toy.metrics(tmp_path / "seen")
    assert toy.stored(tmp_path / "unseen" / "checkpoints") == toy.stored(
        tmp_path / "seen" / "checkpoints"
    )
    if kept == "full":
        with pytest.raises(OSError, match="No space"):
            stream.close()


def test_commands_guard_their_streams(environment, tmp_path):
    """One real command, from its flags to its end."""
    command = [sys.executable, "-m", "experiments.table", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert re.fullmatch(r"error: standard output cannot be written \(.*\)\n", done.stderr)
