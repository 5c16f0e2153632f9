"""Draws samples from a run, given only its folder.

    python -m experiments.sample --workdir=runs/gan-mnist5k-r3gan --num=64 --out=samples.png
    python -m experiments.sample --workdir=runs/vae-mnist5k-default --num=1000 --out=samples.npz
    python -m experiments.sample --workdir=runs/conditional --labels=3,3,7 --out=digits.png
    python -m experiments.sample --workdir=runs/lm-python_docs-default --num=3 --out=samples.txt
    python -m experiments.sample --workdir=runs/lm-python_docs-default --prompt="The value of"
    python -m experiments.sample --workdir=runs/prior-fsdd --labels=7:theo --num=4 --out=seven.wav
    python -m experiments.sample --workdir=runs/prior-told --caption="theo says seven" --out=7.wav
    python -m experiments.sample --workdir=runs/prior-moving --prompt_file=begun.gif --out=video.mp4

Without --out, text goes to the terminal; a single sample appears as it is written.

The newest checkpoint is used, or with --checkpoint=best the one with the lowest held-out score, if
the experiment has a score. The run is only read.
"""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from absl import flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from experiments.catalogue import open_any
from experiments.cli import launch, sampling_flags
from experiments.cli.options import check_seed
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import define_path
from experiments.data import texts
from experiments.data.images import grid
from experiments.families.lm.writing import stream, write
from experiments.families.prior import sampling as signals
from experiments.runs.restore import CHECKPOINTS, Restored

OF_TEXT = ("prompt", "length", *sampling_flags.NAMES)
OF_PRIORS = ("caption", "prompt_file", "guidance", "passes")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the run to sample from. Required.", values)
    flags.DEFINE_enum(
        "checkpoint", "newest", CHECKPOINTS, "Which state to sample from.", flag_values=values
    )
    flags.DEFINE_integer(
        "num", None, "Number of samples. Default: 64 images or 1 text.", flag_values=values
    )
    define_path(
        "out",
        None,
        "File to write, replaced if it exists: .png (a grid of images), .wav (sounds one after "
        "another), .gif or .mp4 (a grid of videos), .npz (array `images`, float32 [num, H, W, C] "
        "in [0, 1]; of a prior, integers `images`, `sounds` or `videos`, and `labels` or "
        "`captions`) or .txt "
        "(texts, separated by dashes). All but texts need one.",
        values,
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Random seed; the first n samples are the same whatever --num is.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "labels",
        None,
        "For class-conditional models: the classes to draw, such as 3,3,7, repeated in turn where "
        "--num asks for more; of a prior also by name, and with several attributes as 7:theo or "
        "7:?. Default: all classes in turn.",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "caption",
        None,
        "For priors that were told captions: what to draw. Give it again for others, which are "
        "repeated in turn where --num asks for more. Default: captions of held-out data.",
        flag_values=values,
    )
    define_path(
        "prompt_file", None, "For priors of sounds and videos: a file to be continued.", values
    )
    flags.DEFINE_float(
        "guidance",
        None,
        "For priors: weight of labels or captions, 1 as learned. Default: the run's.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "passes",
        None,
        "For priors that write in any order: passes of the network. Default: the run's.",
        flag_values=values,
    )
    flags.DEFINE_string("prompt", None, "For text: what it begins with.", flag_values=values)
    flags.DEFINE_integer("length", 500, "For text: tokens to write.", flag_values=values)
    sampling_flags.define_flags(values, "For text and priors: ")


def encode(samples: np.ndarray | list[str], suffix: str) -> bytes:
    """The contents of a file with this suffix.

    Raises:
      InputError: samples of this kind are not written to such files.
    """
    if isinstance(samples, list):
        if suffix != ".txt":
            raise InputError(f"--out: texts go to .txt, not {suffix or 'a file with no suffix'}")
        return (texts.SEPARATOR.join(samples) + "\n").encode()
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=samples)
        return buffer.getvalue()
    if suffix != ".png":
        raise InputError(
            f"--out: images go to .png or .npz, not {suffix or 'a file with no suffix'}"
        )
    return grid(samples, columns=math.isqrt(len(samples) - 1) + 1).encode()


def sampler(run: Restored) -> Callable[..., Any]:
    """The experiment's `sample`.

    Raises:
      InputError: it has none.
    """
    if run.experiment.sample is None:
        raise InputError(
            f"the run in {run.folder.path} is of experiments.{run.experiment.name}, which has "
            "nothing to sample"
        )
    return run.experiment.sample


def draw(
    run: Restored, num: int, seed: int, labels: np.ndarray | None = None
) -> np.ndarray | list[str]:
    """`num` samples: images `[num, H, W, C]`, of the classes `[num]` if given, or texts."""
    model = (run.options, run.metadata, run.algorithm, run.state)
    told = {} if labels is None else {"labels": labels}
    samples = sampler(run)(*model, num, seed, **told)
    return samples if isinstance(samples, list) else np.asarray(samples)


