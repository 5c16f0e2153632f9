"""The host loop: boundaries, late reading, divergence, and what is handed to hooks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import loop
from aigc_jax.errors import Diverged, InputError


class State(NamedTuple):
    step: jax.Array
    total: jax.Array


class Info(NamedTuple):
    total: jax.Array


def add(state, batch):
    """total ← total + Σ batch: after n steps it tells exactly which examples were read."""
    state = State(state.step + 1, state.total + jnp.sum(batch))
    return state, Info(state.total)


def order(step):
    return np.array([step, step + 1], np.int32)


DATA = jnp.arange(100.0)


class Recorder:
    def __init__(self, stop_after=None, goal=None):
        self.events, self.stop_after, self.goal, self.done = [], stop_after, goal, 0

    def hooks(self):
        return loop.Hooks(
            log=lambda step, values: self.events.append(("log", step, values["total"])),
            evaluate=self.evaluate,
            save=lambda step, state: self.events.append(("save", step, float(state.total))),
            advance=self.advance,
            interrupted=lambda: self.stop_after is not None and self.done >= self.stop_after,
        )

    def evaluate(self, step, state):
        self.events.append(("evaluate", step, float(state.total)))
        return step == self.goal

    def advance(self, step):
        self.done = step

    def at(self, kind):
        return [step for event, step, _ in self.events if event == kind]


def run(cadence, start=0, total=0.0, step=add, stop_after=None, goal=None):
    recorder = Recorder(stop_after, goal)
    dispatch = loop.make_dispatch(step, lambda data, indices: data[indices])
    state = State(jnp.int32(start), jnp.float32(total))
    done, state = loop.train(dispatch, state, DATA, order, start, cadence, recorder.hooks())
    return recorder, done, state


def total_after(steps):
    return float(sum(2 * s + 1 for s in range(steps)))


@pytest.mark.parametrize("per_dispatch", [1, 3, 4, 50])
def test_every_step_is_done_once_on_its_own_examples(per_dispatch):
    recorder, done, state = run(loop.Cadence(17, per_dispatch, 4, 5, 6))
    assert (done, int(state.step), float(state.total)) == (17, 17, total_after(17))
    assert recorder.at("log") == [4, 8, 12, 16, 17]
    assert recorder.at("evaluate") == [5, 10, 15, 17]
    assert recorder.at("save") == [6, 12, 17]
    for kind, step, total in recorder.events:
        if kind != "log":
            assert total == total_after(step)


def test_batches_that_the_devices_divide_are_split_over_them():
    shardings = []
    compiled = loop.make_dispatch(add, lambda data, indices: data[indices])

    def dispatch(state, data, indices):
        shardings.append(indices.sharding.shard_shape(indices.shape))
        return compiled(state, data, indices)

    def four(step):
        return np.arange(4, dtype=np.int32) + step

    state, cadence = State(jnp.int32(0), jnp.float32(0)), loop.Cadence(6, 3, 6, 6, 6)
    _, state = loop.train(dispatch, state, DATA, four, 0, cadence, Recorder().hooks())
    assert shardings == [(3, 1), (3, 1)]  # of four devices
    assert float(state.total) == sum(4 * s + 6 for s in range(6))


def fetched(indices):
    """As `data[indices]` on the device, with each example's number beside it."""
    return {"values": np.asarray(DATA)[indices], "numbers": indices}


@pytest.mark.parametrize("batch", [2, 4])  # split over the four devices, and not
def test_examples_fetched_by_the_host_give_the_same_bits(batch, assert_identical):
    def noisy(state, batch):
        state = State(state.step + 1, jnp.sin(3 * state.total) + jnp.sum(jnp.cos(batch)))
        return state, Info(state.total)

    def wide(step):
        return np.random.default_rng(step).integers(100, size=batch)

    finals = []
    for gather, data, more in (
        (lambda data, indices: data[indices], DATA, {}),
        (lambda data, examples: examples["values"], (), {"fetch": fetched}),
    ):
        recorder, state = Recorder(), State(jnp.int32(0), jnp.float32(0))
        dispatch, cadence = loop.make_dispatch(noisy, gather), loop.Cadence(17, 3, 4, 5, 6)
        _, state = loop.train(dispatch, state, data, wide, 0, cadence, recorder.hooks(), **more)
        finals.append((state, np.array([value for _, _, value in recorder.events])))
    assert_identical(*finals)


