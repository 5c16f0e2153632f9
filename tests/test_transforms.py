"""The transform table: one step, every transform, the same numbers.

All under SGD. Adam divides by the gradient's size and would hide one scaled by the device count.
"""

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import classifier, codec, convolution, gan, layers, parallel, transformer, vae, vq
from aigc_jax.algorithm import Algorithm
from aigc_jax.codec import layouts, prior, prior_config
from aigc_jax.codec.config import Images, OfImages, OfSounds, OfVideos, Sounds, Videos
from aigc_jax.settings import configuration

SGD = optax.sgd(0.1)
BATCH, DEVICES = 8, 4


@pytest.fixture(scope="module", autouse=True)
def fences_at_any_size():
    """These models are too small for the fences of `layers.linear`, and have too few channels for
    loop_convolution.py; they have both all the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_FEW_ROWS", 0)
        patch.setattr(convolution, "_FEW_CHANNELS", 0)
        yield


def image_batches(steps):
    pixels = np.random.default_rng(1).random((steps, BATCH, 6, 5, 1), np.float32)
    return jnp.asarray(pixels)


def token_batches(steps):
    rng = np.random.default_rng(2)
    tokens = rng.integers(0, 11, (steps, BATCH, 9))
    lengths = np.array([8, 8, 1, 0, 3, 8, 2, 5])  # unevenly padded, one shard nearly empty
    weights = np.arange(8)[None] < lengths[:, None]
    weights = np.broadcast_to(weights, (steps, BATCH, 8)).astype(np.float32)
    batch = transformer.next_tokens(jnp.asarray(tokens, jnp.int32).reshape(-1, 9))
    batch = jax.tree.map(lambda x: x.reshape(steps, BATCH, 8), batch)
    return batch._replace(weights=jnp.asarray(weights))


def pair_batches(steps):
    """Two pairs packed into each row, of which the second may be empty."""
    batch, rng = token_batches(steps), np.random.default_rng(6)
    tokens = jnp.asarray(rng.integers(0, 11, (steps, BATCH, 6)), jnp.int32)
    first = jnp.asarray(rng.integers(2, 5, (steps, BATCH, 1)))
    segments, sources = (1 + jnp.int32(jnp.arange(n)[None, None] >= first) for n in (8, 6))
    source = transformer.Source(tokens, sources.at[:, :, 5].set(0))
    return batch._replace(segments=segments, source=source)


def square_batches(steps, side=8, images=BATCH):
    pixels = np.random.default_rng(3).random((steps, images, side, side, 1), np.float32)
    return jnp.asarray(pixels)


def labelled_batches(steps):
    rng = np.random.default_rng(4)
    images = jnp.asarray(rng.random((steps, BATCH, 6, 5, 1), np.float32))
    return gan.Batch(images, jnp.asarray(rng.integers(0, 3, (steps, BATCH)), jnp.int32))


def digit_batches(steps):
    labels = np.random.default_rng(5).integers(0, 3, (steps, BATCH))
    return classifier.Batch(square_batches(steps), jnp.asarray(labels, jnp.int32))


def sound_batches(steps):
    sounds = np.random.default_rng(7).normal(size=(steps, BATCH, 64, 1))
    return jnp.asarray(0.3 * sounds, jnp.float32)


def video_batches(steps):
    pixels = np.random.default_rng(8).random((steps, BATCH, 3, 4, 4, 1), np.float32)
    return jnp.asarray(pixels)


def labelled_video_batches(steps):
    rng = np.random.default_rng(10)
    pixels = rng.random((steps, BATCH, 3, 8, 8, 1), np.float32)
    labels = rng.integers(0, 6, (steps, BATCH))
    return classifier.Batch(jnp.asarray(pixels), jnp.asarray(labels, jnp.int32))


def code_batches(steps, sides, captions=False):
    """Codes of two stages and two attributes, of which some are unknown; captions of 0 to 4."""
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 5, (steps, BATCH, *sides, 2))
    labels = rng.integers(-1, 3, (steps, BATCH, 2))
    batch = prior.Codes(jnp.asarray(codes, jnp.int32), jnp.asarray(labels, jnp.int32))
    if not captions:
        return batch
    tokens = jnp.asarray(rng.integers(0, 7, (steps, BATCH, 4)), jnp.int32)
    present = np.arange(4) < rng.integers(0, 5, (steps, BATCH, 1))
    return batch._replace(captions=transformer.Source(tokens, jnp.asarray(present, jnp.int32)))


def gan_preset(config, side=8, **architecture):
    """A preset on small images, with SGD in place of Adam, and two updates of D for five."""
    config = configuration(config)
    changes = {"image_shape": (side, side, 1), "latent_size": 3}
    if config.steps_d > 1:
        changes["steps_d"] = 2
    network = dataclasses.replace(config.architecture, **architecture)
    config = dataclasses.replace(config, architecture=network, **changes)
    return gan.make(config, tx_g=optax.sgd(0.02), tx_d=optax.sgd(0.02))


def vae_preset(config, architecture=vae.mlp, learning_rate=0.01, **changes):
    """A preset on small images, with SGD in place of Adam."""
    size = {"width": 7} | {
        k: changes.pop(k) for k in ("width", "depth", "activation") if k in changes
    }
    changes = {"image_shape": (6, 5, 1), "architecture": partial(architecture, **size)} | changes
    config = dataclasses.replace(configuration(config), **changes)
    return vae.make(config, tx=optax.sgd(learning_rate))


def discrete_preset(config, quantiser):
    """A preset on small images, with SGD in place of Adam."""
    architecture = vq.Convolutional(width=4)
    changes = {"image_shape": (8, 8, 1), "architecture": architecture, "quantiser": quantiser}
    return vq.make(dataclasses.replace(configuration(config), **changes), tx=optax.sgd(1e-4))


def codec_preset(preset, **changes):
    """A preset with critics on small signals, with SGD in place of Adam."""
    changes = {"matching_weight": 0.4, "adversarial_weight": 0.3, "adversary_from": 2} | changes
    book = partial(vq.vector_quantiser, 8, 3, decay=0.7, revive_below=0.9)
    config = dataclasses.replace(preset.config, quantiser=book, **changes)
    return codec.make(config, tx=optax.sgd(0.03), tx_d=optax.sgd(0.03))


def lm_preset(preset, **changes):
    """A preset of small sizes, with SGD in place of Adam."""
    return transformer.make(preset(11, **{**SIZES, **changes}), tx=SGD)


def prior_preset(preset, *grid, **changes):
    """A preset on small grids of codes, with SGD in place of Muon."""
    network = transformer.Config(**{**SIZES, "dropout": 0.2, "ema_decay": 0.5, "microbatches": 2})
    changes = {"network": network, "label_dropout": 0.4} | changes
    sizes = {"grid": grid, "stages": 2, "codes": 5, "sizes": (3, 3)}
    return prior_config.make(dataclasses.replace(preset.config, **sizes, **changes), tx=SGD)


def labelled_grey_batches(steps):
    batch = labelled_batches(steps)
    return vae.Batch(jnp.round(255 * batch.images) / 255, batch.labels)


# What no preset has: packs, classes, ADA, LeCam, DRAGAN, lazy penalties.
PACKED = gan.Config((6, 5, 1), latent_size=3, packing=2, augmentation=gan.DIFFAUGMENT)
CLASSES = gan.Config(
    (6, 5, 1),
    classes=3,
    latent_size=3,
    objective=gan.HINGE,
    penalties=(gan.Penalty(gan.dragan, 0.1), gan.Penalty(gan.r1, 0.1, every=2)),
    augmentation=gan.ADA._replace(speed=64.0, target=-0.5),
    lecam_weight=0.1,
    ema_half_life=1.0,  # images: so short that it is out of its ramp
)

CLASSIFIER = classifier.Config((8, 8, 1), 3, width=4, features=7, mirrored=True, smoothing=0.1)
OF_VIDEOS = classifier.Config((3, 8, 8, 1), 6, (2, 3), width=2, features=5, mirrored=True)

# A VampPrior, a warm-up, free nats; classes, grey values, DReG.
FREE = {
    "latent_size": 3,
    "prior": vae.Vamp(pseudo_inputs=4),
    "warmup_steps": 2,
    "objective": partial(vae.elbo, samples=2, free_nats=0.1),
}
GREY = {
    "classes": 3,
    "likelihood": vae.logistic_mixture(2),
    "pixels": None,
    "objective": partial(vae.dreg, samples=3),
}

# Real numbers; layers of latents on two grids.
REAL = {
    "latent_size": 3,
    "likelihood": vae.GAUSSIAN,
    "pixels": vae.dequantise,
}
STAIRS = {
    "image_shape": (16, 16, 1),
    "width": 2,
    "latent_size": 2,
    "warmup_steps": 1,
    "objective": partial(vae.elbo, free_nats=1e-4),  # few enough that the prior learns at once
}

WGAN_GP = dataclasses.replace(gan.WGAN_GP.config, architecture=gan.Perceptrons())

# So that codes are revived again within four steps.
CODES = vq.vector_quantiser(8, 3, decay=0.7, revive_below=0.9)
LEVELS = vq.finite_scalar_quantiser((8, 7, 5))

# All of a codec's losses; stages, of which each example drops some; critics of each kind.
PIXELS = {
    "sides": (8, 8),
    "architecture": Images(width=2, halvings=1, blocks=1),
    "critics": OfImages(width=2, halvings=1),
    "classes": 3,
}
SAMPLES = {
    "sides": (64,),
    "architecture": Sounds(width=6, blocks=1, decoder_blocks=1, hop=8),
    "critics": OfSounds(periods=(3,), windows=(16,), width=2),
    "stages": 2,
}
FRAMES = {
    "sides": (3, 4, 4),
    "architecture": Videos(width=2, halvings=1, blocks=1, stride=2),
    "critics": OfVideos(width=2, halvings=1, span=2),
}

SIZES = {"context": 8, "layers": 1, "heads": 2, "width": 12}
EXACT = {"dtype": jnp.float32, "layers": 2, "scan": True, "remat": True}
CAREFUL = transformer.Objective(smoothing=0.1, z_weight=0.01, chunk=3)
GROUPED = {"num_kv_heads": 1, "hidden": 10, "window": 3, "score_cap": 3.0, "logit_cap": 5.0}
PAIRS = {"encoder_layers": 1, "source_context": 6, "hidden": 10}
CAPTIONED = {"caption_symbols": 7, "caption_length": 4}

FAMILIES = {
    "gan": (gan_preset(gan.MLP), square_batches),
    "gan-textbook": (gan_preset(gan.TEXTBOOK), square_batches),
    "gan-packed": (gan.make(PACKED, tx_g=SGD, tx_d=SGD), image_batches),
    "gan-classes": (gan.make(CLASSES, tx_g=SGD, tx_d=SGD), labelled_batches),
    # Of a size that halves twice: D's first layer has no batch normalisation, and the residual
    # network changes its size between layers.
    "gan-dcgan": (gan_preset(gan.DCGAN, 16, width=2), partial(square_batches, side=16)),
    # Perceptrons: the gradient of a gradient through convolutions is r3gan's.
    "gan-wgan_gp": (
        gan_preset(
            dataclasses.replace(gan.WGAN_GP.config, architecture=gan.Perceptrons()), width=4
        ),
        partial(square_batches, images=2 * BATCH),
    ),
    "gan-sngan": (gan_preset(gan.SNGAN, width=4), square_batches),
    "gan-r3gan": (gan_preset(gan.R3GAN, 16, width=4), partial(square_batches, side=16)),
    "vae": (vae_preset(vae.Config()), image_batches),
    "vae-textbook": (vae_preset(vae.TEXTBOOK), image_batches),
    "vae-gated": (vae_preset(vae.GATED, **FREE, activation=None), image_batches),
    "vae-iwae": (vae_preset(vae.IWAE, depth=2, **REAL), image_batches),
    "vae-classes": (vae_preset(vae.Config(), **GREY), labelled_grey_batches),
    "vae-conv": (
        vae_preset(vae.CONV, vae.convolutional, image_shape=(8, 8, 1), width=3, latent_size=3),
        square_batches,
    ),
    "vae-ladder": (
        vae_preset(vae.LADDER, partial(vae.ladder, layers=2), 3e-3, **STAIRS),
        partial(square_batches, side=16),
    ),
    "vae-vq": (discrete_preset(vq.VQ, CODES), square_batches),
    "vae-fsq": (discrete_preset(vq.FSQ, LEVELS), square_batches),
    "classifier": (classifier.make(CLASSIFIER, tx=SGD), digit_batches),
    "classifier-video": (classifier.make(OF_VIDEOS, tx=SGD), labelled_video_batches),
    "codec-image": (codec_preset(codec.IMAGE, **PIXELS), square_batches),
    "codec-audio": (codec_preset(codec.AUDIO, **SAMPLES), sound_batches),
    "codec-video": (codec_preset(codec.VIDEO, **FRAMES), video_batches),
    "lm-nano": (lm_preset(transformer.nano), token_batches),
    "lm-textbook": (lm_preset(transformer.textbook), token_batches),
    "lm-char": (lm_preset(transformer.char, microbatches=2), token_batches),
    "lm-gpt2": (lm_preset(transformer.gpt2, **EXACT, objective=CAREFUL), token_batches),
    "lm-llama": (lm_preset(transformer.llama_small, **GROUPED), token_batches),
    "lm-translator": (lm_preset(transformer.tiny_mt, **PAIRS), pair_batches),
    "prior-left": (prior_preset(prior_config.DEFAULT, 2, 2), partial(code_batches, sides=(2, 2))),
    "prior-delay": (
        prior_preset(prior_config.DEFAULT, 3, layout=layouts.delay),
        partial(code_batches, sides=(3,)),
    ),
    "prior-maskgit": (
        prior_preset(prior_config.MASKGIT, 2, 2),
        partial(code_batches, sides=(2, 2)),
    ),
    "prior-captions": (
        prior_preset(prior_config.DEFAULT, 2, 2, **CAPTIONED),
        partial(code_batches, sides=(2, 2), captions=True),
    ),
}


# What these run through, another does: the perceptrons of `gan` and `vae`, the convolutions of the
# ladder and of `vae-vq`, the blocks of the other language models, the step of `codec-image`.
REPEATED = {"gan-textbook", "vae-textbook", "vae-conv", "vae-fsq", "lm-textbook", "lm-nano"}
REPEATED |= {"codec-audio", "codec-video"}
REPEATED |= {"prior-left"}  # by `prior-delay`


def chosen(kept):
    """Parameters: the names of some families, and of the others for `make test-all`.

    One worker for each family, since its reference is computed once.
    """
    for name in FAMILIES:
        marks = [pytest.mark.xdist_group(name), *([] if name in kept else [pytest.mark.all])]
        yield pytest.param(name, marks=marks)


# One of each kind of networks, likelihood and prior.
KINDS = ("gan-classes", "gan-dcgan", "vae-gated", "vae-classes", "vae-ladder", "vae-vq")
KINDS += ("classifier", "codec-image", "lm-llama", "lm-translator")


def only(*names):
    return pytest.mark.parametrize("family", [*chosen(names)], indirect=True)


def nth(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def on_host(tree):
    """NumPy arrays, typed keys as their data: an index of a JAX array is a program to compile."""
    keys = jax.dtypes.prng_key
    return jax.tree.map(
        lambda x: np.asarray(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, keys) else x),
        tree,
    )


class Family(NamedTuple):
    """An algorithm, and the reference: its step under `jit` alone, called on whole batches."""

    algorithm: Algorithm
    jitted: Callable  # its step, compiled once for this file
    keys: jax.Array  # of two seeds
    batches: Any  # of four steps
    runs: list  # by seed, the states after 0, 1, … 4 steps and the infos of each step

    @property
    def states(self):
        return self.runs[0][0]

    @property
    def infos(self):
        return self.runs[0][1]


@cache
def reference(name):
    algorithm, batches = FAMILIES[name][0], on_host(FAMILIES[name][1](4))
    # Traced once for all the programs that it is a part of.
    jitted, init, runs = jax.jit(algorithm.step), jax.jit(algorithm.init), []
    keys = jax.random.split(jax.random.key(0))
    for key in keys:
        states, infos = [init(key)], []
        for i in range(4):
            state, info = jitted(states[-1], nth(batches, i))
            states.append(state)
            infos.append(info)
        runs.append((states, infos))
    return Family(algorithm, jitted, keys, batches, runs)


@pytest.fixture(params=[*chosen(FAMILIES.keys() - REPEATED)], scope="module")
def family(request):
    return reference(request.param)


# Operation by operation a step takes some seconds, and under jit it is the same jaxpr.
@only("gan", "vae")
def test_without_jit(family, assert_close):
    actual = family.algorithm.step(family.states[3], nth(family.batches, 3))
    assert_close(actual, (family.states[4], family.infos[3]))


# A constant added to all of D's logits changes nothing in these objectives (in the hinge's, nothing
# within the margin), so its last bias stays where it is.
STILL = {"gan-wgan_gp", "gan-sngan", "gan-r3gan", "codec-image", "codec-audio", "codec-video"}


def test_four_steps_change_every_parameter(family, request):
    """Four, since what lies behind a layer that starts at zero moves after that layer has."""
    name = request.node.callspec.params["family"]
    for field in (f for f in dir(family.states[0]) if f.startswith("params")):
        before, after = (jax.tree.leaves(getattr(family.states[i], field)) for i in (0, 4))
        for a, b in zip(before, after, strict=True):
            still = field == "params_d" and a.shape == (1,) and name in STILL
            assert np.allclose(a, b, rtol=0, atol=1e-6) if still else not np.array_equal(a, b)


@only(*KINDS)
def test_scan_of_4_under_vmap_over_seeds(family, assert_close):
    def run(key):
        def step(state, batch):
            after, info = family.jitted(state, batch)
            return after, (after, info)

        return jax.lax.scan(step, family.algorithm.init(key), family.batches)

    last, (states, infos) = on_host(jax.jit(jax.vmap(run))(family.keys))
    for seed, (expected, told) in enumerate(family.runs):
        assert int(nth(last, seed).step) == 4
        assert_close(nth(last, seed), expected[4], rtol=1e-4, atol=1e-5)
        for i in range(4):
            of = nth((states, infos), (seed, i))
            assert_close(of, (expected[i + 1], told[i]), rtol=1e-4, atol=1e-5)


# From the fourth step on, when averages, ADA and penalties that come now and then are under way.


@only(*KINDS)
def test_jit_on_a_sharded_batch(family, assert_close):
    mesh = parallel.data_mesh()
    batch = jax.device_put(nth(family.batches, 3), parallel.split_on_axis(mesh))
    state = jax.device_put(family.states[3], parallel.replicated(mesh))
    assert_close(family.jitted(state, batch), (family.states[4], family.infos[3]))


# Since JAX 0.10 pmap is a shard_map, so that it is held against one of each kind of state.
@only("gan-classes", "vae-gated", "vae-vq", "classifier", "lm-char")
def test_pmap(family, replica, assert_close, assert_identical):
    batch = nth(family.batches, 3)
    shards = jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), batch)
    replicas = parallel.pmap_step(family.algorithm.step)(family.states[3], shards)
    assert_close(replica(replicas, 0), (family.states[4], family.infos[3]))
    for device in range(1, DEVICES):
        assert_identical(replica(replicas, device), replica(replicas, 0))


def test_shard_map(family, assert_close):
    step = parallel.shard_map_step(family.algorithm.step, parallel.data_mesh())
    actual, info = jax.jit(step)(family.states[3], nth(family.batches, 3))
    assert_close((actual, info), (family.states[4], family.infos[3]))
    keys = jax.dtypes.prng_key
    for leaf in (x for x in jax.tree.leaves(actual) if not jax.dtypes.issubdtype(x.dtype, keys)):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == DEVICES
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])


def dtypes(tree):
    return [x.dtype for x in jax.tree.leaves(tree)]


def widened(batch):
    """As somebody's own data may be under x64: float64 and int64."""
    return jax.tree.map(lambda x: np.asarray(x, f"{x.dtype.kind}8"), batch)


