import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading

import pytest
from rich.console import Console

from aigc_jax import progress
from aigc_jax.progress import ProgressReport, metrics_line


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)


def test_metrics_have_four_significant_digits():
    assert (
        metrics_line({"loss_d": 1.23456, "kl_nats": 12345.6}) == "loss_d 1.235  kl_nats 1.235e+04"
    )
    assert metrics_line({}) == ""


def test_lines_go_to_the_console_that_is_given(clock):
    plain = console(terminal=False)
    with ProgressReport("gan", 0, 1000, plain) as report:
        report.note("starting")
        report.advance(100)
        report.metrics(100, "train", {"loss_d": 1.23456})
    assert plain.file.getvalue() == "starting\ngan 100/1000  train: loss_d 1.235\n"


def test_lines_go_to_standard_error_where_no_console_is_given(clock, capsys):
    with ProgressReport("gan", 0, 1000) as report:
        report.note("starting [bold]runs/a[/bold]")
        report.metrics(100, "train", {"loss_d": 1.23456})
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "starting [bold]runs/a[/bold]\ngan 100/1000  train: loss_d 1.235\n"


@pytest.mark.parametrize(
    ("step", "steps", "eta"),
    [(300, 1000, "0:00:35"), (300, 10300, "0:08:20"), (300, 90300, "1:15:00")],
)
def test_a_line_has_step_metrics_speed_and_eta(clock, capsys, step, steps, eta):
    with ProgressReport("vae", 0, steps) as report:
        report.advance(100)
        clock.now += 10
        report.advance(step)
        report.metrics(step, "held-out", {"nll": 2.5, "kl": 1.0})
    assert capsys.readouterr().err == (
        f"vae {step}/{steps}  held-out: nll 2.5  kl 1  20 steps/s  ETA {eta}\n"
    )


def test_the_first_dispatch_which_compiles_does_not_count_for_the_speed(clock, capsys):
    with ProgressReport("vae", 500, 1000) as report:
        clock.now += 60
        report.advance(600)
        report.metrics(600, "train", {})
        clock.now += 4
        report.advance(800)
        report.metrics(800, "train", {})
    first, second = capsys.readouterr().err.splitlines()
    assert "steps/s" not in first
    assert "50 steps/s  ETA 0:00:04" in second


def test_a_terminal_gets_a_bar_with_step_metrics_and_speed(clock):
    terminal = console(terminal=True)
    with ProgressReport("gan", 0, 1000, terminal) as report:
        report.note("starting [bold]runs/a[/bold]")
        report.advance(100)
        clock.now += 10
        report.advance(300)
        report.metrics(300, "train", {"loss_d": 1.23456})
    shown = terminal.file.getvalue()
    assert "starting [bold]runs/a[/bold]" in shown
    last = [line for line in re.split(r"[\r\n]", shown) if "300/1000" in line][-1]
    for part in ("gan", "300/1000", "20 steps/s", "ETA", "train: loss_d 1.235"):
        assert part in last


def test_a_terminal_has_no_bar_left_running_after_an_error(clock):
    terminal = console(terminal=True)
    with (
        pytest.raises(RuntimeError, match="boom"),
        ProgressReport("gan", 0, 10, terminal) as report,
    ):
        raise RuntimeError("boom")
    assert report._bar.live.is_started is False


SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")
HELDOUT = {"fcd": 12.34, "precision": 0.5, "recall": 0.25, "coverage": 0.9, "class_kl_nats": 0.02}
TRAIN = {"loss_d": 1.23456, "loss_g": 0.5, "penalty": 12.5, "grad_norm": 1e-4, "accuracy": 0.5}


def screen(written, columns):
    """The lines that a terminal of that width shows after what was written to it."""
    lines, row, column, at = [[]], 0, 0, 0
    while at < len(written):
        if sequence := SEQUENCE.match(written, at):
            argument, command = sequence.groups()
            if command == "A":
                row = max(row - int(argument or 1), 0)
            elif command == "K":
                lines[row] = []
            else:
                assert command == "m" or argument.startswith("?"), sequence[0]
            at = sequence.end()
            continue
        letter, at = written[at], at + 1
        if letter == "\r":
            column = 0
            continue
        if letter == "\n" or column == columns:
            row, column = row + 1, 0
        lines += [[] for _ in range(row + 1 - len(lines))]
        if letter != "\n":
            lines[row] += " " * (column + 1 - len(lines[row]))
            lines[row][column], column = letter, column + 1
    return ["".join(line).rstrip() for line in lines]


