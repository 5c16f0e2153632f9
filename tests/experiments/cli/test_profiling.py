"""The profile of a run."""

from pathlib import Path

import jax
import pytest

from experiments.cli import profiling


@pytest.fixture
def traces(monkeypatch):
    """What was asked of the profiler, in order."""
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *_, **__: calls.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    return calls


@pytest.mark.parametrize(
    ("dispatches", "expected"),
    [
        (2, [1, 2]),
        (3, [1, 2, "start", 3, "stop"]),
        (5, [1, 2, "start", 3, 4, 5, "stop"]),
        (7, [1, 2, "start", 3, 4, 5, "stop", 6, 7]),
    ],
)
def test_three_dispatches_are_traced_and_a_trace_always_ends(
    traces, tmp_path, dispatches, expected
):
    notes = []

    def dispatch(state, data, examples):
        traces.append(state + 1)
        return state + 1, None

    state = 0
    with profiling.profiled(dispatch, tmp_path, notes.append) as traced:
        for _ in range(dispatches):
            state, _ = traced(state, (), ())
    assert traces == expected
    assert len(notes) == traces.count("stop")


def test_a_training_that_fails_ends_its_trace(traces, tmp_path):
    def dispatch(state, data, examples):
        return state, None

    def train():
        with profiling.profiled(dispatch, tmp_path, lambda _: None) as traced:
            for _ in range(3):
                traced(0, (), ())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert traces == ["start", "stop"]


def test_files_beside_a_run_that_cannot_be_written_are_noted_and_it_goes_on(toy, tmp_path, capsys):
    pytest.importorskip("tensorboardX")
    (tmp_path / "run").mkdir()
    toy.Toy().train(tmp_path / "run", steps=20)
    for name in ("tensorboard", "profile"):
        (tmp_path / "run" / name).write_text("a file")
    toy.Toy().train(
        tmp_path / "run", steps=120, steps_per_dispatch=2, tensorboard=True, profile=True
    )
    told = capsys.readouterr().err
    assert "tensorboard: no more TensorBoard files are written" in told
    assert "profile: no profile is written" in told
    assert toy.metrics(tmp_path / "run")[-1]["step"] == 120


def test_tensorboard_files_on_a_full_disk_end_once(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path, purge_step):
            self.calls = 0

        def add_scalar(self, *_):
            self.calls += 1

        def flush(self):
            raise OSError(28, "No space left on device")

    notes = []
    monkeypatch.setattr(profiling, "tensorboard_writer", lambda: Full)
    board = profiling.Board(tmp_path, 0, notes.append)
    writer = board._writer
    for step in range(3):
        board.add(step, "train", {"loss": 1.0})
    assert writer.calls == 1
    assert len(notes) == 1
    assert "No space left on device" in notes[0]


@pytest.mark.parametrize("name", ["s3:run", "gs:run", "[x]"])
def test_tensorboard_files_of_a_run_that_is_named_like_a_bucket_are_local(
    tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    notes = []
    profiling.Board(Path(name), 0, notes.append).add(1, "train", {"loss": 1.0})
    assert len(list((tmp_path / name).glob("events.*"))) == 1
    assert notes == []
