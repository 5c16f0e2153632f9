"""The translator, as an experiment."""

from aigc_jax import transformer
from aigc_jax.data.cldr import load_cldr
from aigc_jax.data.pairs import Pairs, load_pairs
from aigc_jax.metrics.translation import require
from experiments.families.transformer.options import extendable
from experiments.families.translate.descriptions import of_translation
from experiments.families.translate.evaluator import CAPTIONS, Evaluator
from experiments.families.translate.options import PRESETS, TranslateOptions, to_config
from experiments.families.translate.translation import (
    SentenceTranslator,
    batch_of,
    metadata_of,
    pack,
    tokenizer_of,
    train_tokenizer,
)
from experiments.runs.experiment import Experiment, Task


def load(options: TranslateOptions) -> Pairs:
    """The pairs that the options name.

    Raises:
      InputError: they cannot be used, or what evaluates translations is not installed.
    """
    require()
    files = (options.pairs, options.source_file, options.target_file)
    heldout = (options.heldout_source, options.heldout_target)
    if any(files) or any(heldout):
        return load_pairs(*files, *heldout)
    return load_cldr(options.source, options.target)


def metadata(options: TranslateOptions, pairs: Pairs) -> dict:
    """The tokeniser, so that a run translates without its pairs."""
    return metadata_of(train_tokenizer(pairs, options.vocabulary))


def algorithm(options: TranslateOptions, metadata: dict) -> transformer.Translator:
    """The translator that the options describe."""
    return transformer.make(to_config(options, tokenizer_of(metadata).vocabulary_size))


def task(
    options: TranslateOptions, pairs: Pairs, metadata: dict, algorithm: transformer.Translator
) -> Task:
    """Trains on packed rows; evaluates the loss, and at the end the translations themselves."""
    translator = SentenceTranslator(options, metadata, algorithm)
    train = pack(translator.coder, pairs.train, options)[:-1]
    evaluator = Evaluator(translator, pairs.heldout)
    return Task(
        data=train,
        gather=lambda data, rows: batch_of([x[rows] for x in data]),
        examples=len(train[0]),
        evaluate=evaluator.loss,
        baselines=evaluator.baselines,
        artefacts=evaluator.artefacts,
        final_metrics=evaluator.translations,
    )


EXPERIMENT = Experiment(
    name="translate",
    title="Transformer translator",
    presets=PRESETS,
    load=load,
    metadata=metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_translation,
    captions=CAPTIONS,
    extendable=extendable,
)
