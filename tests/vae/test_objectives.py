"""Bounds and their gradient estimators, on a linear-Gaussian model whose likelihood is known.

z ~ N(0, I),   x|z ~ N(W z + b, s² I);   log p(x) = log N(x; b, W Wᵀ + s² I)
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from aigc_jax import parallel, vae

W = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]])
B = np.array([0.1, -0.2, 0.4])
NOISE = 0.6  # s
X = np.array([[0.5, -0.3, 1.0], [-1.2, 0.4, 0.0]])
KEY = jax.random.key(0)


def posterior():
    """The exact one: N((I + WᵀW/s²)⁻¹ Wᵀ(x − b)/s², (I + WᵀW/s²)⁻¹)."""
    covariance = np.linalg.inv(np.eye(2) + W.T @ W / NOISE**2)
    return (X - B) @ W @ covariance / NOISE**2, covariance


def log_likelihood():
    covariance = W @ W.T + NOISE**2 * np.eye(3)
    d = X - B
    squares = np.einsum("bi,ij,bj->b", d, np.linalg.inv(covariance), d)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


NETWORKS = vae.one_layer(
    init=lambda key: {},
    encode=lambda params, x: (
        x.reshape(len(x), -1) @ params["a"] + jnp.broadcast_to(params["c"], (len(x), 2)),
        jnp.broadcast_to(params["s"], (len(x), 2)),
    ),
    decode=lambda params, z: jnp.concatenate(
        [
            (z @ params["w"].T + jnp.broadcast_to(params["b"], (len(z), 3))).reshape(-1, 3, 1, 1),
            jnp.broadcast_to(params["t"], (len(z), 3, 1, 1)),
        ],
        axis=-1,
    ),
    latent_size=2,
)
MODEL = {"networks": NETWORKS, "likelihood": vae.gaussian(1.0)}


def near_posterior():
    """Parameters of the model above, with a factorised q whose mean is the exact one."""
    _, covariance = posterior()
    a = W @ covariance / NOISE**2
    given = {"a": a, "c": -B @ a, "s": np.log(np.diag(covariance)) + 0.2}
    given |= {"w": W, "b": B, "t": np.full((1, 1, 1), 2 * np.log(NOISE))}
    return jax.tree.map(np.asarray, given)


def images(x=X):
    return np.asarray(x).reshape(-1, 3, 1, 1)


def in_float32():
    """The same parameters and images."""
    return jax.tree.map(np.float32, (near_posterior(), images()))


def means(objective, seeds=4000):
    """The loss of each image over many draws, [2]."""
    params, x = in_float32()
    keys = jax.random.split(KEY, (seeds, 2))
    losses = jax.jit(jax.vmap(lambda k: objective(params, x, None, k, **MODEL)[0]))(keys)
    return np.asarray(losses, np.float64).mean(0)


def test_bounds_are_in_order_and_below_the_known_likelihood():
    elbo, five, fifty = (means(f) for f in (vae.elbo, IWAE_5, IWAE_50))
    assert (elbo > five + 1e-3).all()
    assert (five > fifty + 1e-4).all()
    assert (fifty > -log_likelihood() - 1e-2).all()
    np.testing.assert_allclose(fifty, -log_likelihood(), atol=0.01)


IWAE_5, IWAE_50 = partial(vae.iwae, samples=5), partial(vae.iwae, samples=50)


def test_the_elbo_is_the_likelihood_less_the_gap_to_the_posterior():
    _, covariance = posterior()
    variance = np.exp(near_posterior()["s"])
    precision = np.linalg.inv(covariance)
    gap = 0.5 * (
        np.sum(np.diag(precision) * variance)
        - 2
        + np.linalg.slogdet(covariance)[1]
        - np.log(variance).sum()
    )
    np.testing.assert_allclose(means(vae.elbo), gap - log_likelihood(), atol=0.03)
    np.testing.assert_allclose(
        means(partial(vae.elbo, sampled_kl=True)), gap - log_likelihood(), atol=0.03
    )


def test_importance_sampling_finds_the_known_likelihood():
    params, x = in_float32()
    nll = vae.importance_sampled_nll(params, x, KEY, **MODEL, k=20_000)
    np.testing.assert_allclose(nll, -log_likelihood(), atol=3e-3)


@pytest.mark.parametrize("samples", [1, 3])
def test_losses_by_their_formulas_from_the_same_draws(samples):
    params, x = in_float32()
    keys, beta = parallel.example_keys(KEY, 2), 0.7

    @jax.jit
    def drawn_by(keys):
        context = NETWORKS.encode(params, x)
        drawn = NETWORKS.draw(params, context, keys)
        nll = vae.gaussian_nll(NETWORKS.decode(params, drawn.z), x)
        return (nll, drawn.log_q, drawn.log_p), vae.kl_to_standard_normal(*context.q)

    fold = jax.vmap(jax.random.fold_in, (0, None))
    each = [drawn_by(keys if samples == 1 else fold(keys, s)) for s in range(samples)]
    nll, log_q, log_p = np.array([parts for parts, _ in each], np.float64).transpose(1, 0, 2)
    closed = np.asarray(each[0][1], np.float64)

    def bound(function, **options):
        found = jax.jit(partial(function, samples=samples, **MODEL, **options))
        return found(params, x, None, keys, beta)

    losses, terms = bound(vae.elbo)
    np.testing.assert_allclose(losses, nll.mean(0) + beta * closed, rtol=1e-5)
    np.testing.assert_allclose(terms.reconstruction, nll.mean(0), rtol=1e-5)
    np.testing.assert_allclose(terms.kl, closed, rtol=1e-5)
    losses, _ = bound(vae.elbo, sampled_kl=True)
    np.testing.assert_allclose(losses, (nll + beta * (log_q - log_p)).mean(0), rtol=1e-4)
    log_w = beta * (log_p - log_q) - nll
    expected = np.log(samples) - np.log(np.exp(log_w).sum(0))
    for function in (vae.iwae, vae.dreg):
        np.testing.assert_allclose(bound(function)[0], expected, rtol=1e-5)


def float64_loss(objective, beta=1.0):
    x, keys = images(), parallel.example_keys(KEY, 2)
    params, unravel = ravel_pytree(near_posterior())

    def loss(flat):
        return objective(unravel(flat), x, None, keys, beta, **MODEL)[0].sum()

    return loss, params


@pytest.mark.parametrize(
    "objective",
    [
        vae.elbo,
        partial(vae.elbo, samples=2, sampled_kl=True),
        partial(vae.iwae, samples=4),
    ],
    ids=["elbo", "sampled", "iwae"],
)
def test_gradients_against_finite_differences_in_float64(objective):
    with jax.enable_x64(True):
        loss, params = float64_loss(objective, beta=0.8)
        loss = jax.jit(loss)
        steps = 1e-5 * np.eye(len(params))
        numeric = [(loss(params + h) - loss(params - h)) / 2e-5 for h in steps]
        gradient = jax.jit(jax.grad(loss))(params)
        assert gradient.dtype == jnp.float64
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)


def weights_of(params, x, keys, beta=1.0):
    """log w [S, B] as a function of all parameters, and of z with q's own held fixed."""
    context = NETWORKS.encode(params, x)
    z = jax.vmap(lambda k: vae.reparameterise(k, *context.q))(keys)

    def log_w(params, z):
        q = jax.lax.stop_gradient(context.q)
        log_q = vae.gaussian_log_density(z, *(a[None] for a in q))
        log_p = vae.gaussian_log_density(z, jnp.zeros_like(z), jnp.zeros_like(z))
        nll = jax.vmap(lambda z: vae.gaussian_nll(NETWORKS.decode(params, z), x))(z)
        return beta * (log_p - log_q) - nll

    return z, log_w


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_dregs_gradient_is_its_formula(beta):
    """w̃ ∂ log w for the decoder, w̃ (1 − β + β w̃) (∂ log w / ∂z) ∂z for the encoder."""
    with jax.enable_x64(True):
        params, x, samples = near_posterior(), images(), 3
        keys = parallel.example_keys(KEY, 2)
        own = jax.vmap(lambda s: jax.vmap(lambda k: jax.random.fold_in(k, s))(keys))(jnp.arange(3))

        @jax.jit
        def by_formula(params):
            z, log_w = weights_of(params, x, own, beta)
            w = jax.nn.softmax(log_w(params, z), axis=0)
            decoder = jax.grad(lambda p: -jnp.sum(w * log_w(p, z)))(params)
            slope = jax.grad(lambda z: -jnp.sum(log_w(params, z)))(z)
            weighed = (w * (1 - beta + beta * w))[..., None] * slope
            encoder = jax.grad(lambda p: jnp.sum(weighed * weights_of(p, x, own)[0]))(params)
            return decoder, encoder

        decoder, encoder = by_formula(params)
        bound = partial(vae.dreg, samples=samples, **MODEL)
        actual = jax.jit(jax.grad(lambda p: bound(p, x, None, keys, beta)[0].sum()))(params)
        for name in ("w", "b", "t"):
            np.testing.assert_allclose(actual[name], decoder[name], rtol=1e-9)
        for name in ("a", "c", "s"):
            np.testing.assert_allclose(actual[name], encoder[name], rtol=1e-9)


