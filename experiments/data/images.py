"""What the launchers on images share."""

import dataclasses
import os
from pathlib import Path
from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Algorithm, State
from aigc_jax.artefacts import Picture
from aigc_jax.data.images import DATASETS, Images, load_images
from aigc_jax.data.own_images import load_own_images
from aigc_jax.errors import InputError
from aigc_jax.likelihoods import BERNOULLI, LIKELIHOODS, Likelihood, binarise
from aigc_jax.parallel import example_keys
from aigc_jax.settings import name_of, setting
from experiments.cli.options import Options

BINARISATIONS = ("dynamic", "static", "none")
HELDOUT = 0  # seed of the held-out pixels, the same in all runs
TRAINING = 1  # seed of the training set's, where they are drawn once


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """The options of every experiment, and the choice of images."""

    dataset: str = setting("mnist5k", "What to train on.", choices=DATASETS)
    images: str | None = setting(
        None,
        "Images of your own to train on instead, whatever --dataset says: an .npz file with a "
        "uint8 array `images` ([M, H, W], [M, H, W, 1] or [M, H, W, 3]) and, if they are labelled, "
        "integer `labels` [M]; or a folder of PNG and JPEG files of one size, in a subfolder for "
        "each class if they are labelled.",
        changeable=True,
        path=True,
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is named after: the images' own name."""
        return Path(os.path.abspath(self.images)).stem if self.images else self.dataset


def load(options: ImageOptions) -> Images:
    """The images that the options name."""
    if options.images is not None:
        return load_own_images(options.images)
    return load_images(options.dataset, options.data_dir)


def metadata(options: Options, images: Images) -> dict[str, Any]:
    """What a network on images needs to know: their shape, and how many classes if labelled."""
    classes = None
    if images.train_labels is not None and images.heldout_labels is not None:
        found = 1 + int(max(images.train_labels.max(), images.heldout_labels.max()))
        classes = found if found > 1 else None  # a single class has nothing to learn
    return {"image_shape": list(images.train.shape[1:]), "classes": classes}


def check_conditional(conditional: bool, metadata: dict[str, Any]) -> None:
    """Refuses class-conditional training without classes.

    Raises:
      InputError: the images have no labels, or all the same.
    """
    if conditional and not metadata.get("classes"):
        raise InputError(
            "--conditional needs labelled images of at least two classes, and these are not"
        )


def check_binarisation(binarisation: str, likelihood: Likelihood) -> None:
    """Refuses binary images for a likelihood of grey ones.

    Raises:
      InputError: names the likelihood.
    """
    if likelihood is not BERNOULLI and binarisation != "none":
        raise InputError(
            f"--binarisation={binarisation} is for --likelihood=bernoulli, not "
            f"{name_of(likelihood, LIKELIHOODS)}"
        )


def unit_interval(images: np.ndarray) -> np.ndarray:
    """uint8 → float32 in [0, 1]."""
    return images.astype(np.float32) / np.float32(255)


def binarised(images: np.ndarray, seed: int, chunk: int = 5000) -> np.ndarray:
    """Binary images, each pixel drawn once with its grey value as probability: uint8 0 or 255."""
    draw = jax.jit(lambda keys, x: 255 * binarise(keys, x).astype(jnp.uint8))
    keys = example_keys(jax.random.key(seed), len(images))
    starts = range(0, len(images), chunk)
    parts = [draw(keys[i : i + chunk], unit_interval(images[i : i + chunk])) for i in starts]
    return np.concatenate([np.asarray(part) for part in parts])


def gather(data: jax.Array, indices: jax.Array) -> jax.Array:
    """A batch of uint8 images as float32 in [0, 1], taken on the device."""
    return data[indices].astype(jnp.float32) / 255


def gather_labelled(
    data: tuple[jax.Array, jax.Array], indices: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A batch of images, as `gather` takes it, and their labels."""
    images, labels = data
    return gather(images, indices), labels[indices]


def sample(
    options: Options,
    metadata: dict[str, Any],
    algorithm: Algorithm,
    state: State,
    num: int,
    seed: int,
    labels: np.ndarray | None = None,
) -> jax.Array:
    """`num` images of a trained model, `[num, H, W, C]` in [0, 1], of the classes `[num]` if given.

    Raises:
      InputError: labels that are not classes of the model.
    """
    told = {} if labels is None else {"labels": labels}
    return algorithm.sample(state, jax.random.key(seed), num, **told)


def grid(images: np.ndarray | jax.Array, columns: int) -> Picture:
    """Images `[n, H, W, C]` in [0, 1] in rows of `columns`, blank where they run out."""
    blanks = np.zeros((-len(images) % columns, *images.shape[1:]), np.float32)
    return Picture(np.concatenate([images, blanks]).reshape(-1, columns, *images.shape[1:]))


def normal_quantiles(side: int) -> np.ndarray:
    """A square of 2-D latents at equally spaced quantiles of N(0, 1): `[side², 2]`."""
    quantiles = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    return np.array([(x, -y) for y in quantiles for x in quantiles], np.float32)
