"""Metrics over a whole set of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vae

KEY = jax.random.key(0)
# Two latents: the first follows x, the second never moves.
NETWORKS = vae.one_layer(
    init=lambda key: {},
    encode=lambda _, x: (
        jnp.stack([x[:, 0, 0, 0], jnp.full(len(x), 0.5)], -1),
        jnp.full((len(x), 2), -1.0),
    ),
    decode=lambda _, z: z[:, :1, None, None],
    latent_size=2,
)
X = np.random.default_rng(0).normal(size=(101, 1, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("chunk", [7, 500])
def test_latent_usage_by_its_formulas(chunk):
    usage = vae.latent_usage({}, jnp.asarray(X), KEY, networks=NETWORKS, chunk=chunk)
    x = X.astype(np.float64).ravel()
    constant = 0.5 * (np.exp(-1) + 1 - 1)  # ½ (σ² − log σ² − 1), and ½ μ² beside it
    expected = [constant + 0.5 * np.mean(x**2), constant + 0.125]
    np.testing.assert_allclose(usage.kl_nats, expected, rtol=1e-6)
    np.testing.assert_allclose(usage.variance, [x.var(), 0], rtol=1e-6, atol=1e-12)
    assert vae.active_units(usage) == 1


def test_active_units_counts_what_varies_by_more_than_a_hundredth():
    usage = vae.Usage(np.zeros(3), np.array([0.0099, 0.0101, 5.0]))
    assert vae.active_units(usage) == 2


def test_a_hierarchy_has_divergences_and_no_posterior_mean():
    networks = vae.ladder((8, 8, 1), latent_size=2, width=2, layers=2)
    usage = vae.latent_usage(
        jax.jit(networks.init)(KEY), jnp.ones((3, 8, 8, 1)), KEY, networks=networks
    )
    assert usage.kl_nats.shape == (networks.latent_size,)
    assert vae.active_units(usage) is None


def test_bits_per_dim():
    # MNIST's 784 values: nats / 543.43
    assert vae.bits_per_dim(543.43, (28, 28, 1)) == pytest.approx(1, rel=1e-5)
