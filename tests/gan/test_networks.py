"""Shapes, dtypes and parameter counts of the GAN's networks."""

import jax
import numpy as np
import pytest

from aigc_jax import gan
from aigc_jax.errors import InputError

ARCHITECTURES = [
    (gan.mlp((6, 5, 3), latent_size=4, width=8), (6, 5, 3)),
    (gan.dcgan((28, 28, 1), latent_size=4, width=4), (28, 28, 1)),
    (gan.dcgan((16, 16, 3), latent_size=4, width=4, normalisation_d="spectral"), (16, 16, 3)),
    (gan.dcgan((16, 16, 2), latent_size=4, width=2, normalisation_d="none"), (16, 16, 2)),
    (gan.resnet((28, 28, 3), latent_size=4, width=4), (28, 28, 3)),
    (gan.resnet((16, 8, 1), latent_size=4, width=4, depth=2), (16, 8, 1)),
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def made(request):
    """Networks, the shape of their images, their variables, and D as a program."""
    networks, shape = request.param
    g, d = jax.jit(networks.init)(jax.random.key(1))
    return networks, shape, g, d, jax.jit(networks.discriminate, static_argnums=3)


def generator(networks):
    """Variables, and `generate(variables, z, None, train, None)` as a program."""
    g, _ = jax.jit(networks.init)(jax.random.key(0))
    return g, jax.jit(networks.generate, static_argnums=3)


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_the_textbook_parameter_counts():
    (params_g, _), (params_d, _) = jax.eval_shape(gan.mlp().init, jax.random.key(0))
    assert count(params_g) == (100 * 128 + 128) + (128 * 784 + 784) == 114_064
    assert count(params_d) == (784 * 128 + 128) + (128 * 1 + 1) == 100_609


def test_shapes_and_range(made, rng):
    networks, shape, g, d, discriminate = made
    z = np.float32(rng.normal(size=(7, 4)) * 9)
    images, _ = jax.jit(networks.generate, static_argnums=3)(g, z, None, True, None)
    logits, _ = discriminate(d, images, None, True, None)
    images, logits = jax.device_get((images, logits))
    assert images.shape == (7, *shape)
    assert images.dtype == np.float32
    assert 0 <= images.min() < 0.5 < images.max() <= 1
    assert logits.shape == (7,)
    assert logits.dtype == np.float32
    assert np.ptp(logits) > 0


def test_the_networks_are_the_textbook_formulas(rng):
    networks = gan.mlp((2, 3, 1), latent_size=4, width=5)
    g, d = jax.device_get(jax.jit(networks.init)(jax.random.key(2)))
    z = rng.normal(size=(3, 4)).astype(np.float32)

    def affine(params, layer, x):
        p = params[layer]
        return x.astype(np.float64) @ p["kernel"] + p["bias"]

    hidden = np.maximum(affine(g.params, "Dense_0", z), 0)
    images = 1 / (1 + np.exp(-affine(g.params, "Dense_1", hidden)))
    actual, _ = jax.jit(networks.generate, static_argnums=3)(g, z, None, True, None)
    np.testing.assert_allclose(actual.reshape(3, -1), images, rtol=1e-5)
    hidden = np.maximum(affine(d.params, "Dense_0", images), 0)
    logits = affine(d.params["ProjectionHead_0"], "Dense_0", hidden)[:, 0]
    shown = np.float32(images.reshape(3, 2, 3, 1))
    actual, _ = jax.jit(networks.discriminate, static_argnums=3)(d, shown, None, True, None)
    np.testing.assert_allclose(actual, logits, rtol=1e-4, atol=1e-5)


def test_the_class_enters_by_an_inner_product_with_ds_features(rng):
    networks = gan.mlp((2, 3, 1), latent_size=4, classes=3, width=5)
    _, d = jax.device_get(jax.jit(networks.init)(jax.random.key(2)))
    x, labels = rng.random((4, 2, 3, 1)), np.array([2, 0, 1, 2])
    first, head = d.params["Dense_0"], d.params["ProjectionHead_0"]
    features = np.maximum(x.reshape(4, -1) @ np.float64(first["kernel"]) + first["bias"], 0)
    linear = features @ np.float64(head["Dense_0"]["kernel"])[:, 0] + head["Dense_0"]["bias"]
    expected = linear + np.sum(np.float64(head["class_embedding"])[labels] * features, axis=1)
    discriminate = jax.jit(networks.discriminate, static_argnums=3)
    actual, _ = discriminate(d, np.float32(x), labels, True, None)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", [gan.dcgan, gan.resnet])
@pytest.mark.parametrize("size", [(27, 28), (30, 30), (6, 6), (28, 26), (4, 64)])
def test_sizes_that_cannot_be_made_are_refused(architecture, size):
    with pytest.raises(InputError, match=f"images of {size[0]}x{size[1]} pixels"):
        architecture((*size, 1))


def test_batch_normalisation_uses_the_batch_in_training_and_its_memory_in_sampling(rng):
    networks = gan.dcgan((8, 8, 1), latent_size=4, width=4)
    g, generate = generator(networks)
    z = np.float32(rng.normal(size=(16, 4)))
    trained, stats = jax.device_get(generate(g, z, None, True, None))
    alone, _ = generate(g, z[:5], None, True, None)
    assert np.abs(trained[:5] - alone).max() > 1e-3
    moved = gan.Variables(g.params, stats)
    whole, same = jax.device_get(generate(moved, z, None, False, None))
    part, _ = generate(moved, z[:5], None, False, None)
    np.testing.assert_allclose(whole[:5], part, rtol=1e-5)
    assert jax.tree.all(jax.tree.map(np.array_equal, same, stats))


def test_running_statistics_forget_by_the_momentum_and_keep_the_variance_apart_from_it(rng):
    # PyTorch-GAN #116: 0.8 was handed to eps where momentum was meant.
    networks = gan.dcgan((8, 8, 1), latent_size=4, width=4)
    g, generate = generator(networks)
    z = np.float32(rng.normal(size=(512, 4)))
    _, stats = generate(g, z, None, True, None)
    h = np.float64(z) @ np.float64(g.params["Dense_0"]["kernel"])
    h = h.reshape(-1, 4)  # the channels of the grid
    found = stats["BatchNorm_0"]
    np.testing.assert_allclose(found["mean"], 0.1 * h.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * h.var(0), rtol=1e-5)


def test_spectral_normalisation_brings_every_weight_to_norm_one():
    networks = gan.dcgan((16, 16, 1), latent_size=4, width=4, normalisation_d="spectral")
    _, d = jax.jit(networks.init)(jax.random.key(0))

    @jax.jit
    def discriminate(d, x):
        return networks.discriminate(d, x, None, True, None)

    images = np.float32(np.random.default_rng(0).random((3, 16, 16, 1)))
    for _ in range(60):  # one power step each, from where the last one stopped
        _, stats = discriminate(d, np.zeros_like(images))
        d = gan.Variables(d.params, stats)
    leaves = jax.tree_util.tree_flatten_with_path(d.stats)[0]
    sigmas = [float(v) for path, v in leaves if "sigma" in str(path[-1])]
    kernels = [k for k in jax.tree.leaves(d.params) if k.ndim > 1]
    expected = [np.linalg.norm(np.asarray(k).reshape(-1, k.shape[-1]), 2) for k in kernels]
    np.testing.assert_allclose(sorted(sigmas), sorted(expected), rtol=1e-3)
    scaled = gan.Variables(jax.tree.map(lambda p: 7 * p if p.ndim > 1 else p, d.params), d.stats)
    one, _ = discriminate(d, images)
    other, _ = discriminate(scaled, images)
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_residual_blocks_start_as_the_identity():
    networks = gan.resnet((8, 8, 1), latent_size=4, width=4)
    g, generate = generator(networks)
    z = np.ones((2, 4), np.float32)
    before, _ = generate(g, z, None, True, None)
    changed = jax.tree.map(np.array, g.params)
    changed["Residual_0"]["Dense_0"]["kernel"] *= 3
    after, _ = generate(gan.Variables(changed, {}), z, None, True, None)
    np.testing.assert_array_equal(before, after)


def test_mixes_examples_is_true_where_a_logit_depends_on_the_rest_of_the_batch(made):
    networks, shape, _, d, discriminate = made
    images = np.float32(np.random.default_rng(1).random((7, *shape)))
    whole, part = (
        np.asarray(discriminate(d, x, None, True, None)[0]) for x in (images, images[:3])
    )
    assert networks.mixes_examples == (not np.allclose(whole[:3], part, atol=1e-5))
