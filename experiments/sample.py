"""Draws samples from a run, from its folder alone.

    python -m experiments.sample --workdir=runs/gan-mnist5k-r3gan --num=64 --out=samples.png
    python -m experiments.sample --workdir=runs/vae-mnist5k-default --num=1000 --out=samples.npz
    python -m experiments.sample --workdir=runs/lm-python_docs-default --num=3 --out=samples.txt

The newest checkpoint is taken, or with --checkpoint=best that of the lowest held-out score, where
the experiment has one. The run is only read.
"""

import io
import math

import numpy as np
from absl import app, flags

from aigc_jax.errors import InputError
from aigc_jax.pictures import image_grid
from experiments import launch, texts
from experiments.finished import CHECKPOINTS, Finished, open_run
from experiments.images import grid
from experiments.options import check_seed
from experiments.output import check_out, write_out

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run to sample from. Required.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "newest", CHECKPOINTS, "Which state to sample from.")
NUM = flags.DEFINE_integer("num", 64, "How many samples.")
OUT = flags.DEFINE_string(
    "out",
    None,
    "File to write, replaced when it exists: .png (a grid of images), .npz (array `images`, "
    "float32 [num, H, W, C] in [0, 1]) or .txt (texts, parted by a line of dashes). Required.",
)
SEED = flags.DEFINE_integer("seed", 0, "Decides the samples; the first n of more are the same n.")


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


def draw(run: Finished, num: int, seed: int) -> np.ndarray | list[str]:
    """`num` samples: images `[num, H, W, C]`, or texts."""
    samples = run.experiment.sample(run.options, run.facts, run.algorithm, run.state, num, seed)
    return samples if isinstance(samples, list) else np.asarray(samples)


def main(_: list[str]) -> None:
    """The command."""

    def command() -> None:
        if not WORKDIR.value or not OUT.value:
            raise InputError("--workdir and --out are required; see --help")
        if NUM.value < 1:
            raise InputError(f"--num must be at least 1, got {NUM.value}")
        check_seed(SEED.value)
        out = check_out(OUT.value)
        run = open_run(WORKDIR.value, CHECKPOINT.value)
        write_out(out, encode(draw(run, NUM.value, SEED.value), out.suffix))
        print(f"{NUM.value} samples of {WORKDIR.value} at step {run.step} in {out}")

    launch.report_errors(command)


if __name__ == "__main__":
    app.run(main, flags_parser=launch.parse)