@only(*KINDS)
def test_x64_changes_neither_dtypes_nor_numbers(family, assert_close):
    """A default dtype anywhere would be twice as wide, and draw other random numbers."""

    def init_and_step(state, batch):
        return family.algorithm.init(family.keys[0]), family.algorithm.step(state, batch)

    expected = family.states[0], (family.states[4], family.infos[3])
    with jax.enable_x64(True):
        actual = jax.jit(init_and_step)(family.states[3], widened(nth(family.batches, 3)))
    assert dtypes(actual) == dtypes(expected)
    assert_close(actual, expected)


def samples_and_metrics(name, algorithm, state, batch):
    """What a family makes of a state, and the state's evaluation: a tree of arrays and floats."""
    key, known = jax.random.key(1), algorithm.step.keywords
    model = {k: known[k] for k in ("networks", "quantiser", "likelihood") if k in known}
    if name.startswith("gan"):
        return jax.jit(algorithm.sample, static_argnums=2)(state, key, 3)
    if name.startswith("classifier"):
        pixels = np.uint8(255 * np.asarray(batch.images))
        said = classifier.describe(state.ema, pixels, **model)
        return (
            jax.jit(algorithm.logits)(state.params, batch.images),
            said.logits,
            said.nll(batch.labels),
        )
    if name.startswith("codec"):
        coder, sides = codec.coder_of(state), batch.shape[1:-1]
        codes = jax.jit(algorithm.encode)(coder, batch)
        return codes, jax.jit(algorithm.decode, static_argnums=2)(coder, codes, sides)
    if name.startswith("prior"):
        told = {"labels": batch.labels, "captions": batch.captions}
        sample = partial(algorithm.sample, n=BATCH, **told, guidance=2.0)
        keys = jax.random.split(key, BATCH)
        return jax.jit(sample)(state, key), jax.jit(algorithm.nll)(state, batch, keys)
    if name.startswith("vae"):
        samples = jax.jit(algorithm.sample, static_argnums=2)(state, key, 3)
        if "quantiser" in model:
            return samples, vq.heldout_metrics(state, batch, **model)
        usage = vae.latent_usage(state.ema, batch, key, networks=model["networks"])
        elbo = vae.heldout_elbo(state.ema, batch, key, **model)
        return samples, usage.kl_nats, elbo, vae.heldout_nll(state.ema, batch, key, **model, k=2)
    nll = transformer.mean_nll(state.eval_params, [batch], **model)
    if batch.source is not None:
        source = batch.source._replace(segments=jnp.minimum(batch.source.segments, 1))
        translate = partial(algorithm.translate, begin=1, stop=2, length=8)
        return nll, jax.jit(translate)(state, source)
    sample = jax.jit(algorithm.sample, static_argnums=(2, 4))
    return nll, sample(state, key, 2, batch.inputs[0, :3], 12)


