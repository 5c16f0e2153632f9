"""Shapes, dtypes and parameter counts of the VAE's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel, vae
from aigc_jax.errors import InputError
from aigc_jax.vae.networks.mlp import Gated

KEY = jax.random.key(0)


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_the_textbook_parameter_counts():
    params = jax.eval_shape(vae.mlp().init, jax.random.key(0))
    assert count(params["encoder"]) == (784 * 128 + 128) + (128 * 4 + 4) == 100_996
    assert count(params["decoder"]) == (2 * 128 + 128) + (128 * 784 + 784) == 101_520


def test_shapes():
    networks = vae.mlp((6, 5, 3), latent_size=4, outputs=3, width=8)
    params = jax.jit(networks.init)(jax.random.key(1))
    mean, log_variance = jax.jit(networks.encode)(params, np.zeros((7, 6, 5, 3), np.float32)).q
    assert mean.shape == log_variance.shape == (7, 4)
    assert jax.jit(networks.decode)(params, mean).shape == (7, 6, 5, 3)


def test_mean_and_variance_are_separate_outputs():
    networks = vae.mlp((2, 2, 1), latent_size=3, width=8)
    params = jax.jit(networks.init)(jax.random.key(1))
    mean, log_variance = jax.jit(networks.encode)(params, np.ones((1, 2, 2, 1), np.float32)).q
    assert not np.allclose(mean, log_variance)


def test_a_step_of_the_textbook_preset_is_the_articles(rng):
    """784 → 128 ReLU → μ, log σ² → 128 ReLU → 784; cross-entropy + KL; Adam's first step."""
    algorithm = vae.make(vae.TEXTBOOK)
    before = jax.jit(algorithm.init)(KEY)
    x = rng.random((4, 28, 28, 1), np.float32)
    after, info = jax.device_get(jax.jit(algorithm.step)(before, x))
    _, key = jax.random.split(jax.random.fold_in(before.key, 0))
    noise = jax.vmap(lambda k: jax.random.normal(k, (2,)))(parallel.example_keys(key, 4))

    def layers(params):
        """(kernel, bias) of the hidden layer and of the outputs."""
        kernels = sorted((p for p in jax.tree.leaves(params) if p.ndim == 2), key=lambda k: -k.size)
        biases = {b.size: b for b in jax.tree.leaves(params) if b.ndim == 1}
        if kernels[0].shape[1] == 784:  # the decoder's second
            kernels.reverse()
        return [(k, biases[k.shape[1]][None]) for k in kernels]

    def loss(params):
        (k1, b1), (k2, b2) = layers(params["encoder"])
        mean, log_variance = jnp.split(
            jax.nn.relu(x.reshape(4, 784) @ k1 + b1) @ k2 + b2, 2, axis=1
        )
        (k3, b3), (k4, b4) = layers(params["decoder"])
        z = mean + jnp.exp(log_variance / 2) * noise
        p = jax.nn.sigmoid(jax.nn.relu(z @ k3 + b3) @ k4 + b4)
        pixels = x.reshape(4, 784)
        entropy = -(pixels * jnp.log(p) + (1 - pixels) * jnp.log(1 - p)).sum(1)
        kl = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(1)
        return (entropy + kl).mean()

    value, grads = jax.device_get(jax.jit(jax.value_and_grad(loss))(before.params))
    params = jax.device_get(before.params)
    assert info.loss_nats == pytest.approx(float(value), rel=1e-5)
    for name in ("encoder", "decoder"):
        for p, g, new in zip(
            *(jax.tree.leaves(t[name]) for t in (params, grads, after.params)), strict=True
        ):
            expected = p - 1e-3 * g / (np.abs(g) + 1e-8)
            clear = np.abs(g) > 1e-5
            np.testing.assert_allclose(new[clear], expected[clear], rtol=0, atol=2e-6)
            assert clear.mean() > 0.3
    np.testing.assert_array_equal(jax.tree.leaves(after.ema)[0], jax.tree.leaves(after.params)[0])


def test_a_gated_layer_is_its_formula(rng):
    layer = Gated(3)
    x = np.float32(rng.normal(size=(4, 5)))
    variables = jax.jit(layer.init)(KEY, x)
    dense = jax.tree.leaves(variables)  # bias [6], kernel [5, 6]
    y = np.asarray(x, np.float64) @ np.asarray(dense[1], np.float64) + np.asarray(dense[0])
    expected = y[:, :3] / (1 + np.exp(-y[:, 3:]))
    np.testing.assert_allclose(layer.apply(variables, x), expected, rtol=1e-5)


