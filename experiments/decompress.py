"""Restores the images that experiments.compress has compressed.

    python -m experiments.decompress --workdir=runs/binary digits.bb digits.npz

OUTPUT is an .npz file with the array `images`, uint8 [M, H, W, C], replaced when it exists. The run
must be the one that compressed, not trained any further since, with the same versions of the
libraries on the same kind of processor; anything else is refused, and so is a damaged file. OUTPUT
is written only when the images are exactly those that were compressed.
"""

import io
import time
from functools import partial

import numpy as np
from absl import app

from aigc_jax import printed
from aigc_jax.errors import InputError
from aigc_jax.vae.compression.container import MAGIC
from experiments import launch
from experiments.compression import decompress, open_model
from experiments.output import check_out, write_out
from experiments.paths import define_path, local

WORKDIR = define_path("workdir", None, "Folder of the run that compressed. Required.")


def _content(source: str) -> bytes:
    """All of the file, but of one that is none of ours its beginning alone."""
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
    except (MemoryError, ValueError) as error:  # a name with a zero byte is the second
        raise InputError(f"{source}: cannot be read ({error or 'it is too large'})") from error
    start = time.perf_counter()
    images = decompress(open_model(workdir), content, source)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images)
    write_out(target, buffer.getvalue(), "OUTPUT")
    took = f"after {time.perf_counter() - start:.1f} s"
    print(printed.line(f"{len(images)} images in {target}, {took}"))


def main(arguments: list[str]) -> None:
    """The command."""
    _, source, out = arguments
    launch.report_errors(lambda: run(WORKDIR.value, source, out))


if __name__ == "__main__":
    app.run(main, flags_parser=partial(launch.parse, names=("INPUT", "OUTPUT")))
