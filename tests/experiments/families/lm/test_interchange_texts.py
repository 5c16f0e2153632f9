"""Texts of models of other software: what is read, what is missing, and where they end."""

import json
import math

import pytest
from tokenizers import Tokenizer

from aigc_jax.data.documents import END
from aigc_jax.data.foreign_tokenizer import ForeignTokenizer
from aigc_jax.data.text import load_text
from aigc_jax.errors import InputError
from aigc_jax.transformer.interchange import load_folder
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments import export_hf, import_hf
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.families.lm import experiment as lm
from experiments.families.lm import writing
from experiments.families.lm.options import PRESETS
from experiments.runs import training

pytestmark = pytest.mark.xdist_group("interchange_texts")
STORY = "ab ba\r\nab\n" * 9


@pytest.fixture(scope="module")
def poet(tmp_path_factory):
    """A run on documents, so short that the end of one is likely at any place, and its export."""
    place = tmp_path_factory.mktemp("poet")
    (place / "poems.txt").write_text("\n\n".join(a + b for a in "abcdef" for b in "abcdef"))
    values = {"context": 40, "layers": 1, "heads": 2, "width": 8, "steps": 40, "batch_size": 2}
    values |= {"text": str(place / "poems.txt"), "documents": True}
    options = from_flags(PRESETS, {**values, "eval_every": 40, "workdir": str(place / "run")})
    training.train(lm.EXPERIMENT, options, "")
    export_hf.export(str(place / "run"), "newest", str(place / "out"))
    folder = place / "out"
    return open_any(str(place / "run")), load_folder(folder), ForeignTokenizer.read(folder)


@pytest.mark.parametrize(
    ("prompt", "sampling"), [("", ANCESTRAL), ("ab", Sampling(2.0, 5, repetition_penalty=1.5))]
)
def test_an_exported_document_is_the_run_s_and_ends_where_that_does(poet, prompt, sampling):
    run, model, coder = poet
    written = "".join(import_hf.stream(model, coder, prompt, 35, 0, sampling))
    assert written == "".join(writing.stream(run, prompt, 35, 0, sampling))
    assert END not in written
    assert len(written) < 35


def test_the_end_of_documents_is_a_special_token_of_the_export(poet):
    run, model, coder = poet
    (end,) = model.special.ends
    assert model.special.begin == end
    assert coder.encode("a", specials=True)[0] == end
    said = json.loads((run.folder.path.parent / "out" / "tokenizer_config.json").read_text())
    assert (said["bos_token"], said["eos_token"]) == (END, END)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run on characters, its export, and the folder around them."""
    place = tmp_path_factory.mktemp("plain")
    (place / "story.txt").write_bytes(STORY.encode())
    values = {"context": 8, "layers": 1, "heads": 2, "width": 8, "steps": 2, "batch_size": 4}
    values |= {"text": str(place / "story.txt"), "eval_every": 2, "workdir": str(place / "run")}
    training.train(lm.EXPERIMENT, from_flags(PRESETS, values), "")
    export_hf.export(str(place / "run"), "newest", str(place / "out"))
    return place, load_folder(place / "out"), ForeignTokenizer.read(place / "out")


def judged(plain, content, coder=None):
    place, model, own = plain
    (place / "judged.txt").write_bytes(content)
    return import_hf.evaluate(model, coder or own, str(place / "judged.txt"), 8)


def test_a_text_is_read_as_training_reads_it(plain, monkeypatch):
    """Line ends as they are, and no mark of the order of bytes."""
    seen = []
    encode = ForeignTokenizer.encode
    monkeypatch.setattr(
        ForeignTokenizer,
        "encode",
        lambda self, text, *_: (seen.append(text), encode(self, text))[1],
    )
    judged(plain, b"\xef\xbb\xbf" + STORY.encode())
    text = load_text("ignored", str(plain[0] / "judged.txt"))
    assert seen == [text.train + text.heldout] == [STORY]
    with pytest.raises(InputError, match=r"not UTF-8 \(byte 0xe0 at offset 4\)"):
        judged(plain, b"ab b\xe0 a")
    with pytest.raises(InputError, match="holds no text"):
        judged(plain, b" \n\n")


def test_truncation_and_padding_of_a_file_do_not_change_the_loss(plain):
    place = plain[0]
    expected = judged(plain, STORY.encode())
    model = Tokenizer.from_str((place / "out" / "tokenizer.json").read_text())
    model.enable_truncation(4)
    model.enable_padding(length=500)
    assert judged(plain, STORY.encode(), ForeignTokenizer(model.to_str())) == expected


def test_characters_without_a_token_are_told_and_not_counted(plain, capsys):
    """Of "abéab" the model reads four tokens: three are predicted, of four bytes."""
    whole = judged(plain, b"abab")
    assert capsys.readouterr().err == ""
    found = judged(plain, "abéab".encode())
    assert found == whole
    assert found["bits_per_byte"] == pytest.approx(found["nll_nats"] * 3 / 4 / math.log(2))
    assert capsys.readouterr().err == (
        "note: the tokeniser has no token for 1 of 5 characters, 'é': bits_per_byte covers the "
        "others\n"
    )
    judged(plain, ("ab" + "".join(map(chr, range(0xE0, 0xE8)))).encode())
    assert "'ä' and 3 more" in capsys.readouterr().err
    for content in ("éü", "aé"):
        with pytest.raises(InputError, match=r"judged.txt has . tokens, and there is none for 'é'"):
            judged(plain, content.encode())


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("abéa", "the tokeniser has no token for 'é'; prompt without it"),
        ("ab\udcc3", r"the prompt is not UTF-8 \(byte 0xc3 for character 3\)"),
        ("ab\ud800", r"the prompt is not UTF-8 \(U\+D800 for character 3\)"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(plain, prompt, message):
    place, model, coder = plain
    with pytest.raises(InputError, match=message):
        next(import_hf.stream(model, coder, prompt, 3, 0, ANCESTRAL))
    if "é" not in prompt:
        with pytest.raises(InputError, match=message):
            writing.stream(open_any(str(place / "run")), prompt, 3, 0)


def test_generation_config_s_stops_are_obeyed(plain, tmp_path):
    place, model, coder = plain
    every = tuple(range(model.architecture.vocabulary_size))
    stopping = model._replace(special=model.special._replace(ends=every))
    written = "".join(import_hf.stream(stopping, coder, "ab", 30, 0, ANCESTRAL))
    assert len(written) == 3
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((place / "out" / name).read_bytes())
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": list(every)}))
    assert load_folder(tmp_path).special.ends == every


@pytest.mark.parametrize("module", ["sample", "import_hf"])
def test_bytes_on_a_command_line_are_one_line(plain, launch, module):
    place = plain[0]
    target = ["--workdir=run"] if module == "sample" else ["out"]
    done = launch(f"experiments.{module}", *target, "--prompt=a\udcff", cwd=place, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the prompt is not UTF-8 (byte 0xff for character 2)")
    assert done.stderr.count("\n") == 1
