"""A model that fills in masked tokens, as a run: its bound, its texts, and what it cannot do."""

import json

import numpy as np
import pytest

from aigc_jax import transformer
from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import Sampling
from experiments import export_hf
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.families.lm import batching
from experiments.families.lm import experiment as lm
from experiments.families.lm.options import PRESETS
from experiments.families.lm.writing import stream, write
from experiments.runs import training

pytestmark = pytest.mark.xdist_group("masked_text")
SIZES = {"preset": "masked", "context": 9, "layers": 1, "heads": 2, "width": 8, "steps": 2}
SIZES |= {"batch_size": 4, "eval_every": 2, "log_every": 1}
STORY = "Es war einmal ein Bär, der hieß Ägidius.\n" * 6


def options_of(place, **changes):
    (place / "story.txt").write_text(STORY)
    values = {**SIZES, "text": str(place / "story.txt"), "workdir": str(place / "run"), **changes}
    return from_flags(PRESETS, values)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("masked")
    training.train(lm.EXPERIMENT, options_of(place), "")
    return open_any(str(place / "run"))


def test_the_held_out_bound_has_a_name_of_its_own_and_can_be_computed_again(run, toy):
    lines = toy.metrics(run.folder.path)
    (found,) = (line for line in lines if line["split"] == "heldout")
    names = {"nll_bound_nats", "nll_bound_error_nats", "bits_per_byte_bound"}
    assert {*found} - {"step", "split"} == names
    text = lm.EXPERIMENT.load(run.options)
    again = lm.EXPERIMENT.task(run.options, text, run.metadata, run.algorithm).evaluate(run.state)
    assert again == {name: found[name] for name in names}
    bits = found["nll_bound_nats"] * len(text.heldout) / len(text.heldout.encode()) / np.log(2)
    assert found["bits_per_byte_bound"] == pytest.approx(bits, rel=1e-9)
    assert 0 < found["nll_bound_error_nats"] < 0.2
    assert 2 < found["nll_bound_nats"] < 4


def test_the_page_says_that_it_is_a_bound_and_of_how_many_draws(run, toy):
    assert toy.untold(run.folder.path) == (set(), set())
    texts = json.loads((run.folder.path / "config.json").read_text("utf-8"))["metrics"]
    said = texts["nll_bound_nats"]
    assert "upper bound on −log p" in said
    assert "in windows of 9 tokens" in said
    assert "Exact in expectation over masks, of which 16 are drawn" in said


def test_the_mask_is_one_id_more_than_the_alphabet(run):
    networks = run.algorithm.step.keywords["networks"]
    assert networks.vocabulary_size == len(run.metadata["alphabet"]) + 1
    assert run.algorithm.step.keywords["mask_id"] == len(run.metadata["alphabet"])


@pytest.mark.parametrize("on_disk", [False, True])
def test_it_is_trained_on_every_window_of_just_its_context(on_disk, tmp_path):
    tokens = np.arange(20, dtype=np.uint16) % 7
    if on_disk:
        tokens.tofile(tmp_path / "tokens")
        tokens = np.memmap(tmp_path / "tokens", np.uint16)
    found = batching.windows_of(tokens, 9, masked=True)
    assert found.examples == 20 - 9 + 1
    starts = np.array([0, 11])
    batch = found.gather(found.data, found.fetch(starts))
    assert isinstance(batch, transformer.MaskedBatch)
    np.testing.assert_array_equal(batch.tokens, [tokens[:9], tokens[11:]])
    assert batch.maskable.shape == (2, 9)


@pytest.mark.parametrize(("prompt", "length"), [("", 7), ("Bär", 21)])
def test_a_text_is_shown_a_window_at_a_time_and_keeps_its_prompt(run, prompt, length):
    warm = Sampling(temperature=2.0)
    pieces = list(stream(run, prompt, length, 3, warm))
    model = (run.options, run.metadata, run.algorithm, run.state)
    first, second = write(*model, prompt, 2, length, 3, warm)
    assert "".join(pieces) == first
    assert first.startswith(prompt)
    assert second.startswith(prompt)
    assert second != first
    assert len(first) == len(prompt) + length
    assert len([piece for piece in pieces if piece]) == (5 if prompt else 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": True}, "--documents is for models that write from the left, not for --pre"),
        ({"window": 3}, "--window is for models that write from the left"),
    ],
)
def test_options_of_models_from_the_left_are_refused_before_anything_is_written(
    tmp_path, changes, message
):
    with pytest.raises(InputError, match=message):
        training.train(lm.EXPERIMENT, options_of(tmp_path, **changes), "")
    assert not (tmp_path / "run").exists()


def test_what_needs_the_next_token_is_refused(run, tmp_path):
    model = (run.options, run.metadata, run.algorithm, run.state)
    penalty = Sampling(repetition_penalty=1.2)
    for writing in (
        lambda: write(*model, "", 2, 5, 0, penalty),
        lambda: list(stream(run, "", 5, 0, penalty)),
    ):
        with pytest.raises(InputError, match="repetition_penalty must be 1"):
            writing()
    with pytest.raises(InputError, match="cannot be exported: it fills in masked tokens"):
        export_hf.export(str(run.folder.path), "newest", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_command_continues_a_prompt(run, launch, tmp_path):
    folder = f"--workdir={run.folder.path}"
    how = ["--prompt=ein", "--length=20", "--top_p=0.9"]
    shown = launch("experiments.sample", folder, *how, cwd=tmp_path).stdout
    assert shown.startswith("ein")
    how = ["--prompt=ein", "--repetition_penalty=2"]
    done = launch("experiments.sample", folder, *how, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: repetition_penalty must be 1")
    assert done.stderr.count("\n") == 1
