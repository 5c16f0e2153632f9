"""One update: what it descends, what the quantiser learns, and what samples are made of."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import optim, vae, vq
from aigc_jax.vq.step import perplexity

SIDE, CODES, RATE = 8, 6, 1e-3
BOOK = vq.vector_quantiser(CODES, 3)
CONFIG = vq.Config((SIDE, SIDE, 1), partial(vq.convolutional, width=4), BOOK, commitment=0.5)
NETWORKS = vq.networks_of(CONFIG)
MODEL = {"networks": NETWORKS, "quantiser": BOOK}


TX = optax.sgd(RATE)
INIT = jax.jit(vq.make(CONFIG, tx=TX).init)


@pytest.fixture(scope="module")
def batch():
    return np.float32(np.random.default_rng(0).random((12, SIDE, SIDE, 1)))


@pytest.fixture(scope="module")
def step():
    return jax.jit(vq.make(CONFIG, tx=TX).step)


@pytest.fixture(scope="module")
def state(batch, step):
    """A state whose codebook lies among the features of the batch."""
    return step(INIT(jax.random.key(0)), batch)[0]


@pytest.fixture(scope="module")
def codes(state, batch):
    """Those that the next step finds, by the newest parameters."""

    @jax.jit
    def found(state):
        return BOOK.quantise(state.quantiser, NETWORKS.encode(state.params, batch)).codes

    return np.asarray(found(state))


def test_one_sgd_step_is_the_gradient_of_reconstruction_and_commitment(
    state, step, batch, codes, assert_close
):
    after, info = step(state, batch)

    def reconstruction(params, vectors):
        outputs = NETWORKS.decode(params, vectors)
        return jnp.mean(CONFIG.likelihood.nll(outputs, batch))

    @jax.jit
    def by_hand(params, chosen):
        """Both gradients: the decoder's arrives at the features, and β's term joins it there."""
        features, back = jax.vjp(lambda p: NETWORKS.encode(p, batch), params)
        value, (grads, on_vectors) = jax.value_and_grad(reconstruction, (0, 1))(params, chosen)
        strayed = features - chosen
        (through,) = back(on_vectors + 0.5 * 2 * strayed / len(batch))
        return value, jax.tree.map(jnp.add, grads, through), strayed

    chosen = np.asarray(state.quantiser.vectors)[codes]
    value, grads, strayed = jax.device_get(by_hand(state.params, chosen))
    expected = jax.tree.map(lambda p, g: np.asarray(p) - RATE * g, state.params, grads)
    assert_close(after.params, expected)
    commitment = float(np.sum(strayed**2)) / len(batch)
    assert float(info.reconstruction_nats) == pytest.approx(float(value), rel=1e-5)
    assert float(info.commitment) == pytest.approx(commitment, rel=1e-5)
    assert float(info.loss_nats) == pytest.approx(float(value) + 0.5 * commitment, rel=1e-5)


def test_beta_weighs_the_features_and_leaves_the_codes_alone(state, step, batch, assert_identical):
    without = dataclasses.replace(CONFIG, commitment=0.0)
    steps = jax.jit(vq.make(without, tx=TX).step), step
    ends = [one(state, batch)[0] for one in steps]
    assert_identical(ends[0].quantiser, ends[1].quantiser)
    assert_identical(ends[0].params["decoder"], ends[1].params["decoder"])
    for a, b in zip(*(jax.tree.leaves(end.params["encoder"]) for end in ends), strict=True):
        assert not np.array_equal(a, b)


def test_the_codebook_learns_from_the_features_of_this_step(
    state, step, batch, codes, assert_close
):
    after, _ = step(state, batch)
    n = np.bincount(codes.ravel(), minlength=CODES)
    assert_close(after.quantiser.counts, 0.95 * np.asarray(state.quantiser.counts) + 0.05 * n)


def test_frequencies_are_of_codes_at_positions(state, step, batch, codes, assert_close):
    after, info = step(state, batch)
    seen = np.eye(CODES)[codes].mean(0)
    ramp = min(CONFIG.ema_decay, (1 + 1) / (10 + 1))
    assert_close(after.frequencies, ramp * np.asarray(state.frequencies) + (1 - ramp) * seen)
    p = seen.mean((0, 1))
    p = p[p > 0]
    assert float(info.batch_perplexity) == pytest.approx(np.exp(-np.sum(p * np.log(p))), rel=1e-5)


def test_frequencies_begin_equal_and_stay_frequencies(state):
    begun = INIT(jax.random.key(0))
    np.testing.assert_allclose(begun.frequencies, np.full((4, 4, CODES), 1 / CODES), rtol=1e-6)
    np.testing.assert_allclose(np.sum(state.frequencies, axis=-1), np.ones((4, 4)), rtol=1e-5)


def test_the_perplexity_of_equal_codes_is_their_number_and_of_one_code_is_one():
    assert float(perplexity(jnp.full(7, 1 / 7))) == pytest.approx(7, rel=1e-6)
    assert float(perplexity(jnp.eye(7)[2])) == 1


def test_samples_have_the_frequencies_of_codes_at_each_position(state):
    rng = np.random.default_rng(1)
    frequencies = rng.dirichlet(np.ones(CODES), (4, 4))
    frequencies[0, 0] = np.eye(CODES)[4]
    state = state._replace(frequencies=jnp.float32(frequencies))
    # In place of the decoder and the likelihood's mean: what the codes were.
    recording = BOOK._replace(look_up=lambda book, codes: codes)
    networks = NETWORKS._replace(decode=lambda params, codes: codes)
    likelihood = vae.GAUSSIAN._replace(mean=lambda codes: codes)
    n = 20_000
    codes = np.asarray(
        vq.sample(
            state,
            jax.random.key(2),
            n,
            networks=networks,
            quantiser=recording,
            likelihood=likelihood,
        )
    )
    assert set(codes[:, 0, 0]) == {4}
    found = np.eye(CODES)[codes].mean(0)
    error = np.sqrt(frequencies * (1 - frequencies) / n)
    np.testing.assert_array_less(np.abs(found - frequencies), 5 * error + 1e-9)
    together = np.corrcoef(codes[:, 1, 1], codes[:, 1, 2])[0, 1]
    assert abs(together) < 5 / np.sqrt(n)


def test_images_go_to_codes_and_back_by_the_averaged_networks(state, batch):
    # The newest parameters are not used.
    zeros = jax.tree.map(np.zeros_like, state.params)
    state = state._replace(trained=state.trained._replace(params=zeros))
    found = jax.jit(partial(vq.encode_images, **MODEL))(state, batch)
    assert found.shape == (12, 4, 4)
    images = np.asarray(jax.jit(partial(vq.decode_codes, **MODEL))(state, found))
    assert images.shape == batch.shape
    assert 0 <= images.min() < images.max() <= 1
    again = jax.jit(partial(vq.reconstruct, **MODEL))(state, batch)
    np.testing.assert_allclose(images, again, rtol=1e-5, atol=1e-6)
    samples = jax.jit(vq.make(CONFIG).sample, static_argnums=2)(state, jax.random.key(1), 5)
    assert samples.shape == (5, SIDE, SIDE, 1)


def test_a_batch_with_labels_is_taken_for_its_images(state, step, batch, assert_identical):
    labelled = vae.Batch(batch, np.zeros(len(batch), np.int32))
    assert_identical(step(state, labelled), step(state, batch))


def test_pixels_are_redrawn_at_each_step():
    config = dataclasses.replace(CONFIG, pixels=vae.binarise, likelihood=vae.BERNOULLI)
    algorithm = vq.make(config, tx=optax.sgd(0.0))
    state, step = INIT(jax.random.key(0)), jax.jit(algorithm.step)
    grey = np.full((4, SIDE, SIDE, 1), 0.5, np.float32)
    state, first = step(state, grey)
    _, second = step(state, grey)
    assert first.reconstruction_nats != second.reconstruction_nats


def blobs(rng, n):
    """Each quarter of an image is one of four grey values: 256 images in all."""
    values = rng.choice([0.0, 0.3, 0.6, 1.0], size=(n, 2, 2, 1))
    return np.float32(values.repeat(SIDE // 2, 1).repeat(SIDE // 2, 2))


@pytest.mark.parametrize(
    "quantiser",
    [vq.vector_quantiser(16, 4), vq.finite_scalar_quantiser((8, 5))],
    ids=["vq", "fsq"],
)
def test_images_of_few_kinds_are_learned_and_codes_are_used(quantiser, rng):
    architecture = partial(vq.convolutional, width=8)
    config = vq.Config((SIDE, SIDE, 1), architecture, quantiser, learning_rate=5e-3)
    algorithm = vq.make(config)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    batches = np.stack([blobs(rng, 32) for _ in range(300)])
    state, infos = jax.jit(partial(jax.lax.scan, algorithm.step))(state, batches)
    metrics = vq.heldout_metrics(
        state,
        blobs(rng, 100),
        networks=vq.networks_of(config),
        quantiser=quantiser,
    )
    # One code for all would leave 1; the four grey values, found, about 0.
    assert metrics["mse_over_variance"] < 0.05
    assert metrics["code_usage"] > 0.4
    assert metrics["code_perplexity"] > 8
    assert np.isfinite(np.asarray(infos.loss_nats)).all()


def test_arrays_lie_in_the_order_of_stored_checkpoints(state):
    """They are stored as a list: step, key, parameters, optimiser, average, and then the codes."""
    assert optim.State._fields == ("step", "key", "params", "opt_state", "ema")
    assert isinstance(state[0], optim.State)
    assert vq.State._fields == ("trained", "quantiser", "frequencies")