@contextlib.contextmanager
def terminal_of(columns, monkeypatch):
    """Standard error as a terminal of that many columns; yields what is written to it, at last."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    read = []

    def drain():
        with contextlib.suppress(OSError):  # which is how a terminal ends
            while some := os.read(master, 4096):
                read.append(some)

    reader = threading.Thread(target=drain)
    reader.start()
    written = []
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", os.fdopen(slave, "w"))
        yield written
        sys.stderr.close()
    reader.join()
    os.close(master)
    written.append(b"".join(read).decode())


def report_of_a_run(clock, title="gan"):
    with ProgressReport(title, 0, 20000) as report:
        report.note("starting runs/:dog:-[bold]")
        report.advance(100)
        clock.now += 10
        report.advance(300)
        report.metrics(300, "train", TRAIN)
        report.metrics(300, "held-out", HELDOUT)
        report.advance(500)


@pytest.mark.parametrize("columns", [0, 300, 80, 40, 20, 10])
@pytest.mark.parametrize("given", ["0", "300"])
def test_count_and_eta_are_shown_and_metrics_are_whole_however_narrow(
    clock, monkeypatch, columns, given
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", given)
    with terminal_of(columns, monkeypatch) as written:
        report_of_a_run(clock)
    columns = columns or int(given) or 80
    lines = screen(written[0], columns)
    last = next(i for i, line in enumerate(lines) if "500/20000" in line)
    assert any("ETA" in line for line in lines[last : last + 2])
    assert "0:08:08" in " ".join(lines[last:])
    # What a line of the terminal has cut in two is read as one.
    above, below = (re.sub(r"\s", "", "".join(part)) for part in (lines[:last], lines[last:]))
    assert above.startswith("startingruns/:dog:-[bold]gan300/20000held-out:fcd12.34precision0.5")
    assert above.endswith("recall0.25coverage0.9class_kl_nats0.02")
    assert "train:loss_d1.235loss_g0.5penalty12.5grad_norm0.0001accuracy0.5" in below
    if columns >= 80:
        assert "gan" in lines[last]
        assert "40 steps/s" in lines[last]
        assert "\u2501" in lines[last]


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"TERM": "dumb", "FORCE_COLOR": "1"}])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(clock, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with terminal_of(80, monkeypatch) as written:
        report_of_a_run(clock)
    assert "\x1b" not in written[0]
    assert "held-out: fcd 12.34" in written[0]


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "CI"])
def test_a_file_gets_plain_lines_whatever_variables_say(clock, monkeypatch, capsys, name):
    monkeypatch.setenv(name, "1")
    report_of_a_run(clock)
    written = capsys.readouterr().err
    assert "\x1b" not in written
    assert written.splitlines()[1].startswith("gan 300/20000  train: loss_d 1.235")


def test_a_terminal_without_colour_has_its_bar(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal_of(80, monkeypatch) as written:
        report_of_a_run(clock)
    assert "ETA 0:08:08" in screen(written[0], 80)[-3]
    assert not re.search(r"\x1b\[3\d", written[0])


@pytest.mark.parametrize("stream", ["full", "closed", "none", "hung up", "latin-1"])
def test_what_cannot_be_written_is_forgotten(clock, monkeypatch, tmp_path, stream):
    monkeypatch.setenv("TERM", "xterm")
    file = None
    if stream == "full":
        file = open("/dev/full", "w", buffering=1)  # noqa: SIM115
    elif stream == "hung up":
        master, slave = pty.openpty()
        file = os.fdopen(slave, "w")
    elif stream != "none":
        file = open(tmp_path / "log", "w", encoding="latin-1")  # noqa: SIM115
    if stream == "closed":
        file.close()
    monkeypatch.setattr(sys, "stderr", file)
    with ProgressReport("gan", 0, 10) as report:
        if stream == "hung up":
            os.close(master)
        report.note("\u2713")
        report.metrics(5, "held-out", {"fcd": 1.0})
    if stream == "latin-1":
        file.close()
        assert (tmp_path / "log").read_text() == "\\u2713\ngan 5/10  held-out: fcd 1\n"
    elif file is not None:
        with contextlib.suppress(OSError):
            file.close()