@only("gan-classes", "vae-classes", "vae-vq", "classifier", "lm-llama", "lm-translator")
def test_x64_changes_neither_samples_nor_metrics(family, request, assert_close):
    name, batch = request.node.callspec.params["family"], nth(family.batches, 0)
    expected = samples_and_metrics(name, family.algorithm, family.states[4], batch)
    with jax.enable_x64(True):
        actual = samples_and_metrics(name, family.algorithm, family.states[4], batch)
    actual, expected = (jax.tree.map(np.asarray, tree) for tree in (actual, expected))
    assert dtypes(actual) == dtypes(expected)
    assert_close(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("x64", [False, True])
def test_wide_images_outside_a_step_are_what_they_are_in_one(x64):
    """Half of the pixels would be redrawn, were probabilities float64."""
    images, key = np.random.default_rng(0).random((3, 8, 8, 1)), jax.random.key(0)
    keys = parallel.example_keys(key, 3)
    expected = vae.binarise(keys, np.float32(images))
    networks = classifier.convolutional((8, 8, 1), classes=3, width=2, features=4)
    with jax.enable_x64(x64):
        np.testing.assert_array_equal(vae.binarise(keys, images), expected)
        params = jax.eval_shape(networks.init, key)
        described = jax.eval_shape(lambda p: networks.features(p, images), params)
        codes = vq.fsq.codes_of(jnp.ones((4, 2)), (3, 3))
    assert (described.dtype, codes.dtype) == (jnp.float32, jnp.int32)


def test_example_keys_do_not_depend_on_the_split():
    key = jax.random.key(7)
    whole = jax.random.key_data(parallel.example_keys(key, BATCH))
    shards = jax.pmap(
        lambda _: jax.random.key_data(parallel.example_keys(key, BATCH // DEVICES, "d")), "d"
    )(jnp.arange(DEVICES))
    np.testing.assert_array_equal(np.asarray(shards).reshape(whole.shape), whole)
    assert len({tuple(row) for row in np.asarray(whole)}) == BATCH
