"""Evaluates the form of the Chinese verse that a language model writes.

    python -m experiments.lm --text=poems.txt --documents --context=128 --workdir=runs/poems
    python -m experiments.verse --workdir=runs/poems --text=poems.txt

Poems in the file are separated by blank lines; each consists of title, author and verse, on
separate lines. For each held-out poem in regulated verse, the model is given title, author and
first line, and continues. Reported are the shares of poems whose lines are all as long as the
first, and of those that also have four or eight lines. A poem longer than the model's context is
evaluated without the line that this cuts off. A few poems are shown.
"""

from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from aigc_jax import parallel, printed, transformer
from aigc_jax.data.documents import END, documents_of
from aigc_jax.errors import InputError
from aigc_jax.metrics.verse import first_line, is_regulated, shares, up_to_last_line
from aigc_jax.transformer.sampling import Sampling
from experiments.catalogue import open_any
from experiments.cli import launch, sampling_flags
from experiments.cli.options import check_seed
from experiments.cli.paths import define_path
from experiments.data import texts
from experiments.families.lm.options import to_config
from experiments.families.lm.writing import begun, stop_of
from experiments.runs.restore import CHECKPOINTS, Restored

AT_ONCE = 64  # poems
SHOWN = 3


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of a run on documents. Required.", values)
    flags.DEFINE_enum(
        "checkpoint", "newest", CHECKPOINTS, "Which state to evaluate.", flag_values=values
    )
    define_path("text", None, "The text's new path, if it has moved.", values)
    flags.DEFINE_integer(
        "num", 500, "Maximum number of poems to evaluate.", lower_bound=1, flag_values=values
    )
    sampling_flags.define_flags(values)
    flags.DEFINE_integer("seed", 0, "Random seed.", flag_values=values)


def heads_and_verses(documents: list[str]) -> list[tuple[str, str]]:
    """Title and author with their line breaks, and the verse, of each poem in regulated verse."""
    found = []
    for document in documents:
        *head, verse = document.split("\n", 2)
        if len(head) == 2 and is_regulated(verse):
            found.append(("".join(f"{line}\n" for line in head), verse))
    return found


def continued(run: Restored, prompts: list[str], sampling: Sampling, seed: int) -> list[str]:
    """A poem for each prompt, prompt included; one that does not end in `END` fills the context."""
    networks = transformer.networks_of(to_config(run.options, run.metadata))
    coder, stop = texts.tokenizer(run.metadata), stop_of(run.options, run.metadata)
    given = [begun(run.options, run.metadata, prompt) for prompt in prompts]
    lengths = np.array([len(tokens) for tokens in given])
    padded = np.zeros((len(given), lengths.max()), np.int32)
    for row, tokens in zip(padded, given, strict=True):
        row[: len(tokens)] = tokens

    write = jax.jit(
        partial(
            transformer.complete,
            length=networks.context,
            networks=networks,
            sampling=sampling,
            stop=stop,
        )
    )
    keys, poems = parallel.example_keys(jax.random.key(seed), len(given)), []
    for start in range(0, len(given), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        rows, ends = write(
            run.state.eval_params, padded[part], jnp.asarray(lengths[part]), keys[part]
        )
        pairs = zip(np.asarray(rows), np.asarray(ends), strict=True)
        poems += [coder.decode(row[1:end]) for row, end in pairs]
    return poems


def whole_lines(verse: str) -> str:
    """The verse if it has ended, else up to the last line that the context left whole."""
    ended = verse.removesuffix(END)
    return ended if ended != verse else up_to_last_line(verse)


def verse(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    workdir, seed = arguments.workdir, arguments.seed
    if not workdir:
        raise InputError("--workdir is required; see --help")
    check_seed(seed)
    sampling = sampling_flags.sampling_of(arguments)
    run = open_any(workdir, arguments.checkpoint, text=arguments.text)
    if run.experiment.name != "lm" or not run.options.documents:
        raise InputError(f"the run in {workdir} was not trained on documents: use lm --documents")
    heldout = heads_and_verses(documents_of(texts.load(run.options).heldout))
    longest = run.options.context // 2  # tokens of a prompt, so that the rest of the poem fits
    heads = [(head, head + first_line(verse)) for head, verse in heldout]
    heads = [(head, prompt) for head, prompt in heads if len(prompt) < longest][: arguments.num]
    if not heads:
        raise InputError("no held-out document consists of a title, an author and regulated verse")
    poems = continued(run, [prompt for _, prompt in heads], sampling, seed)
    verses = [whole_lines(poem[len(head) :]) for poem, (head, _) in zip(poems, heads, strict=True)]
    shown = texts.SEPARATOR.join(poem.rstrip(END) for poem in poems[:SHOWN])
    print(printed.lines(shown), end="\n\n")
    for name, share in shares(verses).items():
        print(f"{name} {share:.4f} of {len(verses)} poems")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, verse, arguments)


if __name__ == "__main__":
    main()
