"""Text for launchers: the tokeniser that a run keeps, and the same bits from text on disk."""

import json

import jax
import numpy as np
import pytest

from aigc_jax import loop
from aigc_jax.data import text as module
from aigc_jax.data.batches import order_of
from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.text import FilePart, Text
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data import texts
from experiments.families.lm import experiment as lm
from experiments.families.lm.batching import rows_of, windows_of

STORY = "It was a dark and stormy night. 那是一个漆黑的暴风雨之夜。\n\tif x: y()\n" * 60
TINY = {
    "context": 8,
    "layers": 1,
    "heads": 2,
    "width": 8,
    "steps": 6,
    "batch_size": 4,
    "steps_per_dispatch": 3,
    "eval_every": 6,
    "checkpoint_every": 6,
    "log_every": 6,
}


def options(**values):
    return from_flags(lm.PRESETS, {**TINY, **values})


@pytest.fixture
def story(tmp_path):
    (tmp_path / "story.txt").write_text(STORY)
    return str(tmp_path / "story.txt")


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """A switch: from then on no text is in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda: monkeypatch.setattr(module, "LARGE", 100)


def trained(given):
    """The state after a run and its held-out metrics; whether its tokens were on disk."""
    text = texts.load(given)
    metadata = texts.metadata(given, text)
    algorithm = lm.algorithm(given, metadata)
    task = lm.task(given, text, metadata, algorithm)
    order = order_of(given.seed, task.examples, given.batch_size)
    hooks = loop.Hooks(*[lambda *_: None] * 4, lambda: False)
    dispatch = loop.make_dispatch(algorithm.step, task.gather)
    state = jax.jit(algorithm.init)(jax.random.key(given.seed))
    cadence = loop.Cadence(given.steps, 3, 6, 6, 6)
    _, state = loop.train(dispatch, state, task.data, order, 0, cadence, hooks, task.fetch)
    metrics = [*task.evaluate(state).values(), *task.baselines().values()]
    return (state, metrics), isinstance(task.data, tuple)


@pytest.mark.parametrize(
    "tokenizer", [*(pytest.param(name, marks=pytest.mark.all) for name in ("char", "byte")), "bpe"]
)
def test_text_on_disk_trains_to_the_same_bits(
    tmp_path, story, on_disk, tokenizer, capsys, assert_identical
):
    given = options(text=story, tokenizer=tokenizer, vocabulary=300 if tokenizer == "bpe" else None)
    (state, metrics), mapped = trained(given)
    cache = tmp_path / "cache" / "aigc_jax"
    assert not mapped
    assert not cache.exists()
    on_disk()
    (same_state, same_figures), mapped = trained(given)
    assert mapped
    assert_identical(same_state, state)
    assert same_figures == metrics
    assert capsys.readouterr().err.count("tokens of the") == 2
    assert len(list((cache / "tokens").glob("*.tokens"))) == 2
    text = texts.load(given)
    texts.tokens(given, texts.metadata(given, text), text)
    assert "tokens of the" not in capsys.readouterr().err


def test_a_run_is_sampled_from_without_its_text(tmp_path, story, launch):
    flags = [f"--{k}={v}" for k, v in TINY.items()]
    flags += ["--text=story.txt", "--tokenizer=bpe", "--vocabulary=300", "--workdir=run"]
    launch("experiments.lm", *flags, cwd=tmp_path)
    (tmp_path / "story.txt").unlink()
    launch("experiments.sample", "--workdir=run", "--num=2", "--out=s.txt", cwd=tmp_path)
    drawn = (tmp_path / "s.txt").read_text()
    assert texts.SEPARATOR in drawn
    assert len(drawn) > 600  # a thousand tokens


def test_a_run_keeps_its_byte_pairs(story):
    given = options(text=story, tokenizer="bpe", vocabulary=300)
    metadata = texts.metadata(given, texts.load(given))
    coder = texts.tokenizer(json.loads(json.dumps(metadata)))
    assert isinstance(coder, BpeTokenizer)
    assert (coder.vocabulary_size, coder.decode(coder.encode(STORY))) == (300, STORY)
    assert coder.to_json() == metadata["bpe"]
    assert len(coder.encode(texts.first_token(given, metadata))) == 1


def test_byte_pairs_are_those_of_the_training_part_alone():
    given = options(tokenizer="bpe", vocabulary=300)
    one, other = (Text("t", "abab cdcd " * 9, heldout) for heldout in ("efef " * 99, "ghgh " * 99))
    assert texts.metadata(given, one) == texts.metadata(given, other)


def test_byte_pairs_are_trained_on_a_share_of_a_long_text(monkeypatch):
    monkeypatch.setattr(texts, "TRAINED_ON", 150)
    monkeypatch.setattr(module, "CHUNK", 100)
    given = options(tokenizer="bpe", vocabulary=300)
    long = Text("t", "abcdefghi " * 10 + "123456789 " * 10 + "ABCDEFGHI " * 10, "")
    learnt = texts.tokenizer(texts.metadata(given, long))
    assert len(learnt.encode(" abcdefghi")) == len(learnt.encode(" ABCDEFGHI")) == 1
    assert len(learnt.encode(" 123456789")) == 10


def test_the_alphabet_is_that_of_both_parts():
    assert texts.metadata(options(), Text("t", "ba", "c")) == {"alphabet": "abc"}


def test_runs_from_before_byte_pairs_are_still_read():
    assert isinstance(texts.tokenizer({"alphabet": None}), ByteTokenizer)
    assert isinstance(texts.tokenizer({"alphabet": "abc"}), CharTokenizer)


@pytest.mark.parametrize("tokenizer", ["char", "byte"])
def test_a_vocabulary_is_of_byte_pairs(tokenizer):
    with pytest.raises(InputError, match=f"--vocabulary .* --tokenizer={tokenizer} has its own"):
        texts.load(options(tokenizer=tokenizer, vocabulary=300))


def test_a_part_shorter_than_a_context_is_named():
    short = Text("t", "abcdefghij", "abcdefgh")
    with pytest.raises(InputError, match="held-out part of t has 8 tokens, too few for a context"):
        texts.tokens(options(), {"alphabet": None}, short)


def test_windows_of_a_mapped_text_are_those_of_one_in_memory(tmp_path):
    tokens = np.arange(50, dtype=np.uint16)
    mapped = np.memmap(tmp_path / "tokens", np.uint16, "w+", shape=(50,))
    mapped[:] = tokens
    starts = np.array([[0, 40], [7, 3]])
    on_disk, in_memory = windows_of(mapped, 9), windows_of(tokens.astype(np.int32), 9)
    fetched = on_disk.fetch(starts)
    assert (type(fetched), fetched.dtype, on_disk.data) == (np.ndarray, np.int32, ())
    assert in_memory.fetch(starts) is starts
    assert on_disk.examples == in_memory.examples == 41
    for k in range(2):
        batch = in_memory.gather(in_memory.data, starts[k])
        same = on_disk.gather(on_disk.data, fetched[k])
        np.testing.assert_array_equal(batch.inputs, starts[k][:, None] + np.arange(9))
        np.testing.assert_array_equal(batch.labels, batch.inputs + 1)
        for one, other in zip(same[:3], batch[:3], strict=True):
            np.testing.assert_array_equal(one, other)


def test_rows_of_documents_keep_each_to_itself():
    tokens = np.array([0, 5, 6, 0, 7, 0, 8, 9, 9, 9, 0])  # 0 ends a document
    data, examples, gather, _ = rows_of(tokens, 0, 5)
    batch = gather(data, np.arange(examples))
    assert examples == 2
    assert batch.weights.sum() == 3 + 2 + 5
    pairs = {
        tuple(np.asarray(batch.labels[row][batch.segments[row] == segment]).tolist())
        for row in range(2)
        for segment in (1, 2)
    }
    assert pairs == {(5, 6, 0), (7, 0), (8, 9, 9, 9, 0), ()}


@pytest.mark.parametrize("tokenizer", [pytest.param("char", marks=pytest.mark.all), "bpe"])
def test_documents_are_trained_on_evaluated_and_written_one_by_one(tmp_path, tokenizer):
    (tmp_path / "poems.txt").write_text("\n\n".join(f"poem {i}:\nla la." for i in range(40)))
    vocabulary = 280 if tokenizer == "bpe" else None
    values = {"text": str(tmp_path / "poems.txt"), "tokenizer": tokenizer, "documents": True}
    given = options(**values, vocabulary=vocabulary, context=24, steps=150, learning_rate=1e-2)
    (state, metrics), _ = trained(given)
    metadata = texts.metadata(given, texts.load(given))
    written = lm.sample(given, metadata, lm.algorithm(given, metadata), state, 8, 0)
    of_pairs = metrics[-1]["nll_nats"]
    assert metrics[0] < 0.8 * of_pairs
    # 500 tokens were asked for: a text is one document, and no second one follows.
    assert all(text.count("poem") <= 1 and len(text) < 100 for text in written)
    assert sum(text.startswith("poem ") for text in written) > 4


def test_metrics_of_a_worked_example():
    # 3 tokens are predicted, of 4 bytes of text, at log 2 nats each: 3 bits over 4 bytes.
    metrics = texts.metrics_of(np.array([1, 2, 3, 4]), "aé!")(np.log(2))
    assert metrics == pytest.approx(
        {"nll_nats": np.log(2), "bits_per_byte": 0.75, "perplexity": 2.0}
    )
    assert texts.metrics_of(np.array([1, 2]), "ab")(1e4)["perplexity"] == np.inf


def test_a_mapped_text_is_told_by_its_parts(story, on_disk):
    on_disk()
    assert isinstance(texts.load(options(text=story)).heldout, FilePart)
