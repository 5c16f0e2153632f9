"""Each likelihood against NumPy in float64, quadrature, and what makes it a distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import parallel, vae

NLL = jax.jit(vae.continuous_bernoulli_nll)
MEAN = jax.jit(vae.continuous_bernoulli_mean)
LOGITS = np.array([-40.0, -3.0, -0.5, -1e-2, -1e-4, 0.0, 1e-4, 2e-2, 0.5, 3.0, 40.0])


def test_continuous_bernoulli_is_a_density_on_the_unit_interval():
    x = np.linspace(0, 1, 4001)

    @jax.jit
    def nll(logit):
        return jax.vmap(lambda a: vae.continuous_bernoulli_nll(logit, a[None]))(x[:, None])[:, 0]

    for logit in LOGITS[1:-1]:
        density = np.exp(-np.asarray(nll(np.full((1, 1), logit)), np.float64))
        assert np.trapezoid(density, x) == pytest.approx(1, rel=2e-6)


def test_continuous_bernoulli_sums_over_pixels():
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(3, 4, 2, 1)) * 5, rng.random((3, 4, 2, 1))
    expected = (np.log(np.expm1(logits) / logits) - x * logits).sum((1, 2, 3))
    np.testing.assert_allclose(NLL(logits, x), expected, rtol=2e-6)


def test_continuous_bernoulli_derivative_is_mean_minus_x_also_at_zero():
    """∂/∂l [A(l) − xl] = E[x] − x, and E[x] by quadrature."""
    x = np.linspace(0, 1, 20_001)
    weights = np.exp((x - (LOGITS[:, None] > 0)) * LOGITS[:, None])
    mean = np.trapezoid(x * weights, x) / np.trapezoid(weights, x)
    slope = jax.vmap(jax.grad(lambda l: vae.continuous_bernoulli_nll(l[None, None], 0.3)[0]))
    # A quotient of small numbers loses three digits next to where the series takes over.
    np.testing.assert_allclose(jax.jit(slope)(np.float32(LOGITS)), mean - 0.3, rtol=2e-4)
    np.testing.assert_allclose(MEAN(np.float32(LOGITS)), mean, rtol=2e-4)


@pytest.mark.parametrize("logit", [-9e-3, 2e-3, 8e-3])
def test_continuous_bernoulli_has_its_second_order_near_zero(logit):
    """A(l) = l/2 + l²/24 and A′(l) = ½ + l/12, up to fourth order."""
    one = np.full((1, 1), logit, np.float32)
    normaliser = np.log(np.expm1(logit) / logit)
    at_ends = [NLL(one, np.full((1, 1), x, np.float32)).item() for x in (0.0, 1.0)]
    np.testing.assert_allclose(at_ends, [normaliser, normaliser - logit], rtol=1e-5)
    mean = MEAN(one).item()
    assert mean - 0.5 == pytest.approx(logit / 12, rel=1e-3)


@pytest.mark.parametrize("logit", [-3e5, -1e3, 1e3, 3e5])
def test_continuous_bernoulli_loses_no_digits_at_the_ends(logit):
    """At the nearer end A(l) − xl is −log |l|, at the other |l| more."""
    near, far = (jnp.full((1, 1), float(x)) for x in ((1, 0) if logit > 0 else (0, 1)))
    found = [vae.continuous_bernoulli_nll(jnp.full((1, 1), logit), x)[0] for x in (near, far)]
    expected = -np.log(abs(logit)) + np.array([0, abs(logit)])
    np.testing.assert_allclose(found, expected, rtol=2e-7)


def test_gaussian_nll_has_one_scale_for_each_channel():
    rng = np.random.default_rng(0)
    mean, x, log_variance = rng.normal(size=(2, 3, 3, 2)), rng.random((2, 3, 3, 2)), [-1.0, 0.5]
    outputs = np.concatenate([mean, np.broadcast_to(log_variance, mean.shape)], -1)
    variance = np.exp(log_variance)
    terms = 0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))
    np.testing.assert_allclose(vae.gaussian_nll(outputs, x), terms.sum((1, 2, 3)), rtol=1e-5)
    assert (vae.GAUSSIAN.outputs(2), vae.GAUSSIAN.shared(2)) == (2, 2)


def test_sigma_begins_where_it_is_told():
    nll, x = jax.jit(vae.gaussian(0.1).nll), np.full((2, 3, 3, 1), 0.5, np.float32)
    outputs = np.tile(np.float32([0.4, 0.0]), (2, 3, 3, 1))
    # 9 pixels at a distance of 0.1 = σ.
    expected = 9 * (0.5 + np.log(0.1) + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(nll(outputs, x), [expected] * 2, rtol=1e-5)
    outputs[..., 1] = 2 * np.log(2.0)
    wider = nll(outputs, x)
    np.testing.assert_allclose(wider, [expected + 9 * (np.log(2) - 0.5 * 0.75)] * 2, rtol=1e-5)


def test_the_learned_scale_is_a_parameter_that_all_pixels_share():
    config = vae.Config((4, 3, 2), likelihood=vae.GAUSSIAN)
    networks = vae.networks_of(config)
    params = jax.jit(networks.init)(jax.random.key(0))
    outputs = np.asarray(jax.jit(networks.decode)(params, np.ones((5, 2), np.float32)))
    assert outputs.shape == (5, 4, 3, 4)
    np.testing.assert_array_equal(outputs[..., 2:], 0)


def test_dequantised_values_stay_in_their_own_256th():
    keys = parallel.example_keys(jax.random.key(0), 4)
    x = jnp.float32(np.arange(256) / 255)
    spread = np.asarray(vae.dequantise(keys, jnp.broadcast_to(x, (4, 256))))
    np.testing.assert_array_equal(np.floor(256 * spread.astype(np.float64)), [np.arange(256)] * 4)
    assert len(np.unique(spread[:, 0])) == 4


@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 2.0])
@pytest.mark.parametrize("mean", [-1.2, -0.3, 0.001, 1.0])
def test_logistic_masses_sum_to_one_and_are_differences_of_the_sigmoid(mean, log_scale):
    x = np.arange(256) / 127.5 - 1
    spread = [np.full(256, a, np.float32) for a in (mean, log_scale)]
    actual = np.exp(np.asarray(vae.logistic_log_mass(np.float32(x), *spread), np.float64))
    assert actual.sum() == pytest.approx(1, abs=2e-4 if log_scale == -7 else 2e-5)

    def cumulative(edge):
        return 0.5 * (1 + np.tanh(0.5 * (edge - mean) / np.exp(log_scale)))

    lower, upper = cumulative(x - 1 / 255), cumulative(x + 1 / 255)
    lower[0], upper[-1] = 0, 1
    likely = upper - lower > 1e-6
    # A bin's edge over a scale of e⁻⁷ is a number near 10³, known to 1e-4 in float32.
    np.testing.assert_allclose(actual[likely], (upper - lower)[likely], rtol=1e-3)


def test_logistic_masses_keep_their_gradient_far_from_the_mean():
    """The difference of two sigmoids is 0 there in float32, and its logarithm −∞."""
    both = jax.jit(jax.value_and_grad(vae.logistic_log_mass, argnums=1))
    value, slope = both(0.9, -0.9, -6.0)
    assert np.isfinite(value)
    assert float(slope) == pytest.approx(np.exp(6.0), rel=1e-3)


def mixture_nll(outputs, x, components):
    """The formula of Salimans et al., in float64, pixel by pixel."""
    x = 2 * x - 1
    channels, total = x.shape[-1], 0.0
    for place in np.ndindex(x.shape[:-1]):
        o, values = outputs[place], x[place]
        weights = np.exp(o[:components]) / np.exp(o[:components]).sum()
        rest = o[components:].reshape(-1, channels, components)
        means, scales = rest[0].copy(), np.exp(rest[1])
        if channels == 3:
            a, b, c = np.tanh(rest[2])
            means[1] += a * values[0]
            means[2] += b * values[0] + c * values[1]
        edges = [(values[:, None] + s / 255 - means) / scales for s in (-1, 1)]
        lower, upper = (1 / (1 + np.exp(-e)) for e in edges)
        lower[values == -1], upper[values == 1] = 0, 1
        total -= np.log((weights * (upper - lower).prod(0)).sum())
    return total


@pytest.mark.parametrize("channels", [1, 3])
def test_logistic_mixture_against_its_formula(channels):
    rng = np.random.default_rng(1)
    likelihood = vae.logistic_mixture(4)
    x = rng.integers(0, 256, (2, 3, 2, channels)) / 255
    x[0, 0, 0], x[0, 0, 1] = 0, 1
    outputs = rng.normal(size=(2, 3, 2, likelihood.outputs(channels)))
    actual = jax.jit(likelihood.nll)(np.float32(outputs), np.float32(x))
    expected = [mixture_nll(o, i, 4) for o, i in zip(outputs, x, strict=True)]
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_logistic_mixture_of_two_channels_is_refused():
    with pytest.raises(ValueError, match="1 or 3 channels"):
        vae.LOGISTIC_MIXTURE.outputs(2)


@pytest.mark.parametrize(
    "likelihood", [vae.BERNOULLI, vae.CONTINUOUS_BERNOULLI, vae.GAUSSIAN, vae.LOGISTIC_MIXTURE]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_means_are_images(likelihood, channels):
    """From black to white, whatever the outputs are, and no number is lost on the way."""
    count = likelihood.outputs(channels) + likelihood.shared(channels)
    outputs = np.float32(np.random.default_rng(0).normal(size=(2, 20, 15, count)))
    mean = jax.jit(likelihood.mean)
    for size in (30.0, 1e4):
        images = np.asarray(mean(np.float32(size) * outputs))
        assert images.shape == (2, 20, 15, channels)
        assert ((images >= 0) & (images <= 1)).all()
        np.testing.assert_allclose(images.min((0, 1, 2)), 0, atol=0.02)
        np.testing.assert_allclose(images.max((0, 1, 2)), 1, atol=0.02)


ALL = {n: getattr(vae, n) for n in vae.__all__ if isinstance(getattr(vae, n), vae.Likelihood)}


@pytest.mark.parametrize("name", ALL)
def test_a_mean_is_the_expectation_under_the_likelihood_itself(name):
    """By a sum over the values that x may take, or an integral; beyond [0, 1], by the nearest."""
    likelihood, rng = ALL[name], np.random.default_rng(4)
    count = likelihood.outputs(1) + likelihood.shared(1)
    outputs = np.float32(rng.normal(size=(30, 1, 1, count)))
    if likelihood.levels:
        x, width = np.linspace(0, 1, likelihood.levels), np.ones(likelihood.levels)
    else:
        x = np.linspace(0, 1, 8001) if likelihood is vae.CONTINUOUS_BERNOULLI else None
        x = np.linspace(-9, 9, 80_001) if x is None else x
        width = np.gradient(x) * np.where((x == x[0]) | (x == x[-1]), 0.5, 1)
    image = np.float32(x).reshape(-1, 1, 1, 1, 1)
    nll = jax.jit(jax.vmap(jax.vmap(likelihood.nll, (None, 0)), (0, None)))
    p = np.exp(-np.asarray(nll(outputs[:, None], image), np.float64)[..., 0]) * width
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-4)
    expected = np.clip(p @ x, 0, 1)
    mean = jax.jit(likelihood.mean)
    np.testing.assert_allclose(np.asarray(mean(outputs))[:, 0, 0, 0], expected, atol=1e-4)
    half = jax.eval_shape(mean, outputs.astype(jnp.bfloat16))
    assert half.dtype == jnp.float32


def test_the_mixtures_mean_is_that_of_its_masses_where_it_is_narrow():
    likelihood = vae.logistic_mixture(2)
    # weights ¼ and ¾, means −0.5 and 0.5, scales e⁻⁵
    outputs = np.float32([0.0, np.log(3), -0.5, 0.5, -5, -5]).reshape(1, 1, 1, 6)
    assert jax.jit(likelihood.mean)(outputs).item() == pytest.approx(0.625, abs=1e-6)


@pytest.mark.parametrize("likelihood", [vae.BERNOULLI, vae.logistic_mixture(3)])
def test_masses_are_those_of_the_likelihood_and_sum_to_one(likelihood):
    rng = np.random.default_rng(2)
    # Components from the narrowest to some that are far wider than the range, and beside it.
    outputs = np.float32(5 * rng.normal(size=(1, 40, 2, likelihood.outputs(1))))
    masses = np.asarray(jax.jit(likelihood.masses)(outputs), np.float64)
    assert masses.shape == (1, 40, 2, 1, likelihood.levels)
    np.testing.assert_allclose(masses.sum(-1), 1, atol=2e-6)
    cells = outputs.reshape(-1, 1, 1, 1, outputs.shape[-1])
    nll = jax.jit(jax.vmap(likelihood.nll, (0, None)))
    for level in range(0, likelihood.levels, 1 if likelihood.levels == 2 else 5):
        x = np.full((1, 1, 1, 1), level / (likelihood.levels - 1), np.float32)
        expected = np.exp(-np.asarray(nll(cells, x), np.float64)).reshape(masses.shape[:-1])
        np.testing.assert_allclose(masses[..., level], expected, rtol=1e-3, atol=1e-12)


def test_masses_exist_at_scales_beyond_floats():
    outputs = np.float32([0, 0, 1e4]).reshape(1, 1, 1, 3)
    masses = np.asarray(jax.jit(vae.logistic_mixture(1).masses)(outputs))
    np.testing.assert_allclose(masses[0, 0, 0, 0, [0, 255]], 0.5)
    assert masses[..., 1:-1].sum() == 0


def test_there_is_no_table_of_masses_for_colours_or_densities():
    with pytest.raises(ValueError, match="depend on the channels before"):
        vae.LOGISTIC_MIXTURE.masses(jnp.zeros((1, 2, 2, vae.LOGISTIC_MIXTURE.outputs(3))))
    assert vae.GAUSSIAN.masses is None
    assert vae.CONTINUOUS_BERNOULLI.masses is None
