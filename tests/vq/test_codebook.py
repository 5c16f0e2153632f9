"""Vector quantisation against NumPy in float64, and over four devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vq
from aigc_jax.errors import InputError
from aigc_jax.vq import codebook
from aigc_jax.vq.codebook import Codebook

DEVICES, EPSILON = 4, 1e-5
update = jax.jit(codebook.update)


def drawn(rng, codes=6, features=3, shape=(8, 2, 2)):
    """A codebook under way, features and a use of the codes that leaves the last ones out."""
    counts = rng.uniform(1.0, 9.0, codes)
    vectors = rng.normal(size=(codes, features))
    book = Codebook(*(np.float32(a) for a in (vectors, counts, counts[:, None] * vectors)))
    found = np.float32(rng.normal(size=(*shape, features)))
    return book, found, np.int32(rng.integers(0, codes - 2, shape))


def with_rest(array, begin, value):
    """A copy whose elements from `begin` on are this value."""
    return np.concatenate([array[:begin], np.full_like(array[begin:], value)])


def smoothed(counts):
    total = counts.sum()
    return (counts + EPSILON) / (total + len(counts) * EPSILON) * total


def by_definition(book, features, codes, decay):
    """The averages of appendix A.1, one feature vector at a time, in float64."""
    counts, sums = (np.asarray(a, np.float64) for a in book[1:])
    n, s = np.zeros_like(counts), np.zeros_like(sums)
    pairs = zip(np.asarray(features, np.float64).reshape(-1, 3), codes.ravel(), strict=True)
    for f, k in pairs:
        n[k] += 1
        s[k] += f
    counts, sums = decay * counts + (1 - decay) * n, decay * sums + (1 - decay) * s
    return sums / smoothed(counts)[:, None], counts, sums


def test_the_nearest_code_is_that_of_the_least_distance(rng):
    vectors, features = rng.normal(size=(50, 5)), rng.normal(size=(7, 3, 4, 5))
    squares = np.square(features[..., None, :] - vectors).sum(-1)
    found = codebook.nearest(jnp.float32(vectors), jnp.float32(features))
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, squares.argmin(-1))


def test_what_all_codes_have_in_common_costs_no_digits(rng):
    # Whole eighths, so that the offset rounds nothing; norms of 3e5 round distances by hundredths.
    vectors, features = (rng.integers(-80, 80, size=shape) / 8 for shape in ((50, 5), (7, 3, 4, 5)))
    squares = np.square(features[..., None, :] - vectors).sum(-1)
    found = codebook.nearest(jnp.float32(vectors + 4096), jnp.float32(features + 4096))
    chosen = np.take_along_axis(squares, np.asarray(found)[..., None], -1)[..., 0]
    np.testing.assert_array_equal(chosen, squares.min(-1))


def test_distances_are_of_float32_where_features_are_not():
    # 1.001 and 1 are one number in bfloat16.
    vectors = jnp.float32([[1.0], [1.001]])
    assert int(codebook.nearest(vectors, jnp.ones((1, 1), jnp.bfloat16))[0]) == 0
    assert int(codebook.nearest(vectors[::-1], jnp.ones((1, 1), jnp.bfloat16))[0]) == 1


def test_the_first_of_equal_codes_is_taken():
    assert int(codebook.nearest(jnp.ones((3, 2)), jnp.zeros((1, 2)))[0]) == 0


def test_commitment_is_summed_over_positions_and_features():
    # (3 − 1)² + (2 − 4)² + 5², and 1.
    features = jnp.float32([3, 2, 5, 1, 0, 0]).reshape(2, 1, 3, 1)
    vectors = jnp.float32([1, 4, 0, 0, 0, 0]).reshape(2, 1, 3, 1)
    np.testing.assert_array_equal(codebook.commitment(features, vectors), [33.0, 1.0])


def test_commitment_moves_the_features_and_not_the_codes(rng):
    book, features, _ = drawn(rng)

    def total(book, features):
        return jnp.sum(codebook.quantise(book, features).commitment)

    on_book, on_features = jax.jit(jax.grad(total, (0, 1)))(book, features)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(on_book))
    chosen = book.vectors[np.asarray(codebook.nearest(book.vectors, features))]
    np.testing.assert_allclose(on_features, 2 * (features - chosen), rtol=1e-6)


def test_the_gradient_of_the_quantised_is_handed_on_unchanged(rng):
    book, features, _ = drawn(rng)
    weights = np.float32(rng.normal(size=features.shape))

    def decoded(vectors):
        return jnp.sum(jnp.sin(weights * vectors))

    def whole(book, features):
        return decoded(codebook.quantise(book, features).vectors)

    found = codebook.quantise(book, features)
    np.testing.assert_array_equal(found.vectors, book.vectors[np.asarray(found.codes)])
    on_book, on_features = jax.grad(whole, (0, 1))(book, features)
    np.testing.assert_array_equal(on_features, jax.grad(decoded)(found.vectors))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(on_book))


@pytest.mark.parametrize("totals", [codebook._by_addition, codebook._by_product])
def test_either_way_to_count_and_to_sum_is_the_definition(rng, totals):
    """The CPU takes the first, other devices the second."""
    features = np.float32(rng.normal(size=(40, 3)))
    codes = np.int32(rng.integers(0, 5, 40))  # the sixth is not used
    counts, sums = jax.jit(totals, static_argnums=2)(features, codes, 6)
    np.testing.assert_array_equal(counts, np.bincount(codes, minlength=6))
    expected = [np.float64(features[codes == k]).sum(0) for k in range(6)]
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)


def test_an_update_is_that_of_the_definition(rng, assert_close):
    book, features, codes = drawn(rng)
    after, revived = update(book, features, codes, jax.random.key(0), decay=0.97, revive_below=0.0)
    assert_close(after, Codebook(*by_definition(book, features, codes, 0.97)))
    assert float(revived) == 0


def test_one_batch_again_and_again_has_the_closed_form_of_the_average(rng, assert_close):
    # N_t = γᵗ N_0 + (1 − γᵗ) n, and likewise m.
    book, features, codes = drawn(rng)
    batch = by_definition(book, features, codes, 0.0)
    after = book
    for i in range(20):
        key = jax.random.key(i)
        after, _ = update(after, features, codes, key, decay=0.8, revive_below=0.0)
    old = 0.8**20
    counts, sums = (
        old * np.asarray(a, np.float64) + (1 - old) * b
        for a, b in zip(book[1:], batch[1:], strict=True)
    )
    assert_close(after, Codebook(sums / smoothed(counts)[:, None], counts, sums))


def test_dead_codes_take_features_with_count_and_sum_reset(rng):
    book, features, codes = drawn(rng)
    book = book._replace(counts=with_rest(book.counts, 4, 0.5), sums=with_rest(book.sums, 4, 7.0))
    key = jax.random.key(0)
    after, revived = jax.device_get(update(book, features, codes, key, revive_below=0.1))
    plain, _ = jax.device_get(update(book, features, codes, key, revive_below=0.0))
    dead = plain.counts < 0.1 * 32 / 6
    assert dead.tolist() == [False] * 4 + [True] * 2
    assert float(revived) == 2
    rows = features.reshape(-1, 3)
    for k in range(6):
        if dead[k]:
            assert (rows == after.vectors[k]).all(1).any()
            assert float(after.counts[k]) == pytest.approx(2 * 0.1 * 32 / 6)
            np.testing.assert_allclose(after.sums[k], after.counts[k] * after.vectors[k], rtol=1e-6)
        else:
            for a, b in zip(after, plain, strict=True):
                np.testing.assert_array_equal(a[k], b[k])


def test_a_revived_code_stays_where_it_is_until_it_is_used_or_dead_again(rng):
    # Unused, its count halves in log ½ / log 0.9 = 6.6 steps.
    book, features, codes = drawn(rng)
    book = book._replace(counts=with_rest(book.counts, 5, 0.0), sums=with_rest(book.sums, 5, 7.0))
    book, _ = update(book, features, codes, jax.random.key(0), decay=0.9, revive_below=0.1)
    begun = np.asarray(book.vectors)[5]
    revivals = []
    for i in range(1, 8):
        key = jax.random.key(i)
        book, _ = update(book, features, codes, key, decay=0.9, revive_below=0.1)
        revivals.append(not np.allclose(np.asarray(book.vectors)[5], begun, rtol=1e-3))
    assert revivals == [False] * 6 + [True]


def test_a_new_codebook_begins_at_features_of_its_first_batch(rng):
    _, features, _ = drawn(rng)
    quantiser = vq.vector_quantiser(6, 3, decay=0.99, revive_below=0.1)
    book = quantiser.init(jax.random.key(0))
    codes = quantiser.quantise(book, features).codes
    # By chance a code that is used a lot keeps the mean of its features.
    often = np.bincount(np.asarray(codes).ravel(), minlength=6) * 0.01 >= 0.1 * 32 / 6
    after, _ = jax.jit(quantiser.update)(book, features, codes, jax.random.key(1), None)
    rows = features.reshape(-1, 3)
    at_features = np.array([(rows == v).all(1).any() for v in np.asarray(after.vectors)])
    np.testing.assert_array_equal(at_features, ~often)
    assert at_features.sum() >= 5
    assert len(np.unique(np.asarray(after.vectors), axis=0)) == 6


@pytest.mark.parametrize("codes", [5, 12, 32, 40])
def test_features_are_taken_at_different_positions_of_the_whole_batch(codes):
    positions = np.arange(32, dtype=np.float32)[:, None]
    take = jax.jit(codebook._take_features, static_argnums=1)
    taken = [np.asarray(take(positions, codes, jax.random.key(i), None))[:, 0] for i in range(40)]
    assert all(len(set(some)) == min(codes, 32) for some in taken)
    assert set(np.concatenate(taken)) == set(range(32))


def test_four_devices_equal_one(rng, replica, assert_close, assert_identical):
    book, features, codes = drawn(rng)
    book = book._replace(counts=with_rest(book.counts, 3, 0.2))
    key = jax.random.key(3)
    expected = update(book, features, codes, key, revive_below=0.2)
    assert float(expected[1]) >= 2

    def of_a_device(features, codes):
        return codebook.update(book, features, codes, key, "d", revive_below=0.2)

    shards = [a.reshape(DEVICES, -1, *a.shape[1:]) for a in (features, codes)]
    found = jax.pmap(of_a_device, "d")(*shards)
    for device in range(DEVICES):
        assert_close(replica(found, device), expected, rtol=1e-6, atol=1e-6)
        assert_identical(replica(found, device), replica(found, 0))


@pytest.mark.parametrize(("codes", "features"), [(1, 4), (8, 0)])
def test_too_small_a_codebook_is_refused(codes, features):
    with pytest.raises(InputError, match="at least 2 codes"):
        vq.vector_quantiser(codes, features)
