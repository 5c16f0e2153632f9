"""The network of videos: what it ignores, what it is made of, and classes that are combinations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import classifier
from aigc_jax.classifier.networks.video import Head
from aigc_jax.errors import InputError

SHAPE, SIZES = (5, 24, 20, 2), (3, 4)


@pytest.fixture(scope="module")
def made():
    """A small network, compiled, with parameters that are not at their beginning."""
    networks = classifier.temporal(SHAPE, SIZES, width=3, features=6)
    noise = np.random.default_rng(1)
    params = jax.tree.map(
        lambda p: np.float32(p + 0.1 * noise.normal(size=p.shape)),
        jax.device_get(jax.jit(networks.init)(jax.random.key(0))),
    )
    return networks._replace(features=jax.jit(networks.features)), params


def test_a_video_is_described_without_regard_to_its_batch(made, rng):
    networks, params = made
    videos = np.float32(rng.random((7, *SHAPE)))
    whole = np.asarray(networks.features(params, videos))
    assert (whole.shape, whole.dtype) == ((7, 6), np.float32)
    np.testing.assert_allclose(networks.features(params, videos[3:4]), whole[3:4], 1e-4, 1e-6)


def test_videos_of_the_same_pairs_of_frames_as_often_are_alike(made, rng):
    networks, params = made
    a, b = np.float32(rng.random((2, *SHAPE[1:])))
    # Pairs (a, b) and (b, a), once, and three times each.
    short, long = np.stack([a, b, a])[None], np.stack([a, b, a, b, a, b, a])[None]
    once = networks.features(params, short)
    np.testing.assert_allclose(networks.features(params, long), once, rtol=1e-4)
    other = networks.features(params, np.stack([a, a, b])[None])  # (a, a) and (a, b)
    assert np.abs(np.asarray(other) - once).max() > 1e-3


def test_the_order_of_a_pair_counts(made, rng):
    networks, params = made
    pair = np.float32(rng.random((1, 2, *SHAPE[1:])))
    found = (np.asarray(networks.features(params, x)) for x in (pair, pair[:, ::-1]))
    assert np.abs(np.subtract(*found)).max() > 1e-3


def test_it_does_not_matter_where_a_thing_is(made, rng):
    networks, params = made
    videos = np.zeros((2, 3, 60, 60, 2), np.float32)
    thing = rng.random((3, 8, 8, 2))
    videos[0, :, 24:32, 24:32], videos[1, :, 28:36, 20:28] = thing, thing  # 4 pixels off
    a, b = np.asarray(networks.features(params, videos))
    np.testing.assert_allclose(a, b, rtol=1e-4)
    videos[1, 1:, 28:36, 20:28], videos[1, 1:, 28:36, 24:32] = 0, thing[1:]  # it moves
    assert np.abs(np.asarray(networks.features(params, videos))[1] - a).max() > 1e-2


@pytest.mark.parametrize("side", [64, 100, 130])
def test_large_frames_are_halved_until_they_are_small(made, rng, side):
    networks, params = made
    videos = np.float32(rng.random((1, 2, side, side + 1, 2)))
    small = videos
    while min(small.shape[2:4]) >= 64:
        small = np.pad(small, [(0, 0)] * 2 + [(0, small.shape[i] % 2) for i in (2, 3)] + [(0, 0)])
        small = sum(small[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    assert small.shape[2] < 64
    expected = networks.features(params, small)
    np.testing.assert_allclose(networks.features(params, videos), expected, rtol=1e-4, atol=1e-6)


def test_a_combinations_logits_are_sums_and_its_parts_are_independent(rng):
    features = np.float32(rng.normal(size=(5, 6)))
    head = Head((3, 4, 2))
    params = jax.device_get(head.init(jax.random.key(0), features))
    params["params"]["Dense_0"]["bias"] = np.float32(rng.normal(size=9))
    found = np.asarray(head.apply(params, features))
    kernel, bias = (params["params"]["Dense_0"][name] for name in ("kernel", "bias"))
    own = np.float64(features) @ kernel + bias
    parts = np.array(list(np.ndindex(3, 4, 2)))
    np.testing.assert_array_equal(classifier.class_of(parts, (3, 4, 2)), np.arange(24))
    np.testing.assert_array_equal(classifier.parts_of(np.arange(24), (3, 4, 2)), parts)
    columns = parts + np.array([0, 3, 7])
    np.testing.assert_allclose(found, own[:, columns].sum(-1), rtol=1e-5, atol=1e-5)
    # The cross-entropy of a combination is the sum of the parts'.
    label = jnp.array([23, 0, 5, 11, 16])
    apart = [jax.nn.log_softmax(own[:, i:j]) for i, j in ((0, 3), (3, 7), (7, 9))]
    expected = -sum(
        log_p[np.arange(5), parts[label, k]] for k, log_p in enumerate(map(np.asarray, apart))
    )
    np.testing.assert_allclose(classifier.cross_entropy(found, label), expected, rtol=1e-5)


@pytest.mark.parametrize("wrong", [-1, 12])
def test_what_is_no_class_has_no_parts(wrong):
    with pytest.raises(ValueError, match=r"in \[0, 12\)"):
        classifier.parts_of(np.array([0, wrong]), SIZES)


def test_the_number_of_parameters_is_as_documented():
    networks = classifier.networks_of(classifier.VIDEO)
    params = jax.eval_shape(networks.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params["features"])) == 33_264
    assert networks.image_shape == (20, 64, 64, 1)


def test_parts_are_those_of_a_videos_classes():
    config = dataclasses.replace(classifier.VIDEO.config, classes=12, sizes=SIZES)
    params = jax.eval_shape(classifier.networks_of(config).init, jax.random.key(0))
    assert params["head"]["params"]["Dense_0"]["kernel"].shape == (32, 7)
    for changes in ({"classes": 13}, {"image_shape": (28, 28, 1)}):
        with pytest.raises(ValueError, match="of 12 classes, not of"):
            dataclasses.replace(config, **changes)


def test_a_step_is_on_videos_of_one_shape():
    made = classifier.make(classifier.Config(SHAPE, 12, SIZES, width=2, features=3))
    state = made.init(jax.random.key(0))
    for shape in (SHAPE[1:], (4, *SHAPE[1:])):
        batch = classifier.Batch(jnp.zeros((2, *shape)), jnp.zeros(2, int))
        with pytest.raises(InputError, match=r"of shape \[B, 5, 24, 20, 2\], got"):
            made.step(state, batch)


def test_videos_of_all_chunks_are_described(made, rng):
    networks, params = made
    videos = rng.integers(0, 256, (23, *SHAPE), np.uint8)
    said = classifier.describe(params, videos, networks=networks)
    expected = networks.features(params, np.float32(videos) / 255)
    np.testing.assert_allclose(said.features, expected, rtol=1e-4, atol=1e-5)
    assert said.logits.shape == (23, 12)
