"""How networks are conditioned on a class, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.nn.classes import ClassEmbedding, append_class, append_features


def test_a_class_is_further_features_at_every_position(rng):
    labels = np.array([2, 0])
    for shape in ((2, 5), (2, 7, 5), (2, 3, 4, 5)):
        x = np.float32(rng.normal(size=shape))
        found = append_class(jnp.asarray(x), jnp.asarray(labels), 3)
        assert found.shape == (*shape[:-1], 8)
        np.testing.assert_array_equal(found[..., :5], x)
        for row, one_hot in zip(np.asarray(found), np.eye(3)[labels], strict=True):
            positions = row[..., 5:].reshape(-1, 3)
            np.testing.assert_array_equal(positions, np.tile(one_hot, (len(positions), 1)))


def test_without_classes_nothing_is_appended():
    x = jnp.ones((2, 5))
    assert append_class(x, None, 0) is x
    assert append_features(x, jnp.ones((2, 3))).shape == (2, 8)


def test_the_null_class_is_a_row_of_its_own():
    module, labels = ClassEmbedding(classes=4, features=3), jnp.array([0, 3, 1])
    params = module.init(jax.random.key(0), labels)
    table = np.asarray(params["params"]["embedding"])
    assert table.shape == (5, 3)
    np.testing.assert_array_equal(module.apply(params, labels), table[[0, 3, 1]])
    dropped = jnp.array([False, True, False])
    np.testing.assert_array_equal(module.apply(params, labels, dropped), table[[0, 4, 1]])
    np.testing.assert_array_equal(module.apply(params, jnp.array([4])), table[[4]])
