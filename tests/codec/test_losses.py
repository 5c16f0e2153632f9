"""Losses of a codec against worked arithmetic, and what they send no gradient to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.codec import losses
from aigc_jax.gan.losses import HINGE

X = np.float32([[[1.0], [-2.0], [0.5]], [[0.0], [4.0], [0.0]]])
ESTIMATE = np.float32([[[0.5], [1.0], [0.5]], [[0.0], [3.0], [-2.0]]])


def test_distances_are_means_over_an_example():
    # ½, 3, 0; and 0, 1, 2.
    np.testing.assert_allclose(losses.absolute(ESTIMATE, X), [3.5 / 3, 1.0], rtol=1e-6)
    np.testing.assert_allclose(losses.squared(ESTIMATE, X), [9.25 / 3, 5 / 3], rtol=1e-6)


@pytest.mark.parametrize("loss", [losses.absolute, losses.squared])
def test_distances_are_taken_in_float32(loss):
    # In bfloat16 the difference is 1.
    estimate, x = jnp.ones((1, 3, 1), jnp.bfloat16), jnp.full((1, 3, 1), 2.0**-9, jnp.bfloat16)
    found = loss(estimate, x)
    assert found.dtype == jnp.float32
    power = 1 if loss is losses.absolute else 2
    np.testing.assert_allclose(found, [(1 - 2.0**-9) ** power], rtol=1e-6)


def judgement(logits, *features):
    return jnp.float32(logits), tuple(jnp.float32(f) for f in features)


def test_critics_count_alike_however_many_places_they_judge():
    real = judgement([[2.0, 0.0, 0.5], [1.0, 1.0, 1.0]]), judgement([[0.25], [-1.0]])
    fake = judgement([[-2.0, -1.0, 0.5], [0.0, 0.0, 3.0]]), judgement([[-0.5], [0.0]])
    # max(0, 1 − real) + max(0, 1 + fake): 0, 1, 2 and 1, 1, 4 by one; 1.25 and 3 by the other.
    found = losses.over_critics(HINGE.discriminator, real, fake)
    np.testing.assert_allclose(found, [(1 + 1.25) / 2, (2 + 3) / 2], rtol=1e-6)
    # −fake: 2, 1, −½ and 0, 0, −3; ½ and 0.
    found = losses.over_critics(HINGE.generator, real, fake)
    np.testing.assert_allclose(found, [(2.5 / 3 + 0.5) / 2, -0.5], rtol=1e-6)


REAL = (
    judgement([[0.0]] * 2, [[2.0, -2.0], [1.0, 0.0]], [[[4.0], [0.0]], [[1.0], [1.0]]]),
    judgement([[0.0]] * 2, [[1.0, 1.0, -4.0], [0.0, 0.0, 0.0]]),
)
FAKE = (
    judgement([[9.0]] * 2, [[1.0, -1.0], [0.0, 3.0]], [[[1.0], [0.0]], [[1.0], [2.0]]]),
    judgement([[9.0]] * 2, [[2.0, 3.0, -1.0], [0.0, 0.0, 3e-5]]),
)


def test_features_are_matched_relative_to_the_real_ones():
    # mean |φ̂ − φ| / mean |φ|: 1/2, 1.5/2, 2/2; and 2/½, ½/1, and 1e-5 over the floor of 1e-5.
    found = losses.matching(REAL, FAKE)
    np.testing.assert_allclose(found, [(0.5 + 0.75 + 1) / 3, (4 + 0.5 + 1) / 3], rtol=1e-6)


def test_matching_moves_the_features_of_the_estimate_alone():
    on_real, on_fake = jax.grad(lambda r, f: jnp.sum(losses.matching(r, f)), (0, 1))(REAL, FAKE)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(on_real))
    # The sign, over the number of entries, the mean magnitude and the three layers.
    first = np.array([[-1, 1], [-1, 1]]) / 2 / np.array([[2.0], [0.5]]) / 3
    np.testing.assert_allclose(on_fake[0][1][0], first, rtol=1e-6)
    np.testing.assert_allclose(on_fake[1][1][0][0], np.array([1, 1, 1]) / 3 / 2 / 3, rtol=1e-6)
    assert not np.any(on_fake[0][0])
