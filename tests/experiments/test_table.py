"""One table over runs: what is averaged, what is not, and how it reads."""

import json
import math
import shutil

import numpy as np
import pytest

from aigc_jax.errors import InputError
from aigc_jax.run_folder import RunFolder
from experiments.runs.comparison import Estimate, estimate, find, read, rows_of
from experiments.table import columns, finished, markdown, numbers, shown

OPTIONS = {"preset": "default", "dataset": "mnist5k", "steps": 200, "learning_rate": 0.1, "seed": 0}


@pytest.fixture
def run(tmp_path):
    """`run("a", seed=1, fcd=2.0)` writes a finished run and returns its path."""

    def write(name, fcd=1.0, experiment="gan", last=200, config=None, reference=0.5, **options):
        folder = RunFolder(tmp_path / name)
        folder.create()
        options = {**OPTIONS, "eval_every": 100, "workdir": name, **options}
        data = {"name": options["dataset"], "sha256": "ab" * 32}
        described = {"experiment": experiment, "options": options, "metadata": {}, "data": data}
        folder.write_config({**described, "hardware": "2 CPU cores", **(config or {})})
        folder.append_metrics(0, "training images", {"fcd": reference}, 0.0)
        folder.append_metrics(100, "heldout", {"fcd": 100.0, "kid": 0.1}, 5.0)
        folder.append_metrics(last, "train", {"loss": 0.0}, 9.0)
        folder.append_metrics(last, "heldout", {"fcd": fcd, "kid": 0.25}, 10.0 + options["seed"])
        return str(folder.path)

    return write


def rows(*paths):
    return rows_of(finished(paths))


