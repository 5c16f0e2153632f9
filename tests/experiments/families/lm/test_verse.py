"""The form of what a model of poems writes is counted, whatever the model."""

import pytest

VERSE = "一二三四五，六七八九十。\n十九八七六，五四三二一。"
SMALL = ["--context=64", "--layers=1", "--heads=2", "--width=16", "--steps=4", "--batch_size=4"]
SMALL += ["--eval_every=4", "--checkpoint_every=4", "--log_every=4"]


@pytest.fixture(scope="module")
def place(launch, tmp_path_factory):
    place = tmp_path_factory.mktemp("verse")
    poems = [f"題{i}\n作者\n{VERSE}" for i in range(30)]
    (place / "poems.txt").write_text("\n\n".join(poems))
    for name, more in (("poems", ["--documents"]), ("text", [])):
        given = ["--text=poems.txt", f"--workdir={name}", *SMALL, *more]
        launch("experiments.lm", *given, cwd=place)
    return place


def test_poems_go_on_as_held_out_ones_begin_and_are_counted(launch, place):
    shown = launch("experiments.verse", "--workdir=poems", cwd=place).stdout
    assert shown.startswith("題")
    assert "\n作者\n一二三四五，" in shown
    assert "equal_lines 0.0000 of 3 poems" in shown  # four steps teach no form


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--workdir is required"),
        (["--workdir=text"], "not trained on documents"),
        (["--workdir=poems", "--temperature=-1"], "--temperature must be"),
        (["--workdir=poems", "--text=none.txt"], "none.txt"),
        (["--workdir=poems", "--num=0"], "--num"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(launch, place, arguments, message):
    refused = launch("experiments.verse", *arguments, cwd=place, check=False)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
