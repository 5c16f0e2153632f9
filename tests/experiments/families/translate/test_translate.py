"""Training on pairs, and translating a file line by line."""

import io
import json
import sys

import jax
import numpy as np
import pytest

from aigc_jax.errors import InputError
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.families.translate import experiment as translate
from experiments.families.translate import translation
from experiments.families.translate.evaluator import Evaluator, scores
from experiments.families.translate.translation import END, SentenceTranslator, encode
from experiments.runs import training
from experiments.translate import translate_lines

pytestmark = pytest.mark.xdist_group("translate")

TINY = {
    "vocabulary": 300,
    "width": 8,
    "heads": 2,
    "layers": 1,
    "context": 24,
    "source_context": 24,
    "batch_size": 4,
    "steps": 4,
    "eval_every": 2,
    "checkpoint_every": 2,
    "log_every": 2,
    "steps_per_dispatch": 2,
    "warmup_steps": 1,
    "beams": 2,
}
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on a hundred pairs."""
    place = tmp_path_factory.mktemp("translate")
    pairs = [f"{a} and {b}\t{a[::-1]} {b[::-1]}" for a in NUMBERS for b in NUMBERS]
    (place / "numbers.tsv").write_text("\n".join(pairs) + "\n")
    values = {**TINY, "pairs": str(place / "numbers.tsv"), "workdir": str(place / "run")}
    training.train(translate.EXPERIMENT, from_flags(translate.PRESETS, values), "")
    return open_any(str(place / "run"))


def translated(run, content, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    translate_lines(str(run.folder.path), "-")
    return capsys.readouterr().out


def test_the_run_holds_metrics_and_translations(run, toy):
    assert toy.untold(run.folder.path) == (set(), set())
    last = run.folder.heldout()[-1]
    names = ("nll_nats", "perplexity", "exact_match", "chrf", "bleu")
    assert all(np.isfinite(last[name]) for name in names)
    shown = (run.folder.path / "samples" / "samples_0000004.txt").read_text()
    assert shown.count("→") == 10  # all that is held out
    (reference,) = (m for m in run.folder.read_metrics() if m["split"] == "the source itself")
    assert reference["exact_match"] == 0
    assert reference["chrf"] > 0


def test_one_line_comes_out_for_each_that_goes_in_and_blank_ones_stay(run, monkeypatch, capsys):
    content = b"one and two\n\nthree and four\r\n   \nten\n"
    out = translated(run, content, monkeypatch, capsys)
    lines = out.split("\n")
    assert len(lines) == 6
    assert [bool(line) for line in lines] == [True, False, True, False, True, False]
    assert translated(run, content.rstrip(b"\n"), monkeypatch, capsys) == out
    assert translated(run, b"", monkeypatch, capsys) == ""


def test_lines_are_translated_as_if_alone_and_in_their_order(run):
    translator = SentenceTranslator(run.options, run.metadata, run.algorithm)
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(NUMBERS, rng.integers(1, 5))) for _ in range(12)]
    # Parameters that write something else for each source, as four steps do not.
    ema = jax.tree.map(lambda p: p + rng.normal(size=p.shape).astype(np.float32), run.state.ema)
    state = run.state._replace(ema=ema)
    together = translator.translate(state, lines)
    alone = [translator.translate(state, [line])[0] for line in lines]
    assert together == alone
    assert len(set(together)) > 1


@pytest.mark.parametrize(("at_once", "logits"), [(16, 2**24), (2048, 300 * 2 * 3)])
def test_a_batch_has_room_for_its_sources_whatever_the_context(run, monkeypatch, at_once, logits):
    """Three short sources are one batch where a source may have 24 tokens."""
    monkeypatch.setattr(translation, "AT_ONCE", at_once)
    monkeypatch.setattr(translation, "LOGITS", logits)
    searched = []
    translator = SentenceTranslator(run.options, run.metadata, run.algorithm)

    def search(state, sources, lengths):
        searched.append(sources.shape)
        return np.zeros((len(sources), 3), np.int32)

    monkeypatch.setattr(translator, "_search", search)
    assert len(translator.translate(run.state, NUMBERS)) == 10
    assert set(searched) == {(3, 8)}


def test_lines_stay_lines_whatever_the_model_writes(run, monkeypatch):
    translator = SentenceTranslator(run.options, run.metadata, run.algorithm)
    monkeypatch.setattr(translator.coder, "decode", lambda tokens: " a\nb \u2028c\t")
    assert translator.translate(run.state, ["one"]) == ["a b c"]


def test_held_out_sources_that_are_too_long_are_not_evaluated(run):
    """They would end a training at its last step, where the translations are scored."""
    translator = SentenceTranslator(run.options, run.metadata, run.algorithm)
    evaluator = Evaluator(translator, [("one", "eno"), ("two " * 40, "owt"), ("ten", "net")])
    assert evaluator.sources == ("one", "ten")
    assert evaluator.references == ("eno", "net")
    assert set(evaluator.translations(run.state)) == {"exact_match", "chrf", "bleu"}
    assert np.isfinite(evaluator.loss(run.state)["nll_nats"])


def test_a_source_ends_with_the_end_token(run):
    coder = SentenceTranslator(run.options, run.metadata, run.algorithm).coder
    (tokens,) = encode(coder, ["one"])
    assert tokens[-1] == END
    assert coder.decode(tokens) == "one"


def test_metrics_are_those_of_worked_examples():
    metrics, signatures = scores(["a b c d", "x"], ["a b c d", "y  z"], "en")
    assert metrics["exact_match"] == 0.5
    assert set(metrics) == {"exact_match", "chrf", "bleu"}
    assert "tok:13a" in signatures["bleu"]
    assert (
        scores(["a  b"], ["a  b"], "en")[0]["exact_match"] == 0
    )  # translations have single spaces
    assert scores(["a b"], ["a  b"], "en")[0]["exact_match"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\n" + b"two " * 30, "line 2 has .* tokens, and the model reads 24"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_cannot_be_translated_is_refused_before_a_line_is_written(
    run, monkeypatch, capsys, content, message
):
    with pytest.raises(InputError, match=message):
        translated(run, content, monkeypatch, capsys)
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_named(run):
    with pytest.raises(InputError, match=r"nothing\.txt"):
        translate_lines(str(run.folder.path), "nothing.txt")


def test_pairs_that_all_exceed_the_context_are_refused(run, tmp_path):
    pairs = [f"{'long ' * 40}{i}\t{i}" for i in range(20)]
    (tmp_path / "long.tsv").write_text("\n".join(pairs))
    values = {**TINY, "pairs": str(tmp_path / "long.tsv"), "workdir": str(tmp_path / "run")}
    with pytest.raises(InputError, match=r"not one of \d+ pairs fits"):
        training.train(translate.EXPERIMENT, from_flags(translate.PRESETS, values), "")
    assert not (tmp_path / "run").exists()


def test_a_translator_has_nothing_to_sample(run):
    assert run.experiment.sample is None
    assert run.algorithm._fields == ("init", "step", "translate")


def test_the_command_translates_and_needs_a_run_to_do_so(run, launch, tmp_path):
    (tmp_path / "in.txt").write_text("one and two\nthree\n")
    folder = f"--workdir={run.folder.path}"
    done = launch("experiments.translate", folder, "--input=in.txt", cwd=tmp_path)
    assert done.stdout.count("\n") == 2
    refused = launch("experiments.translate", "--input=in.txt", cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "--workdir" in refused.stderr


def test_the_tokeniser_is_kept_with_the_run_as_others_read_it(run):
    config = json.loads((run.folder.path / "config.json").read_text())
    assert json.loads(config["metadata"]["bpe"])["model"]["type"] == "BPE"
