"""The best state of a run: which it is, and that no kill, damage or full disk makes it another."""

import random
import shutil

import pytest

from aigc_jax.checkpoint import Checkpoints
from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.families.vae import experiment as vae
from experiments.runs import training


class Killed(BaseException):
    """Stands for kill -9, where it strikes between two evaluations."""


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """The folder of a run that nothing interrupted; its best step is 110."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    toy.Toy().train(folder)
    return folder


def killed_at(step, toy, folder, score=None, **options):
    """Trains until the evaluation of a step begins."""

    def kill(at):
        if at == step:
            raise Killed

    with pytest.raises(Killed):
        toy.Toy(score or toy.wiggling, kill).train(folder, **options)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([3, 2, 1], 30),
        ([1, 2, 3], 10),
        ([2, 1, 1], 20),
        ([float("nan"), 5, 6], 20),
        ([4, float("nan"), float("-inf")], 10),
    ],
)
def test_the_state_with_the_lowest_score_is_kept(toy, tmp_path, scores, best):
    score = dict(zip((10, 20, 30), scores, strict=True))
    toy.Toy(score).train(tmp_path / "run", steps=30, checkpoint_every=10)
    everything = toy.stored(tmp_path / "run/checkpoints")
    assert toy.stored(tmp_path / "run/best") == {best: everything[best]}


def test_the_best_up_to_each_checkpoint_is_kept_in_case_the_newer_one_is_damaged(toy, tmp_path):
    score = {10: 5.0, 20: 9.0, 30: 8.0, 40: 7.0, 50: 3.0, 60: 6.0, 70: 1.0, 80: 2.0}
    cadence = {"steps": 120, "checkpoint_every": 30}
    killed_at(80, toy, tmp_path / "run", score, **cadence)
    assert list(toy.stored(tmp_path / "run/best")) == [10, 50, 70]
    toy.damage(tmp_path / "run/checkpoints/60")
    # It ends before it comes to 50 again.
    toy.Toy(score).train(tmp_path / "run", **{**cadence, "steps": 40})
    assert list(toy.stored(tmp_path / "run/best")) == [10]


def test_of_equals_the_first_is_the_best_while_training_goes_on(toy, tmp_path):
    killed_at(40, toy, tmp_path / "run", score=lambda step: 5.0, checkpoint_every=10)
    assert list(toy.stored(tmp_path / "run/best")) == [10]


def test_a_score_that_is_never_finite_keeps_nothing(toy, tmp_path):
    toy.Toy(lambda step: float("nan")).train(tmp_path / "run", steps=30)
    assert toy.stored(tmp_path / "run/best") == {}


def test_without_a_score_there_is_no_folder(toy, tmp_path):
    toy.Toy(score=None).train(tmp_path / "run", steps=30)
    assert not (tmp_path / "run/best").exists()


def test_kill_9_at_any_write_ends_in_the_same_best(toy, whole, train_and_kill, tmp_path):
    moments, kills = random.Random(0), 0
    while kills < 15 and not train_and_kill(tmp_path / "run", moments.randrange(1, 80)):
        kills += 1
    assert kills >= 8
    train_and_kill(tmp_path / "run")
    assert toy.stored(tmp_path / "run/best") == toy.stored(whole / "best")
    assert toy.stored(tmp_path / "run/checkpoints") == toy.stored(whole / "checkpoints")
    assert toy.metrics(tmp_path / "run") == toy.metrics(whole)
    names = {p.name for p in (whole / "samples").iterdir()}
    assert names == {p.name for p in (tmp_path / "run/samples").iterdir() if p.name[0] != "."}
    for name in names:
        pair = [folder / "samples" / name for folder in (tmp_path / "run", whole)]
        assert pair[0].read_bytes() == pair[1].read_bytes(), name


def test_the_best_up_to_a_checkpoint_stays_as_long_as_the_run_may_go_back_to_it(toy, tmp_path):
    # Killed at 120 after checkpoint 60, it is continued under another cadence: 90, 100 and 110,
    # which were better than all before, are no evaluations of this run any more.
    run = tmp_path / "run"
    killed_at(120, toy, run, checkpoint_every=60)
    assert max(toy.stored(run / "best")) == 110
    killed_at(75, toy, run, checkpoint_every=60, eval_every=75)
    assert max(toy.stored(run / "best")) == 50
    toy.Toy(lambda step: 50.0).train(run, checkpoint_every=60, eval_every=40, steps=80)
    toy.Toy().train(tmp_path / "same", checkpoint_every=60, steps=60)
    assert toy.stored(run / "best") == toy.stored(tmp_path / "same/best")


def test_a_checkpoint_is_begun_only_when_the_best_before_it_is_on_disk(toy, tmp_path, monkeypatch):
    run, begun = tmp_path / "run", []
    save = Checkpoints.save

    def watched(checkpoints, step, state):
        if checkpoints.folder.name == "checkpoints":
            tens = range(10, step + 1, 10)
            best = min(tens, key=toy.wiggling, default=step)
            if best != step:
                begun.append(step)
                assert best in toy.stored(run / "best")
        save(checkpoints, step, state)

    monkeypatch.setattr(Checkpoints, "save", watched)
    toy.Toy().train(run, checkpoint_every=3, log_every=120)
    assert len(begun) > 30


def test_a_best_that_only_its_checkpoint_outlived_is_restored_from_that(
    toy, whole, tmp_path, monkeypatch
):
    run, save = tmp_path / "run", Checkpoints.save

    def lost(checkpoints, step, state):
        if checkpoints.folder.name == "checkpoints" or step != 90:
            save(checkpoints, step, state)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", lost)
        killed_at(100, toy, run)
    assert 90 in toy.stored(run / "checkpoints")
    assert 90 not in toy.stored(run / "best")
    killed_at(100, toy, run)
    assert toy.stored(run / "best")[90] == toy.stored(whole / "checkpoints")[90]


@pytest.mark.parametrize("moment", ["save", "wait_until_finished"])
def test_a_full_disk_is_reported_and_harms_neither_run_nor_best(
    toy, whole, tmp_path, monkeypatch, moment
):
    run, save = tmp_path / "run", Checkpoints.save

    def fill(checkpoints, step, state):
        if checkpoints.folder.name != "best" or step != 50:
            return save(checkpoints, step, state)
        manager, usual = checkpoints._manager, getattr(checkpoints._manager, moment)

        def fail(*_, **__):
            setattr(manager, moment, usual)
            raise OSError(28, "No space left on device")

        if moment == "save":
            manager.save = fail
            return save(checkpoints, step, state)
        manager.wait_until_finished = fail  # what was begun does not arrive
        return None

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", fill)
        with pytest.raises(InputError, match="No space left"):
            toy.Toy().train(run)
    assert max(toy.stored(run / "checkpoints")) < 60
    toy.Toy().train(run)
    assert toy.stored(run / "best") == toy.stored(whole / "best")
    assert toy.metrics(run) == toy.metrics(whole)


def test_a_damaged_best_is_set_aside_and_the_next_best_takes_its_place(toy, tmp_path, caplog):
    run = tmp_path / "run"
    killed_at(80, toy, run)
    everything = toy.stored(run / "checkpoints")
    toy.damage(run / "best" / "50")
    killed_at(80, toy, run)  # from 60 on, which is better than all before it but 50
    assert "checkpoint 50 is damaged" in caplog.text
    assert (run / "best/damaged-50").is_dir()
    best = toy.stored(run / "best")
    assert max(best) == 60
    assert best[60] == everything[60]
    toy.Toy().train(run)
    assert list(toy.stored(run / "best")) == [110]


def test_a_finished_run_whose_best_was_its_last_restores_it(toy, tmp_path):
    run = tmp_path / "run"
    toy.Toy(lambda step: -step).train(run)
    best = toy.stored(run / "best")
    assert list(best) == [120]
    shutil.rmtree(run / "best")
    toy.Toy(lambda step: -step).train(run)
    assert toy.stored(run / "best") == best


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two short runs of the VAE: one with a score, which is best at step 2, and one without."""

    def task(*arguments):
        score = {2: 1.0, 4: 2.0}
        return vae.EXPERIMENT.task(*arguments)._replace(
            evaluate=lambda state: {"s": score[int(state.step)]},
            baselines=dict,
            artefacts=lambda state: {},
            score="s",
        )

    folder = tmp_path_factory.mktemp("runs")
    values = {"steps": 4, "eval_every": 2, "batch_size": 8, "workdir": str(folder / "scored")}
    options = from_flags(vae.EXPERIMENT.presets, values)
    training.train(vae.EXPERIMENT._replace(task=task), options, "")
    shutil.copytree(folder / "scored", folder / "plain")
    plain = RunFolder(folder / "plain")
    plain.write_config({**plain.read_config(), "score": None})
    return folder