def test_log_variances_are_kept_within_their_bounds(rng):
    networks = vae.networks_of(vae.GATED)
    params = jax.tree.map(lambda p: 50 * p, jax.device_get(jax.jit(networks.init)(KEY)))
    x = rng.random((9, 28, 28, 1), np.float32)
    log_variance = np.asarray(jax.jit(networks.encode)(params, x).q.log_variance)
    assert (log_variance.min(), log_variance.max()) == (-6, 2)


CONDITIONAL = {
    "mlp": vae.mlp((8, 8, 1), latent_size=3, classes=4, width=5),
    "conv": vae.convolutional((8, 8, 1), latent_size=3, classes=4, width=3),
    "ladder": vae.ladder((8, 8, 1), latent_size=2, classes=4, width=3, layers=2),
}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_labels_reach_posterior_and_decoder(name):
    networks = CONDITIONAL[name]
    # Layers that begin at zero are moved away from it.
    params = jax.tree.map(lambda p: p + 0.1, jax.device_get(jax.jit(networks.init)(KEY)))
    x, keys = np.full((2, 8, 8, 1), 0.5, np.float32), parallel.example_keys(KEY, 2)
    zeros, ones = np.zeros(2, np.int32), np.ones(2, np.int32)

    @jax.jit
    def both(labels_q, labels_p):
        drawn = networks.draw(params, networks.encode(params, x, labels_q), keys)
        return drawn.log_q - drawn.log_p, networks.decode(params, drawn.z, labels_p)

    told, outputs = jax.device_get(both(zeros, zeros))
    assert (told != np.asarray(both(ones, zeros)[0])).all()
    assert (outputs != np.asarray(both(zeros, ones)[1])).any((1, 2, 3)).all()


def test_a_ladders_divergence_is_the_expectation_of_its_samples(rng):
    """Layer by layer: E[log q − log p] = E[KL(q ‖ p)], the layers above drawn from q."""
    networks = vae.ladder((8, 8, 1), latent_size=1, width=2, layers=2)
    noise = np.float32(rng.normal(size=2000))
    params = jax.device_get(jax.jit(networks.init)(KEY))
    params = jax.tree.map(lambda p: p + noise[: p.size].reshape(p.shape), params)
    x = np.broadcast_to(rng.random((1, 8, 8, 1), np.float32), (4000, 8, 8, 1))

    @jax.jit
    def draw(x):
        drawn = networks.draw(
            params, networks.encode(params, x), parallel.example_keys(KEY, len(x))
        )
        return drawn.log_q - drawn.log_p, jnp.concatenate(drawn.kl, -1).sum(-1)

    sampled, closed = (np.asarray(a, np.float64) for a in draw(x))
    difference = sampled - closed
    assert closed.mean() > 1
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(x))


def test_a_ladder_begins_with_posterior_and_prior_alike():
    networks = vae.ladder((16, 16, 1), latent_size=2, width=2, layers=3)
    x = np.ones((2, 16, 16, 1), np.float32)

    @jax.jit
    def draw(params, keys):
        return networks.draw(params, networks.encode(params, x), keys)

    drawn = jax.device_get(draw(jax.jit(networks.init)(KEY), parallel.example_keys(KEY, 2)))
    # Two layers on 4×4 and one on 8×8, of two latents a cell.
    assert [layer.shape[1:] for layer in drawn.z.layers] == [(4, 4, 2), (4, 4, 2), (8, 8, 2)]
    assert networks.latent_size == sum(layer.shape[1] for layer in drawn.kl) == 192
    np.testing.assert_array_equal(np.concatenate(drawn.kl, -1), 0)


def test_a_ladder_has_no_dreg():
    networks = CONDITIONAL["ladder"]
    with pytest.raises(ValueError, match="single layer of latents"):
        networks.draw({}, None, None, path=lambda z: z)


@pytest.mark.parametrize("make", [vae.convolutional, vae.ladder])
def test_sizes_that_do_not_halve_are_refused(make):
    with pytest.raises(InputError, match="30x30"):
        make((30, 30, 1))