def cells(text):
    """The lines of a Markdown table but for its head, as lists of cells."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


@pytest.mark.parametrize("n", [2, 3, 7])
def test_mean_and_standard_error_are_those_of_numpy(rng, n):
    values = rng.normal(size=n)
    mean, error, count = estimate(list(values))
    np.testing.assert_allclose(mean, values.mean(), rtol=1e-14)
    np.testing.assert_allclose(error, values.std(ddof=1) / math.sqrt(n), rtol=1e-12)
    assert count == n


def test_one_value_has_no_error_and_a_missing_one_no_mean():
    assert estimate([2.5]) == Estimate(2.5, None, 1)
    assert estimate([2.5, None]) is None
    assert estimate([]) is None


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (155.46, 1.24, "155.5 ± 1.2"),
        (1.40812, 0.00096, "1.40812 ± 0.00096"),
        (0.75512, 0.0361, "0.755 ± 0.036"),
        (1234.5, 98.7, "1,234 ± 99"),
        (25_000.0, 1234.0, "25,000 ± 1,234"),
        (1.0, 1e-12, "1.00000 ± 0.00000"),
        (0.0, 0.5, "0.00 ± 0.50"),
        (2.0, 0.0, "2 ± 0"),
        (1.23456, None, "1.235 ± -"),
        (-3.21, 0.11, "-3.21 ± 0.11"),
    ],
)
def test_an_error_has_two_digits_and_the_mean_ends_where_it_does(mean, error, text):
    assert shown(Estimate(mean, error, 3)) == text


def test_seeds_are_one_row_and_references_stand_below(run):
    paths = [run(f"r{s}", seed=s, fcd=f) for s, f in [(2, 3.0), (0, 1.0), (1, 2.0)]]
    found = rows(*paths)
    assert [r.seed for r in found[0].runs] == [0, 1, 2]
    text = markdown(found, ["fcd", "kid"])
    assert text.splitlines()[0] == (
        "| experiment | data | preset | seeds | step | seconds | fcd | kid |"
    )
    assert cells(text) == [
        ["gan", "mnist5k", "default", "3", "200", "11.00 ± 0.58", "2.00 ± 0.58", "0.25 ± 0"],
        ["*training images*", "mnist5k", "", "3", "", "", "0.5 ± 0"],
    ]
    assert "standard error over seeds, at the last evaluation. Seconds of training on 2 CPU" in text


def test_a_single_seed_has_a_dash_for_its_error(run):
    assert cells(markdown(rows(run("a")), ["fcd"]))[0][3:] == ["1", "200", "10 ± -", "1 ± -"]


def test_experiments_data_sets_and_presets_are_rows_of_their_own(run):
    paths = [
        run("a"),
        run("b", preset="big"),
        run("c", dataset="mnist"),
        run("d", experiment="vae"),
    ]
    text = markdown(rows(*paths), ["fcd"])
    assert [line[:3] for line in cells(text)] == [
        ["gan", "mnist5k", "default"],
        ["gan", "mnist5k", "big"],
        ["*training images*", "mnist5k", ""],
        ["gan", "mnist", "default"],
        ["*training images*", "mnist", ""],
        ["vae", "mnist5k", "default"],
        ["*training images*", "mnist5k", ""],
    ]
    assert "options" not in text


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"learning_rate": 0.2}, ["learning_rate=0.1", "learning_rate=0.2"]),
        ({"new": "x"}, ["new=none", "new=x"]),  # an option that older runs do not know
        ({"steps": 300, "last": 300}, ["steps=200", "steps=300"]),
        ({"config": {"model": {"classes": 3}}}, ["model classes=none", "model classes=3"]),
        (
            {"config": {"data": {"name": "mnist5k", "sha256": "cd" * 32}}},
            ["data sha256=abababab", "data sha256=cdcdcdcd"],
        ),
    ],
)
def test_what_decides_the_result_is_never_averaged_over(run, option, told):
    found = rows(run("a"), run("b", seed=1), run("c", **option))
    lines = cells(markdown(found, ["fcd"]))
    assert [(line[3], line[4]) for line in lines if line[0] == "gan"] == [
        (told[0], "2"),
        (told[1], "1"),
    ]


def test_only_the_options_that_differ_within_a_preset_are_told(run):
    paths = [run("a", width=1), run("b", width=2), run("c", preset="other", learning_rate=9.0)]
    lines = cells(markdown(rows(*paths), ["fcd"]))
    assert [line[2:4] for line in lines[:3]] == [
        ["default", "width=1"],
        ["default", "width=2"],
        ["other", ""],
    ]


@pytest.mark.parametrize("option", ["workdir", "data_dir", "log_every", "eval_every", "profile"])
def test_what_does_not_decide_the_result_makes_no_difference(run, option):
    found = rows(run("a", **{option: 50}), run("b", seed=1, **{option: 100}))
    assert len(found) == 1


def test_with_a_goal_the_times_of_looking_decide(run):
    config = {"score": "fcd", "goal": 0.5}
    one = run("a", config=config, eval_every=50)
    assert len(rows(one, run("b", seed=1, config=config, eval_every=100))) == 2
    assert len(rows(one, run("c", seed=1, config=config, eval_every=50))) == 1


def test_the_same_run_twice_is_no_second_seed(run):
    with pytest.raises(InputError, match=r"a and .*b are the same run, with seed 0; name one"):
        rows(run("a"), run("b"))


def test_an_unfinished_run_is_left_out_and_named(run, capsys):
    done, half = run("done"), run("half", seed=1, last=150)
    assert [r.path for r in finished([done, half])] == [done]
    assert f"left out: {half} is not finished (step 150 of 200)" in capsys.readouterr().err
    with pytest.raises(InputError, match="none of these is finished"):
        finished([half])


@pytest.mark.parametrize(("goal", "is_finished"), [(2.0, True), (1.9, False), (None, False)])
def test_a_run_that_reached_its_goal_is_finished(run, goal, is_finished):
    path = run("a", fcd=2.0, last=150, config={"score": "fcd", "goal": goal})
    assert isinstance(read(path), str) != is_finished


def test_steps_to_the_goal_are_averaged(run):
    config = {"score": "fcd", "goal": 2.0}
    paths = [run(f"r{s}", seed=s, last=110 + 20 * s, config=config) for s in (0, 1)]
    assert cells(markdown(rows(*paths), ["fcd"]))[0][4] == "120 ± 10"


def test_references_that_differ_at_one_seed_stay_with_their_rows(run):
    paths = [run("a", judged=10, reference=0.5), run("b", judged=20, reference=0.25)]
    lines = cells(markdown(rows(*paths), ["fcd"]))
    assert [line[:4] + line[-1:] for line in lines[2:]] == [
        ["*training images*", "mnist5k", "default", "judged=10", "0.5 ± -"],
        ["*training images*", "mnist5k", "default", "judged=20", "0.25 ± -"],
    ]


def test_references_of_other_seeds_are_put_together(run):
    paths = [run("a", seed=0, reference=0.5), run("b", seed=1, reference=0.7, width=3)]
    lines = cells(markdown(rows(*paths), ["fcd"]))
    assert [line[4] for line in lines] == ["1", "1", "2"]
    assert lines[2][-1] == "0.60 ± 0.10"


def test_metrics_are_chosen_by_name_and_in_order(run):
    found = rows(run("a"))
    assert columns(found, None) == ["fcd", "kid"]
    assert columns(found, ["kid", "fcd"]) == ["kid", "fcd"]
    with pytest.raises(InputError, match="no 'fid'; the runs have fcd, kid"):
        columns(found, ["fid"])


def test_a_metric_that_was_not_finite_once_has_no_mean(run):
    found = rows(run("a", fcd=float("nan")), run("b", seed=1))
    assert cells(markdown(found, ["kid", "fcd"]))[0][-1] == "0.25 ± 0"  # and an empty cell
    (row,) = numbers(found, ["fcd"])
    assert row["metrics"] == {"fcd": None}


def test_the_numbers_are_unrounded_json(run):
    paths = [run("a", fcd=1 / 3), run("b", seed=1, fcd=2 / 3)]
    (row,) = json.loads(json.dumps(numbers(rows(*paths), ["fcd"])))
    assert row["metrics"]["fcd"]["mean"] == pytest.approx(0.5, rel=1e-15)
    assert row["metrics"]["fcd"]["standard_error"] == pytest.approx(1 / 6, rel=1e-14)
    assert (row["seeds"], row["runs"], row["preset"]) == ([0, 1], paths, "default")
    assert row["references"]["training images"]["fcd"] == {
        "mean": 0.5,
        "standard_error": 0.0,
        "n": 2,
    }


def test_names_are_filled_in_and_each_run_counts_once(run, tmp_path):
    a, b = run("gan-a"), run("gan-b")
    (tmp_path / "gan-notes").mkdir()
    assert find([f"{tmp_path}/gan-*"]) == [a, b]
    assert find([a, f"{tmp_path}/gan-?", f"{b}/"]) == [a, b]
    for nothing in (f"{tmp_path}/vae-*", f"{tmp_path}/gan-notes", f"{tmp_path}/gan-n*"):
        with pytest.raises(InputError, match="holds no run"):
            find([nothing])


def test_a_bar_in_a_name_does_not_end_a_cell(run):
    text = markdown(rows(run("a", dataset="a|b")), ["fcd"])
    assert "| a\\|b |" in text


def test_the_command(run, launch, toy, tmp_path):
    for seed in (0, 1):
        toy.Toy().train(tmp_path / f"toy-{seed}", seed=seed, steps=30)
    odd = 'a, "b"\n'
    shutil.copytree(tmp_path / "toy-0", tmp_path / odd)
    assert "| toy |" in launch("experiments.table", f"--runs={odd}", cwd=tmp_path).stdout
    options = ["--runs=toy-*", "--figures=weight"]
    done = launch("experiments.table", *options, "--out=t.md", cwd=tmp_path)
    assert (tmp_path / "t.md").read_text() == done.stdout
    assert [line[:5] for line in cells(done.stdout)] == [
        ["toy", "numbers", "default", "2", "30"],
        ["*one*", "numbers", "", "2", ""],
    ]
    launch("experiments.table", *options, "--out=t.json", cwd=tmp_path)
    (row,) = json.loads((tmp_path / "t.json").read_text())["rows"]
    weights = [toy.metrics(tmp_path / f"toy-{seed}")[-1]["weight"] for seed in (0, 1)]
    assert row["metrics"]["weight"]["mean"] == np.mean(weights)


@pytest.mark.parametrize(
    ("options", "said"),
    [([], "--runs is required"), (["--runs=a", "--out=t.csv"], "goes to .md or .json, not .csv")],
)
def test_a_mistake_is_one_line(run, launch, tmp_path, options, said):
    run("a")
    done = launch("experiments.table", *options, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
