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

from absl import flags

from aigc_jax import transformer
from aigc_jax.algorithm import Algorithm
from aigc_jax.data.cldr import load_cldr
from aigc_jax.data.pairs import Pairs, load_pairs
from aigc_jax.errors import InputError
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.paths import define_path, local
from experiments.translate_options import PRESETS, TranslateOptions, to_config
from experiments.translation import (
    Translator,
    batch_of,
    facts_of,
    pack,
    tokenizer_of,
    train_tokenizer,
    translate_lines,
)
from experiments.translation_judge import TranslationJudge


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
    return transformer.make(to_config(options, tokenizer_of(facts).vocabulary_size))


def task(options: TranslateOptions, pairs: Pairs, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on packed rows; judges by the loss, and at the end by the translations themselves."""
    translator = Translator(options, facts)
    train = pack(translator.coder, pairs.train, options)[:-1]
    judge = TranslationJudge(translator, pairs.heldout)
    return Task(
        data=train,
        gather=lambda data, rows: batch_of([x[rows] for x in data]),
        examples=len(train[0]),
        evaluate=judge.loss,
        references=judge.baselines,
        pictures=judge.pictures,
        costly=judge.translations,
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


def main() -> None:
    """The program: training, or with --input translating."""
    source = define_path(
        "input", None, "File to translate line by line, or - for the standard input."
    )

    def translates() -> bool:
        name, workdir = source.value, flags.FLAGS.workdir
        if name is None:
            return False
        if workdir is None:
            raise InputError("--input needs the --workdir of a run that translates")
        translate_lines(local(workdir, "--workdir"), name)
        return True

    launch.main(EXPERIMENT, translates)


if __name__ == "__main__":
    main()
