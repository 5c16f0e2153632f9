import io
import re

import pytest
from rich.console import Console

from aigc_jax import progress
from aigc_jax.progress import ProgressReport, figures_line


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


def test_figures_have_four_significant_digits():
    assert (
        figures_line({"loss_d": 1.23456, "kl_nats": 12345.6}) == "loss_d 1.235  kl_nats 1.235e+04"
    )
    assert figures_line({}) == ""


def test_lines_go_to_the_console_that_is_given(clock):
    plain = console(terminal=False)
    with ProgressReport("gan", 0, 1000, plain) as report:
        report.note("starting")
        report.advance(100)
        report.figures(100, "train", {"loss_d": 1.23456})
    assert plain.file.getvalue() == "starting\ngan 100/1000  train: loss_d 1.235\n"


def test_lines_go_to_standard_error_where_no_console_is_given(clock, capsys):
    with ProgressReport("gan", 0, 1000) as report:
        report.note("starting [bold]runs/a[/bold]")
        report.figures(100, "train", {"loss_d": 1.23456})
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "starting [bold]runs/a[/bold]\ngan 100/1000  train: loss_d 1.235\n"


@pytest.mark.parametrize(
    ("step", "steps", "eta"),
    [(300, 1000, "0:00:35"), (300, 10300, "0:08:20"), (300, 90300, "1:15:00")],
)
def test_a_line_has_step_figures_speed_and_eta(clock, capsys, step, steps, eta):
    with ProgressReport("vae", 0, steps) as report:
        report.advance(100)
        clock.now += 10
        report.advance(step)
        report.figures(step, "held-out", {"nll": 2.5, "kl": 1.0})
    assert capsys.readouterr().err == (
        f"vae {step}/{steps}  held-out: nll 2.5  kl 1  20 steps/s  ETA {eta}\n"
    )


def test_the_first_dispatch_which_compiles_does_not_count_for_the_speed(clock, capsys):
    with ProgressReport("vae", 500, 1000) as report:
        clock.now += 60
        report.advance(600)
        report.figures(600, "train", {})
        clock.now += 4
        report.advance(800)
        report.figures(800, "train", {})
    first, second = capsys.readouterr().err.splitlines()
    assert "steps/s" not in first
    assert "50 steps/s  ETA 0:00:04" in second


def test_a_terminal_gets_a_bar_with_step_figures_and_speed(clock):
    terminal = console(terminal=True)
    with ProgressReport("gan", 0, 1000, terminal) as report:
        report.note("starting [bold]runs/a[/bold]")
        report.advance(100)
        clock.now += 10
        report.advance(300)
        report.figures(300, "train", {"loss_d": 1.23456})
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
