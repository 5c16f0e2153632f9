"""Samples drawn a block at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import blockwise, convolution, gan, vae, vq
from aigc_jax.blockwise import in_blocks


def test_blocks_hold_every_row_once_and_no_more_than_their_size(monkeypatch, rng):
    monkeypatch.setattr(blockwise, "BLOCK", 4)
    x, keys = (
        jnp.asarray(rng.normal(size=(10, 3)), jnp.float32),
        jax.random.split(jax.random.key(0), 10),
    )
    seen = []

    def function(x, tree):
        seen.append(len(x))
        assert tree["labels"] is None
        return 2 * x, jax.random.key_data(tree["keys"])

    doubled, data = in_blocks(function, x, {"keys": keys, "labels": None})
    assert set(seen) == {4}
    np.testing.assert_array_equal(doubled, 2 * x)
    np.testing.assert_array_equal(data, jax.random.key_data(keys))
    seen.clear()
    in_blocks(function, x[:4], {"keys": keys[:4], "labels": None})
    assert seen == [4]


CONV = partial(vq.convolutional, width=2)
ALGORITHMS = {
    "gan": gan.make(gan.Config((2, 2, 1), latent_size=3)),
    "gan, classes": gan.make(gan.Config((2, 2, 1), latent_size=3, classes=3)),
    "vae": vae.make(vae.Config((2, 2, 1))),
    "vae, classes": vae.make(vae.Config((2, 2, 1), classes=3)),
    "vq": vq.make(vq.Config((8, 8, 1), architecture=CONV)),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_samples_drawn_in_blocks_are_those_drawn_at_once(monkeypatch, name):
    # XLA's own convolution adds in another order where the number of rows is another.
    monkeypatch.setattr(convolution, "_FEW_CHANNELS", 10**9)
    algorithm = ALGORITHMS[name]
    state, key = jax.jit(algorithm.init)(jax.random.key(0)), jax.random.key(1)

    def sample():
        """By a function of its own each time, or the first one's program would be found again."""
        return np.asarray(jax.jit(lambda state: algorithm.sample(state, key, 10))(state))

    whole = sample()
    monkeypatch.setattr(blockwise, "BLOCK", 4)
    blocks = sample()
    assert blocks.shape == whole.shape
    assert np.ptp(whole, axis=0).max() > 0
    np.testing.assert_allclose(blocks, whole, rtol=1e-6, atol=1e-7)