def test_what_the_host_fetched_is_split_over_the_devices():
    shardings = []
    compiled = loop.make_dispatch(add, lambda data, examples: examples["values"])

    def dispatch(state, data, examples):
        shardings.append({k: x.sharding.shard_shape(x.shape) for k, x in examples.items()})
        return compiled(state, data, examples)

    def fetch(indices):
        return {"values": np.ones((*indices.shape, 5)), "numbers": indices}

    state, cadence = State(jnp.int32(0), jnp.float32(0)), loop.Cadence(3, 3, 6, 6, 6)
    hooks = Recorder().hooks()
    _, state = loop.train(dispatch, state, (), lambda step: np.arange(4), 0, cadence, hooks, fetch)
    assert shardings == [{"values": (3, 1, 5), "numbers": (3, 1)}]
    assert float(state.total) == 3 * 4 * 5


def test_the_host_fetches_while_the_device_works():
    """The examples of dispatch n + 1 are fetched before anything of dispatch n is waited for."""
    log = []
    compiled = loop.make_dispatch(add, lambda data, examples: examples["values"])

    def dispatch(state, data, examples):
        log.append("dispatch")
        return compiled(state, data, examples)

    def fetch(indices):
        log.append("fetch")
        return fetched(indices)

    hooks = Recorder().hooks()._replace(advance=lambda step: log.append("read"))
    state, cadence = State(jnp.int32(0), jnp.float32(0)), loop.Cadence(6, 2, 100, 100, 100)
    loop.train(dispatch, state, (), order, 0, cadence, hooks, fetch)
    one = ["fetch", "dispatch", "read"]
    assert log == [*one[:2], *one, *one, "read"]


def test_what_is_due_at_one_step_is_logged_then_evaluated_then_saved():
    recorder, _, _ = run(loop.Cadence(4, 2, 4, 4, 4))
    assert [kind for kind, step, _ in recorder.events if step == 4] == ["log", "evaluate", "save"]


@pytest.mark.parametrize("start", [5, 6, 10, 12])
def test_boundaries_from_a_boundary_on_are_those_of_the_whole_run(start):
    cadence = loop.Cadence(40, 4, 3, 5, 6)

    def boundaries(step):
        found = []
        while step < cadence.steps:
            step = cadence.next_boundary(step)
            found.append(step)
        return found

    whole = boundaries(0)
    assert start in whole
    assert boundaries(start) == [s for s in whole if s > start]


def test_a_resumed_run_ends_where_the_whole_one_does():
    cadence = loop.Cadence(20, 3, 4, 5, 6)
    _, _, whole = run(cadence)
    _, _, resumed = run(cadence, start=12, total=total_after(12))
    assert float(resumed.total) == float(whole.total)


def test_logged_metrics_are_means_over_the_dispatch_that_ends_there():
    recorder, _, _ = run(loop.Cadence(4, 2, 2, 4, 4))
    means = [value for kind, _, value in recorder.events if kind == "log"]
    expected = [
        np.mean([total_after(1), total_after(2)]),
        np.mean([total_after(3), total_after(4)]),
    ]
    assert means == expected


class Several(NamedTuple):
    loss: jax.Array  # []
    by_seed: jax.Array  # [2]
    by_layer: jax.Array  # [2, 3]


def several(bad=lambda step, places: False):
    """Step s has the loss s, 10 s and 20 s by seed, and 100 (s + l) of seed 0 and layer l."""

    def step(state, batch):
        state, _ = add(state, batch)
        s = state.step.astype(jnp.float32)
        places = np.arange(6).reshape(2, 3)
        by_layer = 100 * (s + np.array([[0, 1, 2], [10, 11, 12]], np.float32))
        by_layer = jnp.where(bad(state.step, places), jnp.inf, by_layer)
        return state, Several(s, s * jnp.array([10.0, 20.0]), by_layer)

    return step


def logged(step, cadence):
    found = {}
    hooks = Recorder().hooks()._replace(log=lambda step, means: found.update({step: means}))
    state = State(jnp.int32(0), jnp.float32(0))
    dispatch = loop.make_dispatch(step, lambda data, indices: data[indices])
    loop.train(dispatch, state, DATA, order, 0, cadence, hooks)
    return found


def test_of_metrics_with_further_axes_only_the_steps_are_averaged():
    found = logged(several(), loop.Cadence(4, 2, 2, 4, 4))
    assert list(found) == [2, 4]
    assert [means["loss"] for means in found.values()] == [1.5, 3.5]
    assert all(isinstance(means["loss"], float) for means in found.values())
    assert found[2]["by_seed"].tolist() == [15, 30]
    assert found[4]["by_seed"].tolist() == [35, 70]
    assert found[4]["by_layer"].tolist() == [[350, 450, 550], [1350, 1450, 1550]]