@pytest.mark.parametrize(("beta", "ratio"), [(1.0, 0.2), (0.4, 0.7)])
def test_dregs_gradient_has_iwaes_mean_and_less_variance(beta, ratio):
    """On the encoder: with 20 samples, by a factor of ten here where β = 1."""
    params, x = in_float32()
    keys = jax.random.split(KEY, (3000, 2))

    def gradients(objective):
        def loss(p, k):
            return objective(p, x, None, k, beta, samples=20, **MODEL)[0].sum()

        found = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, keys)
        return np.concatenate(
            [np.asarray(found[n], np.float64).reshape(3000, -1) for n in "acs"], 1
        )

    plain, doubly = gradients(vae.iwae), gradients(vae.dreg)
    error = np.sqrt((plain.var(0) + doubly.var(0)) / 3000)
    assert (np.abs(plain.mean(0) - doubly.mean(0)) < 4 * error).all()
    assert (doubly.var(0) < ratio * plain.var(0)).all()


def test_iwae_weighs_the_gradient_by_its_normalised_weights_not_by_their_losses():
    """The softmax is over log w; one over the losses would favour the worst sample."""
    params, x = in_float32()
    keys = parallel.example_keys(KEY, 2)
    own = jax.vmap(lambda s: jax.vmap(lambda k: jax.random.fold_in(k, s))(keys))(jnp.arange(6))

    @jax.jit
    def by_formula(params):
        z, log_w = weights_of(params, x, own)
        w = jax.nn.softmax(log_w(params, z), axis=0)
        return jax.grad(lambda p: -jnp.sum(w * log_w(p, z)))(params)["w"]

    def loss(params):
        return vae.iwae(params, x, None, keys, samples=6, **MODEL)[0].sum()

    actual = jax.jit(jax.grad(loss))(params)
    np.testing.assert_allclose(actual["w"], by_formula(params), rtol=1e-4)


