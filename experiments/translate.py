"""Trains a Transformer to translate, or translates with one.

    python -m experiments.translate                 # dates and names, English to Chinese
    python -m experiments.translate --target=de     # any locale
    python -m experiments.translate --preset=tiny_mt --pairs=FILE.tsv --source=en --target=de
    python -m experiments.translate --preset=tiny_mt --source_file=FILE --target_file=FILE
    python -m experiments.translate --workdir=runs/translate-cldr-en-zh-default --input=FILE
    echo "Monday, June 3, 2024" | python -m experiments.translate --workdir=... --input=-

With --input, each line of the file (- is the standard input) is translated by the run in --workdir;
one line comes out for each that goes in, blank ones too. Run a training again to continue it.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import flags

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.cldr import load_cldr
from aigc_jax.data.pairs import Pairs, load_pairs
from aigc_jax.errors import InputError
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.translate_options import PRESETS, TranslateOptions, to_config
from experiments.translation import (
    Translator,
    batch_of,
    facts_of,
    pack,
    scores,
    show,
    train_tokenizer,
)

SHOWN = 20  # held-out pairs on the page
ROWS = 64  # of packed pairs whose loss is computed at once


def load(options: TranslateOptions) -> Pairs:
    """The pairs that the options name.

    Raises:
      InputError: they cannot be used.
    """
    files = (options.pairs, options.source_file, options.target_file)
    heldout = (options.heldout_source, options.heldout_target)
    if any(files) or any(heldout):
        return load_pairs(*files, *heldout)
    return load_cldr(options.source, options.target)


def facts(options: TranslateOptions, pairs: Pairs) -> dict:
    """The tokeniser, so that a run translates without its pairs."""
    return facts_of(train_tokenizer(pairs, options.vocabulary))


def algorithm(options: TranslateOptions, facts: dict) -> Algorithm:
    """The translator that the options describe."""
    return transformer.make(to_config(options, Translator(options, facts).coder.vocabulary_size))


def task(options: TranslateOptions, pairs: Pairs, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on packed rows; judges by the loss, and at the end by the translations themselves."""
    translator = Translator(options, facts)
    train, heldout = (
        pack(translator.coder, some, options)[:-1] for some in (pairs.train, pairs.heldout)
    )
    sources, references = zip(*pairs.heldout, strict=True)

    def evaluate(state):
        parts = (slice(i, i + ROWS) for i in range(0, len(heldout[0]), ROWS))
        batches = (batch_of([jnp.asarray(x[part]) for x in heldout]) for part in parts)
        nll = transformer.mean_nll(state.judged, batches, networks=translator.networks)
        return {"nll_nats": nll, "perplexity": float(np.exp(nll))}

    def costly(state):
        figures, signatures = scores(
            translator.translate(state.judged, sources), references, options.target
        )
        for name, signature in signatures.items():
            print(f"{name}: {signature}", file=sys.stderr)
        return figures

    def pictures(state):
        translated = translator.translate(state.judged, sources[:SHOWN])
        return {"samples": show(sources[:SHOWN], translated, references[:SHOWN])}

    return Task(
        data=train,
        gather=lambda data, rows: batch_of([x[rows] for x in data]),
        examples=len(train[0]),
        evaluate=evaluate,
        references=lambda: {"the source itself": scores(sources, references, options.target)[0]},
        pictures=pictures,
        costly=costly,
    )


def sample(options: TranslateOptions, *_) -> list[str]:
    """There is nothing to be drawn."""
    raise InputError(
        "a translator needs something to translate: experiments.translate --input=FILE"
    )


EXPERIMENT = Experiment(
    name="translate",
    title="Transformer translator",
    presets=PRESETS,
    load=load,
    facts=facts,
    algorithm=algorithm,
    task=task,
    sample=sample,
    extendable=lambda options: options.schedule == "constant",
)


def translate_lines(workdir: str, name: str) -> None:
    """Writes the translation of each line of a file to the standard output.

    Raises:
      InputError: the run or the file cannot be used, or a line is too long.
    """
    from experiments.finished import open_run  # which knows every launcher

    run = open_run(workdir)
    if run.experiment.name != EXPERIMENT.name:
        raise InputError(f"workdir {workdir} holds a run of experiments.{run.experiment.name}")
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"--input: cannot read {name} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--input: {name} is not UTF-8 (byte {error.start})") from error
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]  # what follows the last line break is no line
    for line in Translator(run.options, run.facts).translate(run.state.judged, lines):
        print(line)


def main() -> None:
    """The program: training, or with --input translating."""
    flags.DEFINE_string(
        "input", None, "File to translate line by line, or - for the standard input."
    )

    def translates() -> bool:
        name, workdir = flags.FLAGS.input, flags.FLAGS.workdir
        if name is None:
            return False
        if workdir is None:
            raise InputError("--input needs the --workdir of a run that translates")
        translate_lines(workdir, name)
        return True

    launch.main(EXPERIMENT, translates)


if __name__ == "__main__":
    main()