@pytest.mark.parametrize(("at", "index"), [(6, [0, 0]), (7, [1, 2]), (8, [0, 2])])
def test_the_index_of_what_is_not_finite_is_named(at, index):
    flat = 3 * index[0] + index[1]

    def bad(step, places):  # that one first, and all of them a step later
        return ((step == at) & (places == flat)) | (step > at)

    message = rf"^by_layer\[{index[0]}, {index[1]}\] is inf at step {at}$"
    with pytest.raises(Diverged, match=message) as caught:
        logged(several(bad), loop.Cadence(20, 4, 4, 4, 4))
    assert caught.value.step == at


def test_an_interrupted_run_is_saved_at_the_boundary():
    recorder, done, state = run(loop.Cadence(100, 4, 100, 100, 100), stop_after=8)
    assert done < 100
    assert recorder.events[-1] == ("save", done, total_after(done))
    assert float(state.total) == total_after(done)


def test_a_run_that_reaches_its_goal_is_saved_once_and_ends():
    recorder, done, state = run(loop.Cadence(100, 4, 3, 6, 100), goal=12)
    assert (done, int(state.step)) == (12, 12)
    assert recorder.at("evaluate") == [6, 12]
    assert recorder.at("log") == [3, 6, 9, 12]
    assert recorder.events[-1] == ("save", 12, total_after(12))
    assert recorder.at("save") == [12]


def test_a_goal_at_a_step_that_saves_anyway_saves_once():
    recorder, done, _ = run(loop.Cadence(100, 4, 3, 6, 6), goal=12)
    assert (done, recorder.at("save")) == (12, [6, 12])


def poisoned(at, where):
    def step(state, batch):
        state, info = add(state, batch)
        bad = state.step == at
        if where == "info":
            return state, Info(jnp.where(bad, jnp.nan, info.total))
        return state._replace(total=jnp.where(bad, jnp.inf, state.total)), Info(jnp.float32(0))

    return step


def test_a_nan_in_the_metrics_stops_the_run_and_names_the_step():
    recorder = Recorder()
    dispatch = loop.make_dispatch(poisoned(9, "info"), lambda data, indices: data[indices])
    state = State(jnp.int32(0), jnp.float32(0))
    with pytest.raises(Diverged, match="total is nan at step 9") as caught:
        loop.train(dispatch, state, DATA, order, 0, loop.Cadence(20, 4, 4, 4, 4), recorder.hooks())
    assert caught.value.step == 9
    assert recorder.at("save") == [4, 8]


def test_parameters_that_are_not_finite_are_never_saved():
    recorder = Recorder()
    dispatch = loop.make_dispatch(poisoned(8, "state"), lambda data, indices: data[indices])
    state = State(jnp.int32(0), jnp.float32(0))
    with pytest.raises(Diverged, match="a parameter is not finite after step 8"):
        loop.train(dispatch, state, DATA, order, 0, loop.Cadence(20, 4, 4, 4, 4), recorder.hooks())
    assert recorder.at("save") == [4]


def test_metrics_are_read_one_dispatch_late():
    """When dispatch n is handed over, n − 2 has been read and n − 1 has not."""
    log = []
    compiled = loop.make_dispatch(add, lambda data, indices: data[indices])

    def dispatch(state, data, indices):
        log.append("dispatch")
        return compiled(state, data, indices)

    hooks = Recorder().hooks()._replace(advance=lambda step: log.append("read"))
    state = State(jnp.int32(0), jnp.float32(0))
    loop.train(dispatch, state, DATA, order, 0, loop.Cadence(8, 2, 100, 100, 100), hooks)
    assert log == ["dispatch", "dispatch", "read", "dispatch", "read", "dispatch", "read", "read"]


def test_the_state_is_donated():
    dispatch = loop.make_dispatch(add, lambda data, indices: data[indices])
    state = State(jnp.int32(0), jnp.float32(0))
    dispatch(state, DATA, jnp.zeros((2, 2), jnp.int32))
    assert state.total.is_deleted()


def test_equal_dispatches_are_traced_once():
    traces = []

    def step(state, batch):
        traces.append(None)
        return add(state, batch)

    run(loop.Cadence(20, 5, 20, 20, 20), step=step)
    assert len(traces) == 1


@pytest.mark.parametrize("field", range(5))
@pytest.mark.parametrize("value", [0, -3])
def test_a_cadence_below_one_is_refused(field, value):
    numbers = [5] * 5
    numbers[field] = value
    with pytest.raises(InputError, match=f"must be at least 1, got {value}"):
        loop.Cadence(*numbers)