def test_free_nats_hold_the_gradient_back_below_them_and_nothing_above():
    params, x = in_float32()
    keys = parallel.example_keys(KEY, 2)
    elbo = jax.jit(partial(vae.elbo, **MODEL))
    plain, terms = jax.device_get(elbo(params, x, None, keys))
    kl = float(terms.kl.mean())

    def mean_loss(p, free):
        return vae.elbo(p, x, None, keys, free_nats=free, **MODEL)[0].mean()

    both = jax.jit(jax.value_and_grad(mean_loss), static_argnums=1)
    assert float(both(params, 0.5 * kl)[0]) == pytest.approx(float(plain.mean()))
    below = both(params, 2 * kl)
    assert float(below[0]) == pytest.approx(float(terms.reconstruction.mean()) + 2 * kl)

    def reconstruction(p):
        return vae.elbo(p, x, None, keys, **MODEL)[1].reconstruction.mean()

    expected = jax.jit(jax.grad(reconstruction))(params)
    np.testing.assert_allclose(below[1]["s"], expected["s"], rtol=1e-5)


def test_free_nats_count_the_whole_batch_on_every_device():
    """One device's share is above the free nats and the other's below; their mean decides."""
    params, _ = in_float32()
    x = np.float32(images(np.array([[4.0, 4, 4], [0.1, -0.2, 0.4]])))
    keys = parallel.example_keys(KEY, 2)
    kl = np.asarray(jax.jit(partial(vae.elbo, **MODEL))(params, x, None, keys)[1].kl)
    free = float(kl.mean()) * 0.9
    assert kl.min() < free < kl.max()
    whole, _ = jax.jit(partial(vae.elbo, free_nats=free, **MODEL))(params, x, None, keys)
    split = jax.pmap(
        lambda x, k: vae.elbo(
            params, x[None], None, k[None], free_nats=free, axis_name="d", **MODEL
        )[0],
        "d",
    )(x, keys)
    np.testing.assert_allclose(np.asarray(split)[:, 0], whole, rtol=1e-5)


