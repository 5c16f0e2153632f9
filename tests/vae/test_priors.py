"""p(z): densities against NumPy, samples against their densities."""

import jax
import numpy as np
import pytest

from aigc_jax import parallel, vae

KEY = jax.random.key(0)


def log_normal(z, mean, log_variance):
    return -0.5 * ((z - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi))


def test_mixture_log_density_against_numpy(rng):
    mean, log_variance = rng.normal(size=(2, 5, 3))
    z = 2 * rng.normal(size=(7, 3))
    each = log_normal(z[:, None], mean, log_variance).sum(-1)
    expected = np.log(np.exp(each).mean(1))
    components = vae.Gaussian(np.float32(mean), np.float32(log_variance))
    actual = jax.jit(vae.mixture_log_density)(components, np.float32(z))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


VAMP = vae.mlp((3, 2, 1), latent_size=2, prior=vae.vamp_prior((3, 2, 1), components=4), width=5)


@pytest.fixture(scope="module")
def vamp_params():
    return jax.jit(VAMP.init)(KEY)


def test_vamp_prior_is_the_mixture_of_the_posteriors_of_its_pseudo_inputs(vamp_params, rng):
    assert vamp_params["prior"]["pseudo_inputs"].shape == (4, 3, 2, 1)
    x = rng.random((6, 3, 2, 1), np.float32)

    @jax.jit
    def both(params, keys):
        drawn = VAMP.draw(params, VAMP.encode(params, x), keys)
        components = VAMP.encode(params, params["prior"]["pseudo_inputs"]).q
        return drawn, vae.mixture_log_density(components, drawn.z)

    drawn, log_p = jax.device_get(both(vamp_params, parallel.example_keys(KEY, 6)))
    np.testing.assert_allclose(drawn.log_p, log_p, rtol=1e-6)
    np.testing.assert_allclose(drawn.kl[0][:, 0], drawn.log_q - drawn.log_p, rtol=1e-6)


def test_vamp_priors_pseudo_inputs_learn(vamp_params):
    keys, x = parallel.example_keys(KEY, 6), np.ones((6, 3, 2, 1), np.float32)

    def loss(params):
        return vae.elbo(params, x, None, keys, networks=VAMP)[0].mean()

    grads = jax.device_get(jax.jit(jax.grad(loss))(vamp_params))
    assert (np.abs(grads["prior"]["pseudo_inputs"]) > 0).any((1, 2, 3)).all()


def test_samples_of_the_mixture_have_its_moments():
    mean = np.float32([[-2, 0], [4, 1]])
    log_variance = np.log(np.float32([[1, 0.25], [0.25, 4]]))
    n, prior = 20_000, vae.vamp_prior((1, 1, 1), components=2)
    keys = parallel.example_keys(KEY, n)
    sample = jax.jit(prior.sample, static_argnums=2)
    z = np.asarray(sample(vae.Gaussian(mean, log_variance), keys, 2), np.float64)
    # mean ½ Σ μ; variance ½ Σ (σ² + μ²) − mean²
    np.testing.assert_allclose(z.mean(0), [1.0, 0.5], atol=4 * 3.2 / np.sqrt(n))
    np.testing.assert_allclose(z.var(0), [9.625, 2.375], rtol=0.05)


def test_standard_normal_closed_form_is_the_expectation_of_its_sample(rng):
    networks = vae.mlp((3, 2, 1), latent_size=3, width=5)
    x = np.broadcast_to(rng.random((1, 3, 2, 1), np.float32), (40_000, 3, 2, 1))

    @jax.jit
    def draw(params, x):
        keys = parallel.example_keys(KEY, len(x))
        return networks.draw(params, networks.encode(params, x), keys)

    drawn = jax.device_get(draw(jax.jit(networks.init)(KEY), x))
    sampled = np.asarray(drawn.log_q - drawn.log_p, np.float64)
    closed = float(drawn.kl[0].sum(-1)[0])
    assert sampled.mean() == pytest.approx(closed, abs=4 * sampled.std() / 200)
    assert drawn.kl[0].shape == (40_000, 3)


def test_a_class_conditional_vamp_prior_is_refused():
    with pytest.raises(ValueError, match=r"only the prior N\(0, I\)"):
        vae.mlp((3, 2, 1), classes=3, prior=vae.vamp_prior((3, 2, 1)))
