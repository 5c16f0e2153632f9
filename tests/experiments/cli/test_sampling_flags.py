"""The sampling flags are declared once, and obeyed by every program that writes text."""

from types import SimpleNamespace

import pytest

from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from experiments import import_hf, sample, verse
from experiments.cli import launch, sampling_flags

FLAGS = ["--temperature=0.5", "--top_k=7", "--top_p=0.9", "--min_p=0.05", "--repetition_penalty=2"]
SAMPLING = Sampling(0.5, 7, 0.9, 0.05, 2.0)
POEM = "題\n作者\n一二三四五，六七八九十。\n十九八七六，五四三二一。"
RUN = SimpleNamespace(
    experiment=SimpleNamespace(name="lm", sample=...),
    options=SimpleNamespace(documents=True, context=99),
    metadata={},
    algorithm=None,
    state=None,
)


def returning(value):
    return lambda *_, **__: value


def run_sample(flags, got, patch):
    patch.setattr(sample, "open_any", returning(RUN))
    patch.setattr(sample, "stream", lambda *given: got.append(given[-1]) or [])
    patch.setattr(sample, "write", lambda *given: got.append(given[-1]) or [])
    for more in ([], ["--num=2"]):
        given = ["--workdir=run", *more, *flags]
        sample.sample(launch.parse(None, sample.define_flags, given))


def run_verse(flags, got, patch):
    def continued(run, prompts, sampling, seed):
        got.append(sampling)
        return [POEM]

    patch.setattr(verse, "open_any", returning(RUN))
    patch.setattr(verse.texts, "load", returning(SimpleNamespace(heldout=POEM)))
    patch.setattr(verse, "continued", continued)
    verse.verse(launch.parse(None, verse.define_flags, ["--workdir=run", *flags]))


def run_import_hf(flags, got, patch):
    patch.setattr(import_hf, "load_folder", returning(None))
    patch.setattr(import_hf.ForeignTokenizer, "read", returning(None))
    patch.setattr(import_hf, "stream", lambda *given: got.append(given[-1]) or [])
    import_hf.run(launch.parse(None, import_hf.define_flags, ["folder", *flags], ["FOLDER"]))


@pytest.mark.parametrize("program", [run_sample, run_verse, run_import_hf])
@pytest.mark.parametrize(("flags", "expected"), [(FLAGS, SAMPLING), ([], ANCESTRAL)])
def test_every_program_heeds_every_flag(program, flags, expected, monkeypatch):
    got = []
    program(flags, got, monkeypatch)
    assert got
    assert set(got) == {expected}


@pytest.mark.parametrize("name", sampling_flags.NAMES)
def test_an_impossible_value_is_refused_by_the_name_of_its_flag(name):
    given = launch.parse(None, import_hf.define_flags, ["folder", f"--{name}=-1"], ["FOLDER"])
    with pytest.raises(InputError, match=f"^--{name} must be"):
        sampling_flags.sampling_of(given)
