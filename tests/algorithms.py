"""Every kind of algorithm in the package, at sizes that trace and compile in about a second.

`ALGORITHMS[name](**optimisers)` builds one: the algorithm and a batch of NumPy arrays. What differs
between two names of a family is what its step runs through: other networks, an objective, a
quantiser, a prior, penalties, classes.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from aigc_jax import classifier, codec, gan, transformer, vae, vq
from aigc_jax.codec.config import Images, OfImages, OfSounds, OfVideos, Sounds, Videos
from aigc_jax.image_batch import Batch
from aigc_jax.settings import configuration

ROWS, CLASSES, TOKENS = 4, 3, 11


class Case(NamedTuple):
    """An algorithm, and what its step takes."""

    algorithm: Any
    batch: Any  # of ROWS rows


def images(side: int = 8, rows: int = ROWS) -> np.ndarray:
    """Grey values k / 255, `[rows, side, side, 1]`."""
    rng = np.random.default_rng(1)
    return np.float32(rng.integers(0, 256, (rows, side, side, 1))) / np.float32(255)


def labelled() -> Batch:
    """Images with their classes."""
    return Batch(images(), np.int32(np.arange(ROWS) % CLASSES))


def tokens() -> transformer.Batch:
    """Unevenly padded texts of eight tokens."""
    found = np.random.default_rng(2).integers(0, TOKENS, (ROWS, 9), np.int32)
    weights = np.float32(np.arange(8)[None] < np.array([8, 1, 3, 5])[:, None])
    return transformer.Batch(found[:, :-1], found[:, 1:], weights)


def pairs() -> transformer.Batch:
    """Two pairs packed into each row, the second source of which is padded."""
    found = np.random.default_rng(3).integers(0, TOKENS, (ROWS, 6), np.int32)
    own, theirs = (np.tile(np.int32(1 + (np.arange(n) >= 3)), (ROWS, 1)) for n in (8, 6))
    theirs[:, 5] = 0
    return tokens()._replace(segments=own, source=transformer.Source(found, theirs))


def _gan(config: Any, batch: Any = None, side: int = 8, sizes: Any = (), **txs: Any) -> Case:
    config = configuration(config)
    small = {"image_shape": (side, side, 1), "latent_size": 3}
    small["architecture"] = dataclasses.replace(config.architecture, **dict(sizes))
    if config.steps_d > 1:
        small["steps_d"] = 2
    given = images(side) if batch is None else batch
    return Case(gan.make(dataclasses.replace(config, **small), **txs), given)


def _vae(
    config: Any, architecture=vae.mlp, sizes=(), side=8, batch=None, changes=(), **txs
) -> Case:
    config = configuration(config)
    small = {"image_shape": (side, side, 1), "latent_size": 3, **dict(changes)}
    small["architecture"] = partial(architecture, **{"width": 4, **dict(sizes)})
    given = images(side) if batch is None else batch
    return Case(vae.make(dataclasses.replace(config, **small), **txs), given)


def _vq(config: Any, quantiser: vq.Quantiser, **txs: Any) -> Case:
    config = configuration(config)
    small = {"image_shape": (8, 8, 1), "quantiser": quantiser}
    small["architecture"] = vq.Convolutional(width=4)
    return Case(vq.make(dataclasses.replace(config, **small), **txs), images())


def _transformer(preset, batch, changes=(), **txs: Any) -> Case:
    small = {"context": 8, "layers": 1, "heads": 2, "width": 12, "hidden": 10, **dict(changes)}
    return Case(transformer.make(preset(TOKENS, **small), **txs), batch())


def signals(*sides: int) -> np.ndarray:
    """Numbers in [0, 1], `[ROWS, *sides, 1]`."""
    return np.random.default_rng(4).random((ROWS, *sides, 1), np.float32)


def _codec(preset: Any, sides: tuple[int, ...], changes: Any, **txs: Any) -> Case:
    acting = {"adversarial_weight": 0.3, "matching_weight": 0.3, "adversary_from": 2}
    book = vq.Codebook(codes=8, features=3)
    small = {"sides": sides, "quantiser": book, **acting, **changes}
    config = dataclasses.replace(preset.config, **small)
    return Case(codec.make(config, **txs), signals(*sides))


def _classifier(**txs: Any) -> Case:
    config = classifier.Config((8, 8, 1), CLASSES, width=4, features=7, mirrored=True)
    return Case(classifier.make(config, **txs), labelled())


def _classifier_of_videos(**txs: Any) -> Case:
    config = classifier.Config((3, 8, 8, 1), 6, (2, 3), width=2, features=5, mirrored=True)
    batch = Batch(signals(3, 8, 8), np.int32(np.arange(ROWS) % 6))
    return Case(classifier.make(config, **txs), batch)


_TOLD = gan.Config(
    classes=CLASSES,
    objective=gan.HINGE,
    penalties=(gan.Penalty(gan.dragan, 0.1), gan.Penalty(gan.r1, 0.1, every=2)),
    augmentation=gan.ADA,
    lecam_weight=0.1,
    decay_steps=10,
)
_PACKED = gan.Config(packing=2, augmentation=gan.DIFFAUGMENT)
_VAMP = {
    "prior": vae.Vamp(pseudo_inputs=4),
    "warmup_steps": 2,
    "objective": vae.Elbo(free_nats=0.1),
}
_GREY = {
    "classes": CLASSES,
    "likelihood": vae.logistic_mixture(2),
    "pixels": None,
    "objective": partial(vae.dreg, samples=2),
}
_REAL = {"likelihood": vae.GAUSSIAN, "pixels": vae.dequantise}
_WHOLE = {"dtype": jnp.float32, "layers": 2, "scan": True, "remat": True}
_CAREFUL = transformer.Objective(smoothing=0.1, z_weight=0.01, chunk=3)
_LLAMA = {"num_kv_heads": 1, "window": 3, "score_cap": 3.0, "logit_cap": 5.0}
_ENCODED = {"encoder_layers": 1, "source_context": 6}
_PIXELS = {
    "architecture": Images(width=2, halvings=1, blocks=1),
    "critics": OfImages(width=2, halvings=1),
    "classes": CLASSES,
}
_SAMPLES = {
    "architecture": Sounds(width=6, blocks=1, decoder_blocks=1, hop=8),
    "critics": OfSounds(periods=(3,), windows=(16,), width=2),
    "stages": 2,
    "decay_steps": 10,
}
_FRAMES = {
    "architecture": Videos(width=2, halvings=1, blocks=1, stride=2),
    "critics": OfVideos(width=2, halvings=1, span=2),
}

ALGORITHMS = {
    "gan-textbook": partial(_gan, gan.TEXTBOOK),
    "gan-mlp": partial(_gan, gan.MLP),
    "gan-dcgan": partial(_gan, gan.DCGAN, side=16, sizes={"width": 2}),
    "gan-wgan_gp": partial(_gan, gan.WGAN_GP, sizes={"width": 2}),
    "gan-sngan": partial(_gan, gan.SNGAN, sizes={"width": 2}),
    "gan-r3gan": partial(_gan, gan.R3GAN, sizes={"width": 4}),
    "gan-classes": partial(_gan, _TOLD, labelled()),
    "gan-packed": partial(_gan, _PACKED),
    "vae-default": partial(_vae, vae.Config()),
    "vae-textbook": partial(_vae, vae.TEXTBOOK),
    "vae-vamp": partial(_vae, vae.GATED, sizes={"activation": None}, changes=_VAMP),
    "vae-iwae": partial(_vae, vae.IWAE, sizes={"depth": 2}),
    "vae-classes": partial(_vae, vae.Config(), changes=_GREY, batch=labelled()),
    "vae-conv": partial(_vae, vae.CONV, vae.convolutional, changes=_REAL),
    "vae-ladder": partial(_vae, vae.LADDER, vae.ladder, {"width": 2, "layers": 2}, side=16),
    "vq": partial(_vq, vq.VQ, vq.vector_quantiser(8, 3)),
    "fsq": partial(_vq, vq.FSQ, vq.finite_scalar_quantiser((8, 7, 5))),
    "lm-nano": partial(_transformer, transformer.nano, tokens),
    "lm-textbook": partial(_transformer, transformer.textbook, tokens),
    "lm-char": partial(_transformer, transformer.char, tokens, {"microbatches": 2}),
    "lm-gpt2": partial(_transformer, transformer.gpt2, tokens, {**_WHOLE, "objective": _CAREFUL}),
    "lm-llama": partial(_transformer, transformer.llama_small, tokens, _LLAMA),
    "translator": partial(_transformer, transformer.tiny_mt, pairs, _ENCODED),
    "classifier": _classifier,
    "classifier-video": _classifier_of_videos,
    "codec-image": partial(_codec, codec.IMAGE, (8, 8), _PIXELS),
    "codec-audio": partial(_codec, codec.AUDIO, (20,), _SAMPLES),
    "codec-video": partial(_codec, codec.VIDEO, (3, 4, 4), _FRAMES),
}