def classes(run: Restored, labels: list[str] | None) -> list[int]:
    """The classes that --labels names; empty without it.

    Raises:
      InputError: the model is not class-conditional, or does not have these classes.
    """
    if labels is None:
        return []
    if not getattr(run.options, "conditional", False):
        raise InputError(
            f"--labels is for models trained with --conditional; not the run in {run.folder.path}"
        )
    known = run.metadata["classes"]
    for label in labels or [""]:
        if not label.isdecimal() or len(label) > 9 or int(label) >= known:
            raise InputError(
                f"--labels takes classes from 0 to {known - 1}, such as 0,0,{known - 1}; "
                f"got {label!r}"
            )
    return [int(label) for label in labels]


def write_texts(run: Restored, arguments: launch.Arguments, out: Path | None) -> int:
    """Writes texts to a file or to the terminal, a single one as it comes. Returns how many."""
    if arguments.given("labels"):
        raise InputError(f"--labels is for runs on images; the run in {run.folder.path} is on text")
    if out:
        encode([], out.suffix)
    length, seed, num = arguments.length, arguments.seed, arguments.num or 1
    if length < 1:
        raise InputError(f"--length must be at least 1, got {length}")
    how, prompt = sampling_flags.sampling_of(arguments), arguments.prompt or ""
    if num == 1 and not out:
        for piece in stream(run, prompt, length, seed, how):
            print(printed.lines(piece), end="", flush=True)
        print()
        return num
    model = (run.options, run.metadata, run.algorithm, run.state)
    written = write(*model, prompt, num, length, seed, how)
    if out:
        write_out(out, encode(written, out.suffix))
    else:
        print(printed.lines(texts.SEPARATOR.join(written)))
    return num


def write_images(run: Restored, arguments: launch.Arguments, out: Path | None) -> int:
    """Writes images to a file. Returns how many."""
    labels = classes(run, arguments.labels)
    num = arguments.num or len(labels) or 64
    if given := arguments.given(*OF_TEXT):
        raise InputError(
            f"--{given[0]} is for runs on text; the run in {run.folder.path} is on images"
        )
    if out is None:
        raise InputError("--out is required for images; see --help")
    told = np.resize(np.array(labels, np.int32), num) if labels else None
    write_out(out, encode(draw(run, num, arguments.seed, told), out.suffix))
    return num


def write_signals(run: Restored, arguments: launch.Arguments, out: Path | None) -> int:
    """Writes what a prior makes to a file. Returns how many."""
    if given := arguments.given("prompt", "length"):
        raise InputError(f"--{given[0]} is for runs on text; see --prompt_file")
    if out is None:
        raise InputError("--out is required for all but texts; see --help")
    medium = run.metadata["medium"]
    signals.check_suffix(medium, out.suffix)
    named = arguments.labels or arguments.caption or []
    num = arguments.num or len(named) or (64 if medium == "image" else 4)
    labels = signals.labels_of(run, arguments.labels, num)
    captions = signals.captions_of(run, arguments.caption, num)
    told = labels is not None or captions is not None
    signals.check_weights(run, arguments.guidance, arguments.passes, told)
    path = arguments.prompt_file
    model = (run.options, run.metadata, run.algorithm, run.state)
    found = sampler(run)(
        *model,
        num,
        arguments.seed,
        labels=labels,
        captions=signals.source_of(run, captions),
        prompt=None if path is None else signals.prompt_of(run, path, num),
        guidance=arguments.guidance,
        passes=arguments.passes,
        sampling=sampling_flags.sampling_of(arguments),
    )
    write_out(out, signals.encoded(found, run.metadata, out.suffix, labels, captions))
    return num


def sample(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    workdir, num = arguments.workdir, arguments.num
    if not workdir:
        raise InputError("--workdir is required; see --help")
    if num is not None and num < 1:
        raise InputError(f"--num must be at least 1, got {num}")
    check_seed(arguments.seed)
    out = check_out(arguments.out) if arguments.out else None
    run = open_any(workdir, arguments.checkpoint)
    sampler(run)  # or nothing below matters
    kind = {"lm": write_texts, "prior": write_signals}.get(run.experiment.name, write_images)
    if kind is not write_signals and (given := arguments.given(*OF_PRIORS)):
        raise InputError(f"--{given[0]} is for runs of experiments.prior; see --help")
    num = kind(run, arguments, out)
    if out:
        print(printed.line(f"{num} samples of {workdir} at step {run.step} in {out}"))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, sample, arguments)


if __name__ == "__main__":
    main()
