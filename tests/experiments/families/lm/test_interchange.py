"""A run is exported as a folder and imported with the same text; what cannot be is one line."""

import pytest

STORY = "It was a dark and stormy night;\n\n\tKönig  e\u0301 你好 😀 fell.\r\n"
SMALL = ["--context=16", "--layers=1", "--heads=2", "--width=16", "--steps=4"]
SMALL += ["--batch_size=4", "--eval_every=4", "--checkpoint_every=4", "--log_every=4"]


@pytest.fixture(scope="module")
def run(launch, tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    (place / "story.txt").write_text(STORY * 40)
    launch("experiments.lm", "--text=story.txt", "--workdir=run", *SMALL, cwd=place)
    launch("experiments.export_hf", "--workdir=run", "out", cwd=place)
    return place


def test_what_was_exported_continues_a_text_as_the_run_does(launch, run):
    given = ["--prompt=It was", "--temperature=0", "--length=9"]
    ours = launch("experiments.sample", "--workdir=run", *given, cwd=run).stdout
    assert launch("experiments.import_hf", "out", *given, cwd=run).stdout == ours
    assert len(ours) == len("It was") + 9 + 1


def test_the_loss_on_a_text_is_printed(launch, run):
    printed = launch("experiments.import_hf", "out", "--text=story.txt", cwd=run).stdout
    assert [line.split()[0] for line in printed.splitlines()] == [
        "nll_nats",
        "bits_per_byte",
        "perplexity",
    ]


@pytest.mark.parametrize(
    ("module", "arguments", "named"),
    [
        ("import_hf", ["run"], "model_type"),
        ("import_hf", ["none"], "none is not a folder"),
        ("import_hf", ["out"], "give a --prompt"),
        ("import_hf", ["out", "--prompt=It", "--length=0"], "--length"),
        ("import_hf", ["out", "--text=none.txt"], "none.txt"),
        ("export_hf", ["new"], "--workdir is required"),
        ("export_hf", ["--workdir=none", "new"], "none holds no run"),
        ("export_hf", ["--workdir=run", "out"], "exists already"),
    ],
)
def test_what_cannot_be_is_one_line(launch, run, module, arguments, named):
    done = launch(f"experiments.{module}", *arguments, cwd=run, check=False)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (run / "new").exists()
