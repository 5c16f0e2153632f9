"""Encoders and decoders: signals of any sides, and nothing of the future in earlier codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import spectral, vq
from aigc_jax.codec.networks import image, sound, video
from aigc_jax.codec.residual import residual_quantiser
from aigc_jax.errors import InputError

D = 3
IMAGE = image.convolutional(channels=2, features=D, width=2, halvings=2, blocks=1)
HOP = 4
SOUND = sound.frames(features=D, width=6, blocks=1, decoder_blocks=1, hop=HOP)


def videos(stride):
    return video.causal(channels=2, features=D, width=2, halvings=1, blocks=1, stride=stride)


def shaken(networks):
    """Parameters of which none is 0: a layer that starts at 0 hides what it reads."""
    leaves, structure = jax.tree.flatten(jax.jit(networks.init)(jax.random.key(0)))
    rng = np.random.default_rng(5)
    moved = [leaf + np.float32(0.3 * rng.normal(size=leaf.shape)) for leaf in leaves]
    return jax.tree.unflatten(structure, moved)


def shapes(networks, sides):
    """Of features and of what they decode to, by tracing alone."""
    params = jax.eval_shape(networks.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((4, *sides, networks.channels), jnp.float32)
    features = jax.eval_shape(networks.encode, params, x)
    decoded = jax.eval_shape(lambda p, z: networks.decode(p, z, sides), params, features)
    return features, decoded


def check_shapes(networks, sides, grid):
    features, decoded = shapes(networks, sides)
    assert networks.grid(sides) == grid
    assert (features.shape, features.dtype) == ((4, *grid, D), np.dtype("float32"))
    assert decoded.shape == (4, *sides, networks.channels)
    assert decoded.dtype == jnp.float32


def test_images_of_any_sides_come_back_in_their_own():
    for height in range(1, 10):
        width = 10 - height if height != 5 else 1
        check_shapes(IMAGE, (height, width), (-(-height // 4), -(-width // 4)))


def test_sounds_of_any_length_come_back_in_their_own():
    networks = sound.frames(features=D, width=4, blocks=1, decoder_blocks=1, hop=128)
    for length, count in {1: 1, 127: 1, 128: 1, 129: 2, 1000: 8}.items():
        check_shapes(networks, (length,), (count,))


@pytest.mark.parametrize(("stride", "counts"), [(1, [1, 2, 3, 4, 5]), (2, [1, 1, 2, 2, 3])])
def test_videos_of_any_length_come_back_in_their_own(stride, counts):
    for frames, count in enumerate(counts, 1):
        check_shapes(videos(stride), (frames, 3, 4), (count, 2, 2))


def test_an_image_is_padded_by_its_last_pixels_and_cut_again(rng):
    x = np.float32(rng.random((2, 3, 2, 2)))
    params = shaken(IMAGE)
    padded = np.pad(x, ((0, 0), (0, 1), (0, 2), (0, 0)), mode="edge")
    encode, decode = jax.jit(IMAGE.encode), jax.jit(IMAGE.decode, static_argnums=2)
    features = encode(params, x)
    np.testing.assert_allclose(features, encode(params, padded), rtol=1e-5, atol=1e-5)
    decoded = np.asarray(decode(params, features, (4, 4)))
    found = decode(params, features, (3, 2))
    np.testing.assert_allclose(found, decoded[:, :3, :2], rtol=1e-5, atol=1e-6)
    assert (decoded > 0).all()
    assert (decoded < 1).all()


def reached(function, inputs):
    """bool `[F, T]`: which rows of `function(inputs [T, …]) -> [F, …]` depend on which of `inputs`.

    A slope is exactly 0 where nothing leads from one to the other.
    """
    slope = np.asarray(jax.jit(jax.jacrev(function))(inputs))
    slope = np.moveaxis(slope, slope.ndim - inputs.ndim, 1)
    return np.any(slope.reshape(*slope.shape[:2], -1) != 0, axis=-1)


def test_codes_of_sounds_do_not_know_the_future(rng):
    x, params = np.float32(rng.normal(size=(22, 1))), shaken(SOUND)
    depends = reached(lambda x: SOUND.encode(params, x[None])[0], x)
    frames, samples = np.arange(6)[:, None], np.arange(22)[None]
    assert depends.shape == (6, 22)
    assert not depends[samples // HOP > frames].any()
    assert depends[samples // HOP == frames].all()
    # A frame is of two hops, and a kernel of 7 reaches back 6 frames more: to the beginning.
    assert depends[samples // HOP < frames].all()


def test_codes_of_a_sound_are_those_of_its_beginning_too(rng):
    x, params = np.float32(rng.normal(size=(3, 22, 1))), shaken(SOUND)
    quantiser = residual_quantiser(vq.vector_quantiser(9, D), 2)
    states = quantiser.init(jax.random.key(1))

    @jax.jit
    def codes_of(x):
        return quantiser.quantise(states, 0.3 * SOUND.encode(params, x)).codes

    whole = np.asarray(codes_of(x))
    assert len(np.unique(whole)) > 4
    for k in (1, 3, 5):
        np.testing.assert_array_equal(codes_of(x[:, : k * HOP]), whole[:, :k])
    # Another end, and the codes before it stay as they were.
    other = x.copy()
    other[:, 13:] *= -3
    found = np.asarray(codes_of(other))
    np.testing.assert_array_equal(found[:, :3], whole[:, :3])
    assert (found[:, 3:] != whole[:, 3:]).any((1, 2)).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_codes_of_videos_do_not_know_the_future(rng, stride):
    networks = videos(stride)
    x, params = np.float32(rng.random((5, 2, 2, 2))), shaken(networks)
    depends = reached(lambda x: networks.encode(params, x[None])[0], x)
    places, frames = np.arange(len(depends))[:, None], np.arange(5)[None]
    # A position knows its own frames and those of the position before.
    back = places - frames // stride
    np.testing.assert_array_equal(depends, (back == 0) | (back == 1))


@pytest.mark.parametrize("stride", [1, 2])
def test_decoded_frames_do_not_know_later_codes(rng, stride):
    networks = videos(stride)
    z, params = np.float32(rng.normal(size=(3, 1, 1, D))), shaken(networks)
    sides = (3 * stride, 2, 2)
    depends = reached(lambda z: networks.decode(params, z[None], sides)[0], z)
    back = np.arange(3 * stride)[:, None] // stride - np.arange(3)[None]
    np.testing.assert_array_equal(depends, (back == 0) | (back == 1))


def test_frames_of_a_video_keep_their_order_and_their_place(rng):
    """With the look back at 0, as it starts, each frame is an image of its own."""
    networks = videos(1)
    params = jax.jit(networks.init)(jax.random.key(0))
    x = np.float32(rng.random((3, 4, 3, 4, 2)))
    encode, decode = jax.jit(networks.encode), jax.jit(networks.decode, static_argnums=2)
    features = np.asarray(encode(params, x))
    assert features.shape == (3, 4, 2, 2, D)
    own = np.asarray(encode(params, x.reshape(12, 1, 3, 4, 2)))
    np.testing.assert_allclose(features.reshape(own.shape), own, rtol=1e-5, atol=1e-6)
    decoded = np.asarray(decode(params, features, (4, 3, 4)))
    one = decode(params, own, (1, 3, 4))
    np.testing.assert_allclose(decoded.reshape(one.shape), one, rtol=1e-5, atol=1e-6)
    assert np.abs(features[:, 1:] - features[:, :1]).max() > 1e-3


@pytest.mark.parametrize("shift", [-30.0, 30.0])
def test_a_decoder_of_videos_learns_from_pixels_that_are_as_dark_or_light_as_can_be(rng, shift):
    networks = videos(1)
    params = jax.jit(networks.init)(jax.random.key(0))
    z = jnp.float32(rng.normal(size=(1, 2, 1, 1, D)))
    last = params["decoder"]["params"]["Up_0"]["Convolution_1"]

    def error(bias, wanted):
        last["bias"] = bias
        return jnp.square(networks.decode(params, z, (2, 2, 2)) - wanted).sum()

    extreme, reached = jnp.full(2, shift), float(shift > 0)
    assert error(extreme, reached) == 0.0
    slope = jax.grad(error)(extreme, 0.5)
    np.testing.assert_allclose(slope, 2 * (reached - 0.5) * 8)  # of pixels of a channel


@pytest.mark.parametrize(
    ("hop", "window"), [(0, None), (127, None), (128, 1024), (128, 384), (9, 6)]
)
def test_a_window_that_does_not_go_with_the_hop_is_refused(hop, window):
    with pytest.raises(InputError, match=f"does not go with a hop of {hop}; give {4 * hop}"):
        sound.frames(hop=hop, window=window)


def test_magnitudes_are_bounded():
    logs = jnp.float32([-1e30, -2.0, 1.0, 2.0, 1e30, jnp.inf])
    found = sound.magnitudes(logs, 8)
    np.testing.assert_allclose(found, [0, np.exp(-2), np.exp(1), 4, 4, 4], rtol=1e-6)
    slopes = jax.vmap(jax.grad(lambda m: sound.magnitudes(m, 8)))(logs)
    # Below log 4 their own value, beyond it 0.
    np.testing.assert_allclose(slopes, [0, np.exp(-2), np.exp(1), 0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 8, 30])
def test_the_bound_lets_every_sound_between_minus_1_and_1_through(length):
    """At the most it can have: the sum of the window, of samples that are all 1."""
    rng = np.random.default_rng(length)
    for x in (np.ones(length), rng.choice([-1.0, 1.0], length)):
        found = spectral.magnitude(spectral.stft(np.float32(x)[None], 8, 2))
        again = sound.magnitudes(jnp.log(found + 1e-20), 8)
        np.testing.assert_allclose(again, found, rtol=2e-6, atol=1e-19)


def test_features_of_sounds_have_one_spread_however_loud_they_are(rng):
    x, params = np.float32(rng.normal(size=(2, 22, 1))), shaken(SOUND)
    for louder in (1e-3, 1.0, 100.0):
        features = SOUND.encode(params, np.float32(louder) * x)
        np.testing.assert_allclose(features.mean(-1), 0, atol=1e-5)
        np.testing.assert_allclose(features.std(-1), 1, rtol=1e-3)


@pytest.mark.parametrize(("window", "each"), [(2 * HOP, 2), (4 * HOP, 1)])
def test_a_decoded_sound_is_that_of_its_magnitudes_by_griffin_lim(rng, window, each):
    sizes = {"features": D, "width": 6, "blocks": 1, "decoder_blocks": 1, "hop": HOP}
    networks = sound.frames(**sizes, window=window)
    z, params = np.float32(rng.normal(size=(2, 5, D))), shaken(networks)
    sound_of = jax.jit(networks.decode, static_argnums=2)
    logs = sound.Decoder(6, 1, each, window // 2 + 1).apply(params["decoder"], z)
    S = sound.magnitudes(logs, window)
    assert S.shape == (2, 5 * each, window // 2 + 1)
    expected = spectral.griffin_lim(S, 20, window, window // 4, iterations=16)
    np.testing.assert_allclose(sound_of(params, z, (18,))[..., 0], expected[:, :18], atol=1e-4)


def test_phases_are_held_fixed_in_the_gradient(rng):
    """Louder by a factor, so the gradient along all log-magnitudes is the sound itself."""
    z, params = np.float32(rng.normal(size=(1, 5, D))), shaken(SOUND)
    last = params["decoder"]["params"]["Dense_1"]

    def decoded(louder):
        bias = {**last, "bias": last["bias"] + louder}
        moved = {**params, "decoder": {"params": {**params["decoder"]["params"], "Dense_1": bias}}}
        return SOUND.decode(moved, z, (20,))

    x, slope = jax.jvp(decoded, (0.0,), (1.0,))
    np.testing.assert_allclose(slope, x, atol=1e-4)


def test_a_decoder_with_huge_outputs_gives_a_sound_and_a_gradient(rng):
    z, params = np.float32(rng.normal(size=(2, 3, D))), shaken(SOUND)
    last = params["decoder"]["params"]["Dense_1"]
    last["kernel"] = 1e6 * last["kernel"]

    @jax.jit
    def decoded(params, z):
        x = SOUND.decode(params, z, (11,))
        return jnp.sum(jnp.square(x)), x

    (_, x), slopes = jax.value_and_grad(decoded, (0, 1), has_aux=True)(params, z)
    assert x.shape == (2, 11, 1)
    # Of coefficients of at most M = 4 a window's samples are at most 4, and twice that at the ends.
    assert 1.0 < np.abs(x).max() <= 8.0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
