"""The profile of a run."""

import jax
import pytest

from experiments import tracing


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
    with tracing.profiled(dispatch, tmp_path, notes.append) as traced:
        for _ in range(dispatches):
            state, _ = traced(state, (), ())
    assert traces == expected
    assert len(notes) == traces.count("stop")


def test_a_training_that_fails_ends_its_trace(traces, tmp_path):
    def dispatch(state, data, examples):
        return state, None

    def train():
        with tracing.profiled(dispatch, tmp_path, lambda _: None) as traced:
            for _ in range(3):
                traced(0, (), ())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert traces == ["start", "stop"]
