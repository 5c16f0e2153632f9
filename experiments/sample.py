"""Draws samples from a run, from its folder alone.

    python -m experiments.sample --workdir=runs/gan-mnist5k-r3gan --num=64 --out=samples.png
    python -m experiments.sample --workdir=runs/vae-mnist5k-default --num=1000 --out=samples.npz
    python -m experiments.sample --workdir=runs/conditional --labels=3,3,7 --out=digits.png
    python -m experiments.sample --workdir=runs/lm-python_docs-default --num=3 --out=samples.txt
    python -m experiments.sample --workdir=runs/lm-python_docs-default --prompt="The value of"

Without --out, text goes to the terminal: a single one as it is written.

The newest checkpoint is taken, or with --checkpoint=best that of the lowest held-out score, where
the experiment has one. The run is only read.
"""

import io
import math
from pathlib import Path

import numpy as np
from absl import app, flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.pictures import image_grid
from aigc_jax.transformer.sampling import Sampling
from experiments import launch, texts
from experiments.finished import CHECKPOINTS, Finished, open_run
from experiments.images import grid
from experiments.options import check_seed
from experiments.output import check_out, write_out
from experiments.paths import define_path
from experiments.streaming import stream
from experiments.writing import write

WORKDIR = define_path("workdir", None, "Folder of the run to sample from. Required.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "newest", CHECKPOINTS, "Which state to sample from.")
NUM = flags.DEFINE_integer("num", None, "How many samples: 64 images or 1 text without it.")
OUT = define_path(
    "out",
    None,
    "File to write, replaced when it exists: .png (a grid of images), .npz (array `images`, "
    "float32 [num, H, W, C] in [0, 1]) or .txt (texts, parted by a line of dashes). Images "
    "need one.",
)
SEED = flags.DEFINE_integer("seed", 0, "Decides the samples; the first n of more are the same n.")
LABELS = flags.DEFINE_list(
    "labels",
    None,
    "Of class-conditional models: the classes to draw, such as 3,3,7, in turn where --num asks for "
    "more. Without it, all classes in turn.",
)
PROMPT = flags.DEFINE_string("prompt", None, "Of text: what it begins with.")
LENGTH = flags.DEFINE_integer("length", 500, "Of text: tokens to write.")
TEMPERATURE = flags.DEFINE_float(
    "temperature", 1.0, "Of text: below 1 the probable becomes more so; 0 takes the most probable."
)
TOP_K = flags.DEFINE_integer("top_k", None, "Of text: draw from so many most probable tokens.")
TOP_P = flags.DEFINE_float(
    "top_p", None, "Of text: draw from the fewest tokens that have this probability together."
)
MIN_P = flags.DEFINE_float(
    "min_p", None, "Of text: leave out tokens below this share of the most probable's probability."
)
REPETITION_PENALTY = flags.DEFINE_float(
    "repetition_penalty", 1.0, "Of text: above 1, tokens that were there become less probable."
)
OF_TEXT = (PROMPT, LENGTH, TEMPERATURE, TOP_K, TOP_P, MIN_P, REPETITION_PENALTY)


def encode(samples: np.ndarray | list[str], suffix: str) -> bytes:
    """The contents of a file of that kind.

    Raises:
      InputError: the samples cannot be written as such.
    """
    if isinstance(samples, list):
        if suffix != ".txt":
            raise InputError(f"--out: texts go to .txt, not {suffix or 'a file without an ending'}")
        return (texts.SEPARATOR.join(samples) + "\n").encode()
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=samples)
        return buffer.getvalue()
    if suffix != ".png":
        raise InputError(
            f"--out: images go to .png or .npz, not {suffix or 'a file without an ending'}"
        )
    return image_grid(grid(samples, columns=math.isqrt(len(samples) - 1) + 1))


def draw(
    run: Finished, num: int, seed: int, labels: np.ndarray | None = None
) -> np.ndarray | list[str]:
    """`num` samples: images `[num, H, W, C]`, of the classes `[num]` if given, or texts."""
    model = (run.options, run.facts, run.algorithm, run.state)
    told = {} if labels is None else {"labels": labels}
    samples = run.experiment.sample(*model, num, seed, **told)
    return samples if isinstance(samples, list) else np.asarray(samples)


def classes(run: Finished) -> list[int]:
    """The classes that --labels names; none without it.

    Raises:
      InputError: the model knows no classes, or not these.
    """
    if LABELS.value is None:
        return []
    if not getattr(run.options, "conditional", False):
        raise InputError(
            f"--labels is of models trained with --conditional; the run in {WORKDIR.value} is not"
        )
    known = run.facts["classes"]
    for label in LABELS.value or [""]:
        if not label.isdecimal() or len(label) > 9 or int(label) >= known:
            raise InputError(
                f"--labels takes classes from 0 to {known - 1}, such as 0,0,{known - 1}; "
                f"got {label!r}"
            )
    return [int(label) for label in LABELS.value]


def sampling() -> Sampling:
    """How the flags say that a token is chosen.

    Raises:
      InputError: names the flag whose value is impossible.
    """
    try:
        return Sampling(
            TEMPERATURE.value, TOP_K.value, TOP_P.value, MIN_P.value, REPETITION_PENALTY.value
        )
    except ValueError as error:
        raise InputError(f"--{error}") from error


def write_texts(run: Finished, num: int, seed: int, out: Path | None) -> None:
    """Texts, to a file or to the terminal: a single one as it comes."""
    if LENGTH.value < 1:
        raise InputError(f"--length must be at least 1, got {LENGTH.value}")
    how, prompt = sampling(), PROMPT.value or ""
    if num == 1 and not out:
        for piece in stream(run, prompt, LENGTH.value, seed, how):
            print(printed.lines(piece), end="", flush=True)
        print()
        return
    model = (run.options, run.facts, run.algorithm, run.state)
    written = write(*model, prompt, num, LENGTH.value, seed, how)
    if out:
        write_out(out, encode(written, out.suffix))
    else:
        print(printed.lines(texts.SEPARATOR.join(written)))


def main(_: list[str]) -> None:
    """The command."""

    def command() -> None:
        if not WORKDIR.value:
            raise InputError("--workdir is required; see --help")
        if NUM.value is not None and NUM.value < 1:
            raise InputError(f"--num must be at least 1, got {NUM.value}")
        check_seed(SEED.value)
        out = check_out(OUT.value) if OUT.value else None
        run = open_run(WORKDIR.value, CHECKPOINT.value)
        if run.experiment.name == "lm":
            if LABELS.present:
                raise InputError(f"--labels is of images; the run in {WORKDIR.value} is of text")
            num = NUM.value or 1
            if out:
                encode([], out.suffix)
            write_texts(run, num, SEED.value, out)
        else:
            labels = classes(run)
            num = NUM.value or len(labels) or 64
            given = [flag.name for flag in OF_TEXT if flag.present]
            if given:
                raise InputError(f"--{given[0]} is of text; the run in {WORKDIR.value} has none")
            if out is None:
                raise InputError("--out is required for images; see --help")
            told = np.resize(np.array(labels, np.int32), num) if labels else None
            write_out(out, encode(draw(run, num, SEED.value, told), out.suffix))
        if out:
            print(printed.line(f"{num} samples of {WORKDIR.value} at step {run.step} in {out}"))

    launch.report_errors(command)


if __name__ == "__main__":
    app.run(main, flags_parser=launch.parse)
