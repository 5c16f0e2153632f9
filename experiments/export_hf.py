"""Writes a language model's run as a folder that Hugging Face's `transformers` loads.

    python -m experiments.export_hf --workdir=runs/lm-python_docs-default exported
    >>> AutoModelForCausalLM.from_pretrained("exported"), AutoTokenizer.from_pretrained("exported")

OUTPUT is a new folder with config.json, model.safetensors and tokenizer.json. The parameters are
those the run is evaluated with: the averaged ones, where it keeps an average. A model with biases,
LayerNorm and learned positions becomes GPT-2; one with Llama's blocks becomes Llama, or Qwen 3 if
queries and keys are normalised. A feature that none of these has is refused by name, such as a
window or the post-norm of --preset=textbook.

Characters and bytes keep their token ids. Text in transformers should begin as unprompted text
does here, with a line break; for a run on documents this happens by itself, with U+001E, which is
a special token there: texts begin with it, and generation stops at it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import flags

from aigc_jax import printed
from aigc_jax.data.documents import END
from aigc_jax.data.tokenizer_json import tokenizer_json
from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps
from aigc_jax.transformer.interchange import check_new, family_of, save_folder
from experiments.catalogue import open_any
from experiments.cli import launch
from experiments.cli.paths import define_path, local
from experiments.data import texts
from experiments.families.lm.options import to_config
from experiments.families.lm.writing import stop_of
from experiments.runs.restore import CHECKPOINTS


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the run to export. Required.", values)
    flags.DEFINE_enum(
        "checkpoint", "newest", CHECKPOINTS, "Which state to export.", flag_values=values
    )


def export(workdir: str | None, checkpoint: str, out: str) -> None:
    """Writes a run's model to a new folder.

    Raises:
      InputError: the run is not of text, its model has no counterpart, or OUTPUT is not new.
    """
    if not workdir:
        raise InputError("--workdir is required; see --help")
    target = Path(os.path.realpath(local(out, "OUTPUT")))  # a link is kept and followed
    check_new(target)
    run = open_any(workdir, checkpoint)
    if run.experiment.name != "lm":
        raise InputError(f"the run in {workdir} is not of a language model and cannot be exported")
    config = to_config(run.options, run.metadata)
    try:
        family_of(config)
    except InputError as error:
        raise InputError(f"the model in {workdir} cannot be exported: {error}") from error
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.context,
        "clean_up_tokenization_spaces": False,
    }
    end = END if run.options.documents else None
    if end:
        settings |= {"bos_token": end, "eos_token": end}
    files = {
        "tokenizer.json": tokenizer_json(texts.tokenizer(run.metadata), end),
        "tokenizer_config.json": dumps(settings, indent=2) + "\n",
    }
    ends = stop_of(run.options, run.metadata)
    save_folder(target, config, run.state.eval_params, files, end=ends[0] if ends else None)
    print(printed.line(f"the model of {workdir} at step {run.step} is in {out}"))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(
        __doc__,
        define_flags,
        lambda given: export(given.workdir, given.checkpoint, *given.positional),
        arguments,
        names=("OUTPUT",),
    )


if __name__ == "__main__":
    main()
