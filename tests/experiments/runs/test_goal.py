"""Training ends where the score is good enough, and only there."""

import signal

import pytest

from experiments.cli.signals import Interrupted


def test_training_stops_at_the_first_evaluation_that_reaches_the_goal(toy, tmp_path, capfd):
    run = tmp_path / "run"
    toy.Toy().train(run, goal=21.5)  # 20 at 50, though step 80 has it too
    assert max(record["step"] for record in toy.metrics(run)) == 50
    assert list(toy.stored(run / "checkpoints")) == [30, 50]
    assert list(toy.stored(run / "best")) == [50]
    assert "score 20 <= 21.5 at step 50: stopped" in capfd.readouterr().err
    assert (run / "index.html").exists()


def test_a_score_equal_to_the_goal_reaches_it(toy, tmp_path):
    toy.Toy({10: 2.5, 20: 2.0}).train(tmp_path / "run", goal=2.0, steps=100)
    assert max(toy.stored(tmp_path / "run/checkpoints")) == 20


def test_the_state_that_reaches_the_goal_gets_the_final_metrics_as_the_last_does(toy, tmp_path):
    last = toy.Toy(final={"rare": 1.0})
    last.train(tmp_path / "goal", goal=21.5)
    last.train(tmp_path / "end", steps=50)
    for name in ("goal", "end"):
        assert [r["step"] for r in toy.metrics(tmp_path / name) if "rare" in r] == [50]


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_score_that_is_not_finite_reaches_nothing(toy, tmp_path, value):
    toy.Toy(lambda step: value).train(tmp_path / "run", goal=2.0, steps=20)
    assert max(toy.stored(tmp_path / "run/checkpoints")) == 20


def test_a_goal_that_is_never_reached_changes_nothing(toy, tmp_path, capfd):
    toy.Toy().train(tmp_path / "with", goal=1.0)
    assert "stopped" not in capfd.readouterr().err
    toy.Toy().train(tmp_path / "without")
    assert toy.metrics(tmp_path / "with") == toy.metrics(tmp_path / "without")
    assert toy.stored(tmp_path / "with/best") == toy.stored(tmp_path / "without/best")


def test_the_same_command_finds_the_goal_reached_and_leaves_all_as_it_is(toy, tmp_path, capfd):
    run = tmp_path / "run"
    toy.Toy().train(run, goal=21.5)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    capfd.readouterr()

    def train_no_more(step):
        raise AssertionError

    toy.Toy(toy.wiggling, train_no_more).train(run, goal=21.5)
    assert "has reached its goal, score 20 <= 21.5 at step 50" in capfd.readouterr().err
    changed = {p.name for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed <= {"config.json", ".lock"}


def test_a_goal_reached_long_ago_is_named_with_its_step(toy, tmp_path, capfd):
    toy.Toy().train(tmp_path / "run", steps=60)
    toy.Toy().train(tmp_path / "run", goal=45.0)
    assert "score 41.33 <= 45.0 at step 30" in capfd.readouterr().err
    assert max(toy.stored(tmp_path / "run/checkpoints")) == 60


@pytest.mark.parametrize("goal", [None, 9.5])
def test_a_lower_goal_or_none_goes_on_as_if_never_stopped(toy, tmp_path, goal):
    run, whole = tmp_path / "run", tmp_path / "whole"
    toy.Toy().train(run, goal=21.5)
    toy.Toy().train(run, goal=goal)
    toy.Toy().train(whole, goal=goal)
    assert max(toy.stored(run / "checkpoints")) == (120 if goal is None else 110)
    assert toy.metrics(run) == toy.metrics(whole)
    assert toy.stored(run / "best") == toy.stored(whole / "best")
    last = max(toy.stored(whole / "checkpoints"))
    assert toy.stored(run / "checkpoints")[last] == toy.stored(whole / "checkpoints")[last]


def test_a_goal_reached_in_a_process_that_was_killed_is_reached_again(toy, tmp_path, capfd):
    class Killed(BaseException):
        pass

    run = tmp_path / "run"
    toy.Toy().train(run, goal=21.5)

    def kill(step):
        if step == 80:
            raise Killed

    with pytest.raises(Killed):
        toy.Toy(toy.wiggling, kill).train(run)  # the goal taken back, and past it
    toy.Toy().train(run, goal=21.5)
    assert max(toy.stored(run / "checkpoints")) == 60
    assert "finished" in capfd.readouterr().err


def test_reaching_the_goal_prevails_over_a_signal(toy, tmp_path, capfd):
    def interrupt(step):
        if step == at:
            signal.raise_signal(signal.SIGTERM)

    at = 50
    toy.Toy(toy.wiggling, interrupt).train(tmp_path / "run", goal=21.5)
    assert "stopped" in capfd.readouterr().err
    at = 30  # seen at the next boundary, 40
    with pytest.raises(Interrupted):
        toy.Toy(toy.wiggling, interrupt).train(tmp_path / "other", goal=21.5)


def test_a_goal_without_a_score_is_a_mistake_of_the_experiment(toy, tmp_path):
    with pytest.raises(ValueError, match="a goal needs a score"):
        toy.Toy(score=None).train(tmp_path / "run", goal=1.0)
