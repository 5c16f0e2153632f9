"""Bounds and likelihood estimates on models whose likelihood is known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel, vae

WEIGHTS = np.array([[1.5, -2.0, 0.7, 0.3]])  # z [1] → four logits
BIASES = np.array([0.2, -0.5, 1.0, -1.0])
KEY = jax.random.key(0)
X = np.array([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]])
IMAGES = np.float32(X).reshape(3, 2, 2, 1)


def model(mean=0.0, log_variance=0.0):
    """p(x|z) = Bernoulli(σ(W z + b)) with one latent, under a q(z|x) that is the same for all x."""
    return vae.one_layer(
        init=lambda key: {},
        encode=lambda _, x: (
            jnp.full((len(x), 1), mean),
            jnp.full((len(x), 1), log_variance),
        ),
        decode=lambda _, z: (
            z @ jnp.float32(WEIGHTS) + jnp.broadcast_to(jnp.float32(BIASES), (len(z), 4))
        ),
        latent_size=1,
    )


@pytest.fixture(scope="module")
def exact():
    """log p(x) = log ∫ N(z; 0, 1) Π_d Bernoulli(x_d; σ(w_d z + b_d)) dz, by quadrature."""
    z = np.linspace(-10, 10, 40_001)
    logits = z[:, None] * WEIGHTS + BIASES
    log_p = X @ logits.T - np.logaddexp(0, logits).sum(1)
    prior = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.log(np.trapezoid(np.exp(log_p) * prior, z, axis=1))


def estimate(networks, k, seeds=1):
    x = np.float32(X)
    nll = jax.jit(lambda key: vae.importance_sampled_nll({}, x, key, networks=networks, k=k))
    return -np.mean([nll(jax.random.key(s)) for s in range(seeds)], axis=0, dtype=np.float64)


@pytest.mark.parametrize("posterior", [(0.0, 0.0), (0.3, 0.5)])
def test_importance_sampling_finds_the_known_likelihood(exact, posterior):
    # Weights are bounded here, so the error falls as 1/√k: at k = 20,000 it is below 1e-2 by far.
    np.testing.assert_allclose(estimate(model(*posterior), k=20_000), exact, atol=1e-2)


def test_bounds_are_ordered_and_below_the_likelihood(exact):
    networks = model(0.3, 0.5)
    by_k = [estimate(networks, k, seeds=400) for k in (1, 5, 50)]
    assert (by_k[0] < by_k[1]).all()
    assert (by_k[1] < by_k[2]).all()
    assert (by_k[2] < exact + 0.01).all()


def test_one_importance_sample_is_the_elbo_in_expectation():
    networks, x = model(0.3, 0.5), np.float32(X)

    @jax.jit
    @jax.vmap
    def both(keys):
        log_w = vae.log_weights({}, networks.encode({}, x), x, None, keys, networks=networks)
        return vae.elbo({}, x, None, keys, networks=networks)[0], log_w

    losses, log_w = both(jax.random.split(jax.random.key(0), (2000, 3)))
    elbo = -np.asarray(losses, np.float64).mean(0)
    np.testing.assert_allclose(np.asarray(log_w, np.float64).mean(0), elbo, atol=0.1)


def test_the_textbook_mistakes_would_be_seen():
    """Reconstruction as a mean and KL as a sum, or the reverse, is no ELBO."""
    networks = model(0.3, 0.5)
    keys = jax.random.split(jax.random.key(0), 3)
    x = np.float32(X)

    @jax.jit
    def terms_and_z(keys):
        terms = vae.elbo({}, x, None, keys, networks=networks)[1]
        return terms, vae.reparameterise(keys, *networks.encode({}, x).q)

    (reconstruction, kl), z = terms_and_z(keys)
    logits = np.asarray(z, np.float64) @ WEIGHTS + BIASES
    np.testing.assert_allclose(
        reconstruction, np.logaddexp(0, logits).sum(1) - (X * logits).sum(1), rtol=1e-5
    )
    np.testing.assert_allclose(kl, 0.5 * (0.09 + np.exp(0.5) - 0.5 - 1), rtol=1e-5)


def test_heldout_figures_do_not_depend_on_the_chunk():
    networks, x = model(), IMAGES
    key = jax.random.key(0)
    whole = vae.heldout_elbo({}, x, key, networks=networks, chunk=3)
    parts = vae.heldout_elbo({}, x, key, networks=networks, chunk=2)
    assert parts == pytest.approx(whole, rel=1e-6)
    total = whole["reconstruction_nats"] + whole["kl_nats"]
    assert whole["negative_elbo_nats"] == pytest.approx(total)


def test_the_likelihood_of_an_image_does_not_depend_on_what_it_is_judged_with():
    x, key = IMAGES[[0, 0, 2]], jax.random.key(3)
    call = {"networks": model(0.3, 0.5), "k": 3}
    alone = np.asarray(jax.jit(partial(vae.importance_sampled_nll, **call))({}, x, key))
    assert alone[0] != alone[1]  # one image in two places
    for n, chunk in [(3, 1), (3, 2), (3, 500), (2, 2)]:
        found = vae.heldout_nll({}, x[:n], key, chunk=chunk, **call)
        assert found == pytest.approx(float(alone[:n].mean()), rel=1e-6), chunk


@pytest.mark.parametrize("posterior", [(0.0, 0.0), (4.0, -3.0)])
def test_five_thousand_weights_are_added_without_loss(posterior):
    """At hundreds of nats, where log(eᵃ + eᵇ) over and over is off by 1e-3."""
    networks, x, k = model(*posterior), np.float32(X), 5000
    likelihood = vae.BERNOULLI._replace(nll=lambda l, x: vae.bernoulli_nll(l, x) + 300)
    call = {"networks": networks, "likelihood": likelihood}
    found = jax.jit(partial(vae.importance_sampled_nll, k=k, **call))({}, x, KEY)

    @jax.jit
    @jax.vmap
    def each(key):
        keys = parallel.example_keys(key, 3)
        return vae.log_weights({}, networks.encode({}, x), x, None, keys, **call)

    log_w = np.asarray(each(jax.random.split(KEY, k)), np.float64)
    top = log_w.max(0)
    expected = np.log(k) - top - np.log(np.exp(log_w - top).sum(0))
    np.testing.assert_allclose(found, expected, atol=5e-5)  # float32 at 300 nats is a grid of 3e-5


def test_weights_of_nothing_add_up_to_nothing():
    networks, x = model(), jnp.float32(X)
    impossible = vae.BERNOULLI._replace(nll=lambda l, x: jnp.full(len(x), jnp.inf))
    call = {"networks": networks, "likelihood": impossible, "k": 3}
    found = vae.importance_sampled_nll({}, x, jax.random.key(0), **call)
    np.testing.assert_array_equal(found, np.inf)


def test_heldout_nll_is_the_mean(exact):
    actual = vae.heldout_nll({}, IMAGES, jax.random.key(0), networks=model(), k=20_000, chunk=2)
    assert actual == pytest.approx(-exact.mean(), abs=1e-2)