def test_the_newest_and_the_best_are_opened_by_name(runs, assert_identical):
    newest, best = open_any(runs / "scored"), open_any(runs / "scored", "best")
    assert (newest.step, best.step, int(best.state.step)) == (4, 2, 2)
    assert_identical(open_any(runs / "scored", checkpoint="newest").state, newest.state)


@pytest.mark.parametrize("module", ["sample", "evaluate"])
def test_a_run_without_a_best_is_refused_in_one_line(runs, launch, module, tmp_path):
    options = ["--checkpoint=best", f"--workdir={runs / 'plain'}", "--out=out.png"]
    done = launch(f"experiments.{module}", *options, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "keeps no best checkpoint; use --checkpoint=newest" in done.stderr
    assert not list(tmp_path.iterdir())


def test_samples_are_drawn_from_the_best_on_request(runs, launch, tmp_path):
    workdir = f"--workdir={runs / 'scored'}"
    for name, step in (("newest", 4), ("best", 2)):
        options = [workdir, f"--checkpoint={name}", "--num=4", f"--out={name}.png"]
        assert f"at step {step} in" in launch("experiments.sample", *options, cwd=tmp_path).stdout
    assert (tmp_path / "best.png").read_bytes() != (tmp_path / "newest.png").read_bytes()


@pytest.mark.parametrize(
    ("name", "words"), [("best", "no best checkpoint yet"), ("old", "unknown")]
)
def test_a_checkpoint_that_is_not_there_is_reported(runs, tmp_path, name, words):
    shutil.copytree(runs / "scored", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/best")
    with pytest.raises(InputError, match=words):
        open_any(tmp_path / "run", name)
