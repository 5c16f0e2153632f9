"""A run as a coder of images: what compressing and decompressing share."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vae
from aigc_jax.data.images import GZIP, read_idx
from aigc_jax.data.own_images import read_images
from aigc_jax.errors import InputError
from aigc_jax.progress import ProgressReport
from aigc_jax.settings import settings
from aigc_jax.vae.compression import bitsback, container
from aigc_jax.vae.compression.coder import BOUND, PER_UNIT, Coder, make_coder
from experiments.data.images import HELDOUT, binarised
from experiments.families.vae.experiment import EXPERIMENT
from experiments.families.vae.options import to_config
from experiments.runs.restore import Restored, restore

_DRAWS, _MOST_DRAWS = 20_000, 200  # samples of z for the negative ELBO: about this many for all
# images together, and at most this many for each


class Model(NamedTuple):
    """A finished run that can code."""

    run: Restored
    config: vae.Config
    networks: vae.Networks

    def coder(self, lanes: int) -> Coder:
        """See `make_coder`."""
        return make_coder(
            self.run.state.eval_params,
            networks=self.networks,
            likelihood=self.config.likelihood,
            image_shape=self.config.image_shape,
            lanes=lanes,
        )

    def origin(self, outputs: str) -> container.Origin:
        """What a file records about this model; `outputs` is a coder's `probe`."""
        options, stored = self.run.options, self.run.config["options"]
        free = {name for name, leaf in settings(options).items() if leaf.setting.changeable}
        decisive = {name: value for name, value in stored.items() if name not in free}
        described = {"options": decisive, "model": self.run.metadata}
        return container.origin(self.run.state.eval_params, self.run.step, described, outputs)


class Compressed(NamedTuple):
    """A file, and what its size is compared with."""

    content: bytes
    images: np.ndarray  # uint8 [M, H, W, C]: what is in it
    levels: int
    overhead: int  # bytes of header and checksum
    borrowed: int  # bytes that the start costs
    goal: float  # the negative ELBO of the same images, in bytes
    model: int  # bytes of the parameters, which are not in it


def open_model(workdir: str) -> Model:
    """Opens a run of experiments.vae.

    Raises:
      InputError: there is none, its model cannot code, or the entropy coder is missing.
    """
    bitsback.require()
    run = restore(EXPERIMENT, workdir)
    config = to_config(run.options, run.metadata)
    model = Model(run, config, vae.networks_of(config))
    try:
        model.coder(1)
    except InputError as error:
        raise InputError(f"workdir {workdir}: {error}") from error
    return model


def read_input(path: str) -> np.ndarray:
    """The images of an IDX file, an .npz file or a folder, in their order: uint8 `[M, H, W, C]`.

    Raises:
      InputError: they cannot be read.
    """
    if os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                begins = file.read(3)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        if begins == bytes([0, 0, 8]) or begins.startswith(GZIP):
            return read_idx(Path(path), 3)[..., None]
    return read_images(path)[0]


def suited(images: np.ndarray, model: Model, binarise: bool, name: str) -> np.ndarray:
    """The images as the model can code them.

    Raises:
      InputError: it cannot.
    """
    shape, wanted = images.shape[1:], model.config.image_shape
    if shape == (*wanted[:2], 1) and wanted[2] == 3:
        # A folder of grey images has one channel, though the model's have three.
        images, shape = np.repeat(images, 3, axis=3), wanted
    if shape != wanted:
        sizes = ["×".join(map(str, size)) for size in (shape, wanted)]
        raise InputError(f"{name}: its images are of {sizes[0]}, and the model's of {sizes[1]}")
    if model.config.likelihood.levels != 2:
        if binarise:
            raise InputError("--binarise is for models of binary pixels; this one takes grey ones")
        return images
    if binarise:
        return binarised(images, HELDOUT)
    if np.isin(images, (0, 255)).all():
        return images
    raise InputError(
        f"{name}: has grey values, and the model takes pixels of 0 or 255; give --binarise "
        "to draw binary images from them and compress those"
    )


def negative_elbo_bytes(model: Model, values: np.ndarray) -> float:
    """The negative ELBO of all images together, a mean over many samples of z, in bytes."""
    networks, likelihood = model.networks, model.config.likelihood
    draws = min(_MOST_DRAWS, -(-_DRAWS // len(values)))
    count, chunk, total = draws * len(values), 500, 0.0
    for start in range(0, count, chunk):
        these = np.arange(start, min(start + chunk, count)) % len(values)
        found = vae.heldout_elbo(
            model.run.state.eval_params,
            jnp.asarray(values[these], jnp.float32) / (likelihood.levels - 1),
            jax.random.key(start),
            networks=networks,
            likelihood=likelihood,
        )
        total += len(these) * found["negative_elbo_nats"]
    return total / draws / np.log(2) / 8


def compress(model: Model, images: np.ndarray) -> Compressed:
    """The file of a set of images that `suited` has returned. It has been decoded once."""
    levels = model.config.likelihood.levels
    values = images // (256 // levels)
    lanes = bitsback.lanes_for(len(values), values.shape[1:], levels)
    coder = model.coder(lanes)
    coded = _watched("compress", len(values), lambda seen: bitsback.encode(coder, values, seen))
    header = container.Header(
        shape=images.shape,
        levels=levels,
        lanes=lanes,
        grid=(PER_UNIT, BOUND),
        below=coded.below,
        images=container.digest(images),
        origin=model.origin(bitsback.probe(coder)),
    )
    content = container.pack(header, coded.words)
    decompress(model, content, "the file")
    sizes = [leaf.nbytes for leaf in jax.tree.leaves(model.run.state.eval_params)]
    return Compressed(
        content,
        images,
        levels,
        overhead=len(content) - coded.words.nbytes,
        borrowed=4 * coded.borrowed,
        goal=negative_elbo_bytes(model, values),
        model=sum(sizes),
    )


def decompress(model: Model, content: bytes, name: str) -> np.ndarray:
    """The images of a file, uint8 `[M, H, W, C]`, bit for bit those that were compressed.

    Args:
      model: the one that made it.
      content: the file's.
      name: the file's, for messages.

    Raises:
      InputError: the file is damaged, or was made by anything else.
    """
    header, words = container.unpack(content, name)
    here = model.origin(header.origin.outputs)
    container.check_origin(header.origin, here, name)
    described = (header.shape[1:], header.levels, header.grid)
    shape, levels = model.config.image_shape, model.config.likelihood.levels
    fits = header.lanes <= bitsback.most_lanes(shape, levels)
    if described != (shape, levels, (PER_UNIT, BOUND)) or not fits:
        raise InputError(f"{name}: its header does not fit the model that made it")
    coder = model.coder(header.lanes)
    container.check_origin(header.origin, replace(here, outputs=bitsback.probe(coder)), name)
    count = header.shape[0]
    try:
        values = _watched(
            "decompress",
            count,
            lambda seen: bitsback.decode(coder, words, header.below, count, seen),
        )
    except InputError as error:
        raise InputError(f"{name}: does not decode here: {error}") from error
    except MemoryError as error:
        raise InputError(f"{name}: its {count} images do not fit into memory") from error
    images = values * np.uint8(255 // (header.levels - 1))
    if container.digest(images) != header.images:
        raise InputError(f"{name}: does not decode here: its images are not those it was made from")
    return images


def _watched(title: str, count: int, work: Callable[[Callable[[int], None]], Any]) -> Any:
    with ProgressReport(title, 0, count, unit="images") as report:
        return work(report.advance)
