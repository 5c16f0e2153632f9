"""Signals to codes and back, by the averaged parameters, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import codec, vq
from aigc_jax.codec.config import Sounds
from aigc_jax.errors import InputError

CODES, STAGES, HOP, LENGTH = 9, 3, 4, 18
CONFIG = codec.Config(
    sides=(LENGTH,),
    rate=8000,
    architecture=Sounds(width=6, blocks=1, decoder_blocks=1, hop=HOP),
    quantiser=vq.Codebook(codes=CODES, features=3),
    stages=STAGES,
)
MADE = codec.make(CONFIG)
PARTS = {"networks": MADE.networks, "quantiser": MADE.quantiser}
encode, decode = jax.jit(MADE.encode), jax.jit(MADE.decode, static_argnums=2)


@pytest.fixture(scope="module")
def state():
    """One whose newest parameters are not its averaged ones."""
    state = jax.jit(MADE.init)(jax.random.key(0))
    newest = jax.tree.map(lambda p: p - 0.1, state.params)
    return state._replace(trained=state.trained._replace(params=newest))


@pytest.fixture(scope="module")
def coder(state):
    return codec.coder_of(state)


@pytest.fixture(scope="module")
def sounds():
    return np.float32(np.random.default_rng(0).normal(size=(4, LENGTH, 1)))


def test_a_coder_is_the_averaged_parameters_and_the_quantiser(state, coder, assert_identical):
    assert_identical(coder.params, state.trained.ema)
    assert_identical(coder.quantiser, state.quantiser)
    assert not np.array_equal(*(jax.tree.leaves(p)[0] for p in (coder.params, state.params)))


def test_codes_are_of_the_features_and_decode_to_the_signal_of_their_vectors(coder, sounds):
    codes = encode(coder, sounds)
    assert (codes.shape, codes.dtype) == ((4, 5, STAGES), np.dtype("int32"))
    assert len(np.unique(codes)) > 3
    found = MADE.quantiser.quantise(
        coder.quantiser, jax.jit(MADE.networks.encode)(coder.params, sounds)
    )
    np.testing.assert_array_equal(codes, found.codes)
    expected = jax.jit(MADE.networks.decode, static_argnums=2)(
        coder.params, found.vectors, (LENGTH,)
    )
    decoded = decode(coder, codes, (LENGTH,))
    assert decoded.shape == sounds.shape
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-6)


def test_there_and_back_is_the_reconstruction(coder, sounds):
    def there_and_back(sounds):
        return codec.reconstruct(coder, sounds, **PARTS)

    found = jax.jit(there_and_back)(sounds)
    expected = decode(coder, encode(coder, sounds), (LENGTH,))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_first_stages_alone_decode_to_something_coarser(coder, sounds):
    codes = encode(coder, sounds)
    features = MADE.networks.encode(coder.params, sounds)
    found = [np.asarray(decode(coder, codes[..., :n], (LENGTH,))) for n in range(1, STAGES + 1)]
    assert {x.shape for x in found} == {sounds.shape}
    for n in (1, 2):
        part = MADE.quantiser.quantise(coder.quantiser, features, jnp.full(4, n)).vectors
        expected = MADE.networks.decode(coder.params, part, (LENGTH,))
        np.testing.assert_allclose(found[n - 1], expected, rtol=1e-4, atol=1e-5)
        assert not np.allclose(found[n - 1], found[n], atol=1e-3)


def test_lists_and_wide_integers_are_codes_too(coder, sounds):
    codes = np.asarray(encode(coder, sounds))
    expected = jax.eval_shape(decode, coder, codes, (LENGTH,))
    for other in (codes.tolist(), np.int64(codes), np.uint8(codes)):
        found = jax.eval_shape(lambda c, other=other: MADE.decode(c, other, [LENGTH]), coder)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


GOOD = np.zeros((2, 5, STAGES), np.int32)


@pytest.mark.parametrize(
    ("codes", "sides", "message"),
    [
        (GOOD + CODES, (LENGTH,), "codes must be from 0 to 8, got 9"),
        (GOOD - 1, (LENGTH,), "codes must be from 0 to 8, got -1"),
        (np.float32(GOOD), (LENGTH,), "codes must be integers, got float32"),
        (GOOD[:, :4], (LENGTH,), r"a signal of \(18,\) has codes on a grid of \(5,\), not \(4,\)"),
        (GOOD, (16,), r"a signal of \(16,\) has codes on a grid of \(4,\), not \(5,\)"),
        (GOOD[..., None], (LENGTH,), r"on a grid of \(5,\), not \(5, 3\)"),
        (np.zeros((2, 5, 4), np.int32), (LENGTH,), "codes are of 1 to 3 stages, got 4"),
        (GOOD[..., :0], (LENGTH,), "codes are of 1 to 3 stages, got 0"),
        (GOOD, (LENGTH, 1), r"sides are 1 of at least 1, got \(18, 1\)"),
        (GOOD[:, :0], (0,), r"sides are 1 of at least 1, got \(0,\)"),
        (GOOD, (), r"sides are 1 of at least 1, got \(\)"),
    ],
)
def test_what_no_signal_has_been_coded_to_is_refused(coder, codes, sides, message):
    with pytest.raises(InputError, match=message) as told:
        MADE.decode(coder, codes, sides)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "shape", [(2, LENGTH, 2), (2, LENGTH), (LENGTH, 1), (2, 0, 1), (2, 5, 5, 1)]
)
def test_what_is_no_signal_is_refused(coder, shape):
    with pytest.raises(
        InputError, match=r"shape \[B, \*S, 1\], S 1 side of at least 1, got"
    ) as told:
        MADE.encode(coder, np.zeros(shape, np.float32))
    assert "\n" not in str(told.value)
