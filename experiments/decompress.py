"""Restores the images that experiments.compress has compressed.

    python -m experiments.decompress --workdir=runs/binary digits.bb digits.npz

OUTPUT is an .npz file with the array `images`, uint8 [M, H, W, C], replaced if it exists. The run
must be the one used to compress, not trained any further since, with the same versions of the
libraries on the same kind of processor; anything else is refused, and so is a damaged file. OUTPUT
is written only if the images are exactly those that were compressed.
"""

import io
import time
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from absl import flags

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.vae.compression.container import MAGIC
from experiments.cli import launch
from experiments.cli.output import check_out, write_out
from experiments.cli.paths import define_path, local
from experiments.families.vae.compression import decompress, open_model

NAMES = ("INPUT", "OUTPUT")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path("workdir", None, "Folder of the run used to compress. Required.", values)


def _content(source: str) -> bytes:
    """The file's content; only the beginning of one that is not in our format."""
    with open(source, "rb") as file:
        begun = file.read(len(MAGIC))
        return begun + (file.read() if begun == MAGIC else b"")


def run(workdir: str | None, source: str, out: str) -> None:
    """Decompresses INPUT into OUTPUT."""
    if not workdir:
        raise InputError("--workdir is required; see --help")
    source, target = local(source, "INPUT"), check_out(out, "OUTPUT")
    if target.suffix != ".npz":
        raise InputError(f"OUTPUT: {out} must end in .npz, as the array `images` goes into it")
    try:
        content = _content(source)
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    except (MemoryError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"{source}: cannot be read ({error or 'it is too large'})") from error
    start = time.perf_counter()
    images = decompress(open_model(workdir), content, source)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images)
    write_out(target, buffer.getvalue(), "OUTPUT")
    took = f"after {time.perf_counter() - start:.1f} s"
    print(printed.line(f"{len(images)} images in {target}, {took}"))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launch.run(
        __doc__,
        define_flags,
        lambda given: run(given.workdir, *given.positional),
        arguments,
        names=NAMES,
    )


if __name__ == "__main__":
    main()
