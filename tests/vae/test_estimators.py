"""Each objective's gradient against the plain estimator's, over many draws, at β ∉ {0, 1}.

z ~ p(z),   x|z ~ N(w z + b, s²),   q(z|x) = N(a x + c, e^{v});   log w as in objectives.py
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vae

DRAWS, SAMPLES = 40_000, 5
X = 1.3
PARAMS = {"a": 0.2, "c": 0.3, "v": -0.4, "w": 0.9, "b": -0.1, "t": -0.5}
PSEUDO = (0.2, 0.9)  # inputs of the VampPrior, in [0, 1]


def normal(z, mean, log_variance):
    return -0.5 * ((z - mean) ** 2 / jnp.exp(log_variance) + log_variance + jnp.log(2 * jnp.pi))


def networks(prior):
    """The model above in the package's terms."""

    def encode(params, x):
        mean = params["a"] * x.reshape(-1, 1) + params["c"]
        return mean, params["v"] + jnp.zeros_like(mean)

    def decode(params, z):
        mean = (params["w"] * z + params["b"])[:, None, None]
        return jnp.concatenate([mean, params["t"] + jnp.zeros_like(mean)], axis=-1)

    return vae.one_layer(lambda key: {}, encode, decode, latent_size=1, prior=prior)


PRIORS = {"normal": vae.STANDARD_NORMAL, "vamp": vae.vamp_prior((1, 1, 1), components=2)}


def log_weights(params, noise, beta, prior):
    """log w [S] of the noise [S], and its first term."""
    mean, v = params["a"] * X + params["c"], params["v"]
    z = mean + jnp.exp(0.5 * v) * noise
    log_p = normal(z, 0.0, 0.0)
    if prior == "vamp":
        means = params["a"] * params["prior"]["pseudo_inputs"].ravel() + params["c"]
        log_p = jax.nn.logsumexp(normal(z[:, None], means[None], v), axis=1) - jnp.log(2.0)
    log_x = normal(X, params["w"] * z + params["b"], params["t"])
    return log_x + beta * (log_p - normal(z, mean, v)), log_x


def plain(bound, prior, params, key, beta):
    """−log p(x|z) + β (log q − log p), or the bound of Burda et al., by its own arithmetic."""
    log_w, log_x = log_weights(params, jax.random.normal(key, (SAMPLES,)), beta, prior)
    if bound == "iwae":
        return jnp.log(SAMPLES) - jax.nn.logsumexp(log_w)
    return -(log_x if bound == "reconstruction" else log_w).mean()


def package(objective, prior, params, key, beta):
    """The same as the package has it."""
    model = {"networks": networks(PRIORS[prior]), "likelihood": vae.gaussian(1.0)}
    x = jnp.full((1, 1, 1, 1), X)
    return objective(params, x, None, key[None], beta, samples=SAMPLES, **model)[0][0]


@cache
def compiled(loss, kind, prior):
    """The gradients of a loss for many keys, one program for all β."""
    return jax.jit(jax.vmap(jax.grad(partial(loss, kind, prior)), (None, 0, None)))


def gradients(loss, kind, prior, beta, seed):
    """Of the parameters, `[DRAWS, P]` in float64."""
    keys = jax.random.split(jax.random.key(seed), DRAWS)
    found = compiled(loss, kind, prior)(parameters(prior), keys, beta)
    rows = [np.asarray(leaf, np.float64).reshape(DRAWS, -1) for leaf in jax.tree.leaves(found)]
    return np.concatenate(rows, 1)


def assert_same_mean(one, other):
    """A z-test of each parameter: of a hundred, one is beyond 4.5 once in 1,500 such tests."""
    error = np.sqrt((one.var(0) + other.var(0)) / DRAWS)
    assert (error > 0).all()
    np.testing.assert_array_less(np.abs(one.mean(0) - other.mean(0)), 4.5 * error)


def parameters(prior):
    params = jax.tree.map(np.float32, PARAMS)
    if prior == "vamp":
        params["prior"] = {"pseudo_inputs": np.float32(PSEUDO).reshape(2, 1, 1, 1)}
    return params


@cache
def plain_gradients(bound, prior, beta):
    return gradients(plain, bound, prior, beta, 2)


@pytest.mark.parametrize("beta", [0.5, 1.7])
@pytest.mark.parametrize(
    ("objective", "bound", "prior"),
    [
        (vae.elbo, "elbo", "normal"),
        (vae.elbo, "elbo", "vamp"),
        (partial(vae.elbo, sampled_kl=True), "elbo", "normal"),
        (partial(vae.elbo, free_nats=1e-3), "elbo", "normal"),
        (partial(vae.elbo, free_nats=99.0), "reconstruction", "normal"),
        (partial(vae.elbo, free_nats=99.0, sampled_kl=True), "reconstruction", "vamp"),
        (vae.iwae, "iwae", "normal"),
        (vae.iwae, "iwae", "vamp"),
        (vae.dreg, "iwae", "normal"),
        (vae.dreg, "iwae", "vamp"),
    ],
)
def test_a_gradient_has_the_plain_estimators_mean(objective, bound, prior, beta):
    found = gradients(package, objective, prior, beta, 1)
    expected = plain_gradients(bound, prior, beta)
    if bound == "reconstruction":  # in which the prior, if any, has no part
        used = expected.any(0)
        assert not found[:, ~used].any()
        found, expected = found[:, used], expected[:, used]
    assert_same_mean(found, expected)
