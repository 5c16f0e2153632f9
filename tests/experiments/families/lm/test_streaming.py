"""Text as it is written: the pieces are the text that sampling gives."""

from functools import partial

import jax
import numpy as np
import pytest

from aigc_jax import printed
from aigc_jax.data.documents import END
from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import GREEDY, Sampling
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.data import texts
from experiments.families.lm import experiment as lm
from experiments.families.lm.options import PRESETS
from experiments.families.lm.writing import begun, stop_of, stream, write
from experiments.runs import training
from experiments.verse import continued

pytestmark = pytest.mark.xdist_group("streaming")


@pytest.fixture(scope="module", params=["char", "byte"])
def run(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("stream")
    (place / "story.txt").write_text("Es war einmal ein Bär, der hieß Ägidius.\n" * 20)
    values = {"context": 16, "layers": 1, "heads": 2, "width": 8, "steps": 2, "batch_size": 4}
    values |= {"text": str(place / "story.txt"), "tokenizer": request.param, "eval_every": 2}
    options = from_flags(PRESETS, {**values, "workdir": str(place / "run")})
    training.train(lm.EXPERIMENT, options, "")
    return open_any(str(place / "run"))


WARM, TOP = Sampling(temperature=2.0), Sampling(top_k=3)


@pytest.mark.parametrize(
    ("prompt", "length", "sampling"),
    [
        ("", 12, TOP),
        ("Bär", 60, WARM),
        ("ein", 1, GREEDY),
        pytest.param("", 12, WARM, marks=pytest.mark.all),
        pytest.param("", 12, GREEDY, marks=pytest.mark.all),
        pytest.param("Bär", 60, GREEDY, marks=pytest.mark.all),
        pytest.param("Bär", 60, TOP, marks=pytest.mark.all),
        pytest.param("ein", 1, WARM, marks=pytest.mark.all),
        pytest.param("ein", 1, TOP, marks=pytest.mark.all),
    ],
)
def test_pieces_are_the_text_that_sampling_gives(run, prompt, length, sampling):
    coder = texts.tokenizer(run.metadata)
    tokens = coder.encode(prompt or "\n")
    sample = jax.jit(partial(run.algorithm.sample, sampling=sampling), static_argnums=(2, 4))
    rows = np.asarray(sample(run.state, jax.random.key(3), 1, tokens, len(tokens) + length))
    pieces = list(stream(run, prompt, length, 3, sampling))
    expected = rows[0] if prompt else rows[0, len(tokens) :]
    assert "".join(pieces) == coder.decode(expected)
    assert len(pieces) > length // 8
    model = (run.options, run.metadata, run.algorithm, run.state)
    written = write(*model, prompt, 3, length, 3, sampling)
    assert written[0] == coder.decode(expected)
    assert len(written) == 3


def test_prompts_that_cannot_be_continued_are_refused(run):
    with pytest.raises(InputError, match=r"the prompt has 1[78] tokens, and the model sees 16"):
        stream(run, "Bär" + "e" * 14, 3, 0)
    if texts.tokenizer(run.metadata).vocabulary_size < 256:
        with pytest.raises(InputError, match="character 'x' is not in"):
            stream(run, "x", 3, 0)


# Letters of several bytes are the harder ones to write in pieces.
@pytest.mark.parametrize(
    "run", [pytest.param("char", marks=pytest.mark.all), "byte"], indirect=True
)
def test_the_command_writes_to_the_terminal_or_to_a_file(run, launch, tmp_path):
    folder = f"--workdir={run.folder.path}"
    how = ["--prompt=ein", "--length=20", "--top_p=0.9", "--seed=4"]
    shown = launch("experiments.sample", folder, *how, cwd=tmp_path).stdout
    assert shown.startswith("ein")
    launch("experiments.sample", folder, *how, "--out=a.txt", cwd=tmp_path)
    written = (tmp_path / "a.txt").read_bytes().decode()
    assert printed.lines(written) == shown
    launch("experiments.sample", folder, *how, "--num=2", "--out=b.txt", cwd=tmp_path)
    first, second = (tmp_path / "b.txt").read_bytes().decode()[:-1].split(texts.SEPARATOR)
    assert first == written.removesuffix("\n")
    assert second.startswith("ein")
    assert second != first


@pytest.fixture(scope="module")
def poet(tmp_path_factory):
    """A run on documents, so short that the end of one is likely at any place."""
    place = tmp_path_factory.mktemp("poet")
    (place / "poems.txt").write_text("\n\n".join(a + b for a in "abcdef" for b in "abcdef"))
    values = {"context": 16, "layers": 1, "heads": 2, "width": 8, "steps": 2, "batch_size": 4}
    values |= {"text": str(place / "poems.txt"), "documents": True, "eval_every": 2}
    options = from_flags(PRESETS, {**values, "workdir": str(place / "run")})
    training.train(lm.EXPERIMENT, options, "")
    return open_any(str(place / "run"))


@pytest.mark.parametrize("prompt", ["", "ab"])
def test_a_document_ends_where_it_ends(poet, prompt):
    model = (poet.options, poet.metadata, poet.algorithm, poet.state)
    texts_at_once = write(*model, prompt, 8, 200, 0)
    assert "".join(stream(poet, prompt, 200, 0)) == texts_at_once[0]
    assert all(text.startswith(prompt) and END not in text for text in texts_at_once)
    assert len({len(text) for text in texts_at_once}) > 1
    assert max(map(len, texts_at_once)) < 200
    assert begun(poet.options, poet.metadata, prompt)[0] == stop_of(poet.options, poet.metadata)[0]


@pytest.mark.parametrize("sampling", [Sampling(2.0, 5), GREEDY])
def test_poems_are_continued_as_texts_are(poet, sampling):
    prompts = ["a", "abc"]
    poems = continued(poet, prompts, sampling, 0)
    begun_with = begun(poet.options, poet.metadata, "a")
    text = stream(poet, "a", 16 - len(begun_with), 0, sampling)
    assert poems[0].removesuffix(END) == "".join(text)
    assert [poem[: len(p)] for p, poem in zip(prompts, poems, strict=True)] == prompts