def test_beta_warms_up_with_the_steps():
    config = vae.Config((3, 2, 1), beta=0.5, warmup_steps=4, ema_decay=0.0)
    algorithm = vae.make(config)
    state, batch = jax.jit(algorithm.init)(KEY), np.random.default_rng(0).random((4, 3, 2, 1))
    step = jax.jit(algorithm.step)
    for t in range(6):
        state, info = step(state, batch)
        weight = 0.5 * min(t / 4, 1)
        expected = float(info.reconstruction_nats) + weight * float(info.kl_nats)
        assert float(info.loss_nats) == pytest.approx(expected, rel=1e-5)
        total = float(info.reconstruction_nats) + float(info.kl_nats)
        assert float(info.negative_elbo_nats) == pytest.approx(total, rel=1e-6)


def test_each_layer_of_a_ladder_has_free_nats_of_its_own_with_a_sampled_kl_too():
    """Above λ, a layer counts what it says; below, λ. All say nothing at first."""
    networks = vae.ladder((8, 8, 1), latent_size=1, width=2, layers=2)
    params = jax.device_get(jax.jit(networks.init)(KEY))
    x = np.full((3, 8, 8, 1), 0.5, np.float32)
    keys, beta = parallel.example_keys(KEY, 3), 2.0

    @partial(jax.jit, static_argnums=1)
    def divergence(params, free):
        """What stands beside the reconstruction, of mean β times so much."""
        call = {"free_nats": free, "sampled_kl": True, "networks": networks}
        losses, terms = vae.elbo(params, x, None, keys, beta, **call)
        return (losses - terms.reconstruction).mean() / beta

    assert float(divergence(params, 0.5)) == pytest.approx(2 * 0.5)
    noise = np.float32(np.random.default_rng(0).normal(size=999))
    moved = jax.tree.map(lambda p: p + noise[: p.size].reshape(p.shape), params)
    draw = jax.jit(lambda p: networks.draw(p, networks.encode(p, x), keys))
    drawn = jax.device_get(draw(moved))
    np.testing.assert_allclose(sum(drawn.sampled_kl), drawn.log_q - drawn.log_p, rtol=1e-3)
    layers = np.asarray(drawn.sampled_kl, np.float64).mean(1)
    free = float(layers.mean())
    assert layers.min() < free - 1
    assert float(divergence(moved, free)) == pytest.approx(layers.max() + free, rel=1e-4)
