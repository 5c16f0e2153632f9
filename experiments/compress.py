"""Compresses images with a trained VAE, without loss.

    python -m experiments.vae --dataset=mnist --preset=gated --workdir=runs/binary
    python -m experiments.compress --workdir=runs/binary --binarise t10k-images-idx3-ubyte.gz d.bb
    python -m experiments.decompress --workdir=runs/binary d.bb digits.npz

    python -m experiments.vae --images=FOLDER --likelihood=logistic_mixture --workdir=runs/grey
    python -m experiments.compress --workdir=runs/grey FOLDER images.bb

INPUT is an .npz file with a uint8 array `images` ([M, H, W], [M, H, W, 1] or [M, H, W, 3]), a
folder of PNG and JPEG files of one size, or an IDX file such as MNIST's, gzipped or not. OUTPUT is
replaced if it exists; it is decoded once before it is written. The size is that of the model's
negative ELBO, and is shown beside what other compressors need.

The model must be one of --preset=default, textbook, gated, iwae or conv with the prior N(0, I), of
binary pixels (--likelihood=bernoulli, whatever its --binarisation: the images that are compressed
are binary) or of grey ones (--likelihood=logistic_mixture). It is not in the file: decompressing
needs the run, the same versions of the libraries and the same kind of processor. Coding needs the
package constriction: pip install 'aigc_jax[compress]'.
"""

import os
import time
from collections.abc import Sequence
from typing import NoReturn

from absl import flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from experiments.cli import launch
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import define_path, local
from experiments.families.vae import compressors
from experiments.families.vae.compression import (
    Compressed,
    compress,
    open_model,
    read_input,
    suited,
)

NAMES = ("INPUT", "OUTPUT")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the run to compress with. Required.", values)
    flags.DEFINE_boolean(
        "binarise",
        False,
        "First draw binary images, once, each pixel with its grey value as probability of white; "
        "these are compressed, and the grey ones are lost.",
        flag_values=values,
    )


def report(done: Compressed) -> str:
    """The report on a file's size."""
    size = len(done.content)
    above = 100 * (size / done.goal - 1)
    return (
        f"{compressors.table(done)}\n"
        f"{above:+.2f} % against the negative ELBO, of which {100 * done.overhead / done.goal:.2f} "
        f"% are header and checksum ({done.overhead} bytes) and "
        f"{100 * done.borrowed / done.goal:.2f} % the start ({done.borrowed} bytes)\n"
        f"The model is not in the file: {done.model:,} bytes of parameters"
    )


def run(workdir: str | None, source: str, out: str, binarise: bool) -> None:
    """Compresses INPUT into OUTPUT, and prints the result."""
    if not workdir:
        raise InputError("--workdir is required; see --help")
    source, target = local(source, "INPUT"), check_out(out, "OUTPUT")
    if target.exists() and os.path.exists(source) and os.path.samefile(source, target):
        raise InputError(f"OUTPUT: {out} is INPUT itself; give another name")
    model = open_model(workdir)
    images = suited(read_input(source), model, binarise, source)
    if binarise:
        drawn = f"Binary images drawn from {source}: these are compressed, not the grey ones"
        print(printed.line(drawn))
    start = time.perf_counter()
    done = compress(model, images)
    seconds = time.perf_counter() - start
    write_out(target, done.content, "OUTPUT")
    took = f"after {seconds:.1f} s, one decoding included"
    print(printed.line(f"{len(done.images)} images in {target}, {took}"))
    print("The same with other compressors (a minute for 7 million pixels):", flush=True)
    print(report(done))


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    source, out = arguments.positional
    run(arguments.workdir, source, out, arguments.binarise)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(__doc__, define_flags, command, arguments, names=NAMES)


if __name__ == "__main__":
    main()
