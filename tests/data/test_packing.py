import time

import numpy as np
import pytest

from aigc_jax.data.packing import (
    WINDOW,
    bucket_by_length,
    fill,
    pack_documents,
    pack_pairs,
    padded_length,
)
from aigc_jax.errors import InputError


def ints(*values):
    return np.array(values, np.int32)


def drawn(rng, count, mean, fewest=1):
    """Sequences of tokens in 1 … 999, of lengths as sentences have them."""
    lengths = np.maximum(rng.lognormal(np.log(mean), 0.4, count).astype(int), fewest)
    return [rng.integers(1, 1000, length).astype(np.int32) for length in lengths]


def segments_of(tokens, segments, positions):
    """{(row, segment): tokens}; checks that each segment is one run, numbered and counted."""
    found = {}
    for row in range(len(tokens)):
        used = segments[row] > 0
        assert not tokens[row][~used].any()
        assert not positions[row][~used].any()
        assert (np.diff(segments[row][used]) >= 0).all()
        assert used[: used.sum()].all(), "padding is at the end"
        numbers = np.unique(segments[row][used])
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)) + 1)
        for number in numbers:
            inside = segments[row] == number
            np.testing.assert_array_equal(positions[row][inside], np.arange(inside.sum()))
            found[row, number] = tuple(tokens[row][inside].tolist())
    return found


def test_pairs_of_a_worked_example():
    sources = [ints(11, 12, 13), ints(21, 22)]
    targets = [ints(1, 14, 2), ints(1, 23, 24, 2)]
    packed = pack_pairs(sources, targets, source_length=6, target_length=7)
    # The first takes more of a row, 3 of 6 against 3 of 7, so it is laid down first.
    np.testing.assert_array_equal(packed.sources, [[11, 12, 13, 21, 22, 0]])
    np.testing.assert_array_equal(packed.source_segments, [[1, 1, 1, 2, 2, 0]])
    np.testing.assert_array_equal(packed.source_positions, [[0, 1, 2, 0, 1, 0]])
    np.testing.assert_array_equal(packed.inputs, [[1, 14, 1, 23, 24, 0, 0]])
    np.testing.assert_array_equal(packed.labels, [[14, 2, 23, 24, 2, 0, 0]])
    np.testing.assert_array_equal(packed.weights, [[1, 1, 1, 1, 1, 0, 0]])
    np.testing.assert_array_equal(packed.segments, [[1, 1, 2, 2, 2, 0, 0]])
    np.testing.assert_array_equal(packed.positions, [[0, 1, 0, 1, 2, 0, 0]])
    assert packed.dropped == 0


def test_every_pair_is_in_one_row_on_both_sides(rng):
    sources, targets = drawn(rng, WINDOW + 100, 9), drawn(rng, WINDOW + 100, 11, 2)
    packed = pack_pairs(sources, targets, 64, 64)
    source = segments_of(packed.sources, packed.source_segments, packed.source_positions)
    inputs = segments_of(packed.inputs, packed.segments, packed.positions)
    labels = segments_of(packed.labels, packed.segments, packed.positions)
    assert source.keys() == inputs.keys() == labels.keys()
    found = [(source[at], inputs[at], labels[at]) for at in source]
    expected = [
        (tuple(s.tolist()), tuple(t[:-1].tolist()), tuple(t[1:].tolist()))
        for s, t in zip(sources, targets, strict=True)
    ]
    assert sorted(found) == sorted(expected)
    np.testing.assert_array_equal(packed.weights, packed.segments > 0)


def test_shapes_and_types(rng):
    packed = pack_pairs(drawn(rng, 50, 5), drawn(rng, 50, 5, 2), 32, 48)
    rows = len(packed.sources)
    assert {a.shape for a in packed[:3]} == {(rows, 32)}
    assert {a.shape for a in packed[3:8]} == {(rows, 48)}
    assert packed.weights.dtype == np.float32
    assert {a.dtype for a in packed[:8]} == {np.dtype(np.int32), np.dtype(np.float32)}


def test_no_label_follows_from_another_sequence():
    # Tokens tell whose they are by their tens.
    targets = [ints(*(10 * i + np.arange(5))) for i in range(1, 40)]
    packs = [
        pack_documents(targets, 32),
        pack_pairs([ints(1)] * len(targets), targets, 32, 32),
    ]
    for packed in packs:
        used = packed.weights > 0
        np.testing.assert_array_equal(packed.labels[used], packed.inputs[used] + 1)
        assert used.sum() == 39 * 4


@pytest.mark.parametrize(("length", "mean"), [(128, 12), (256, 25), (64, 12)])
def test_rows_are_full(rng, length, mean):
    sources = drawn(rng, 5000, mean)
    # Translations are about as long as what they translate.
    counts = [int(len(s) * rng.lognormal(0.1, 0.15)) + 2 for s in sources]
    targets = [np.ones(count, np.int32) for count in counts]
    packed = pack_pairs(sources, targets, length, int(1.15 * length))
    assert fill(packed.source_segments) > 0.9
    assert fill(packed.segments) > 0.9
    assert fill(pack_documents(targets, length).segments) > 0.95


def test_pairs_too_long_on_either_side_are_counted():
    sources = [np.ones(n, np.int32) for n in (4, 5, 1, 1)]
    targets = [np.ones(n, np.int32) for n in (2, 2, 7, 6)]
    packed = pack_pairs(sources, targets, source_length=4, target_length=5)
    assert packed.dropped == 2
    assert packed.sources.sum() == 4 + 1
    assert packed.weights.sum() == 1 + 5


def test_the_order_is_a_function_of_the_seed(rng, assert_identical):
    sources, targets = drawn(rng, 300, 9), drawn(rng, 300, 9, 2)
    first = pack_pairs(sources, targets, 64, 64, seed=3)
    assert_identical(first[:8], pack_pairs(sources, targets, 64, 64, seed=3)[:8])
    other = pack_pairs(sources, targets, 64, 64, seed=4)
    assert first.sources.shape != other.sources.shape or (first.sources != other.sources).any()
    first = pack_documents(targets, 64, seed=3)
    assert_identical(first[:5], pack_documents(targets, 64, seed=3)[:5])
    assert first.inputs.tolist() != pack_documents(targets, 64, seed=4).inputs.tolist()


def test_windows_mix_the_lengths_of_rows(rng):
    # Sorted all at once, the last row of many windows would hold the shortest alone.
    documents = drawn(rng, 4 * WINDOW, 12, 2)
    packed = pack_documents(documents, 128)
    longest = [int(p.max()) for p in packed.positions]
    thirds = np.array_split(longest, 4)
    assert np.ptp([np.mean(third) for third in thirds]) < 2


@pytest.mark.parametrize(
    ("sources", "targets", "reason"),
    [
        ([ints(1)], [], "1 sources for 0 targets"),
        ([ints(1), ints()], [ints(1, 2), ints(1, 2)], "pair 1: "),
        ([ints(1)], [ints(1)], "pair 0: "),
    ],
)
def test_sequences_too_short_are_refused(sources, targets, reason):
    with pytest.raises(ValueError, match=reason):
        pack_pairs(sources, targets, 8, 8)


def test_nothing_makes_no_rows():
    packed = pack_pairs([ints(1, 2)], [ints(1, 2)], 1, 8)
    assert (packed.sources.shape, packed.inputs.shape, packed.dropped) == ((0, 1), (0, 8), 1)
    empty = pack_pairs([], [], 4, 8)
    assert (empty.sources.shape, empty.inputs.shape, empty.dropped) == ((0, 4), (0, 8), 0)
    assert pack_documents([], 8).inputs.shape == (0, 8)
    assert np.isnan(fill(empty.segments))


def test_a_long_document_is_cut_so_that_each_token_is_predicted_once():
    packed = pack_documents([np.arange(1, 12, dtype=np.int32)], length=4)
    np.testing.assert_array_equal(packed.inputs, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]])
    np.testing.assert_array_equal(packed.labels, [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 0, 0]])
    np.testing.assert_array_equal(packed.positions, [[0, 1, 2, 3]] * 2 + [[0, 1, 0, 0]])
    np.testing.assert_array_equal(packed.segments, [[1, 1, 1, 1]] * 2 + [[1, 1, 0, 0]])


@pytest.mark.parametrize(("tokens", "pieces"), [(4, 1), (5, 1), (6, 2), (9, 2), (10, 3)])
def test_no_piece_is_left_without_a_token_to_predict(tokens, pieces):
    packed = pack_documents([np.ones(tokens, np.int32)], length=4)
    assert (len(packed.inputs), packed.weights.sum()) == (pieces, tokens - 1)


def test_documents_keep_all_their_tokens(rng):
    documents = drawn(rng, 500, 30, 0)
    packed = pack_documents(documents, 32)
    segments_of(packed.inputs, packed.segments, packed.positions)
    assert packed.dropped == sum(len(d) < 2 for d in documents)
    expected = np.concatenate([d[1:] for d in documents])
    found = packed.labels[packed.weights > 0]
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_documents_with_nothing_to_predict_are_counted():
    packed = pack_documents([ints(), ints(7), ints(7, 8)], 4)
    assert packed.dropped == 2
    np.testing.assert_array_equal(packed.inputs, [[7, 0, 0, 0]])


def test_a_hundred_thousand_sequences_take_seconds(rng):
    lengths = rng.integers(2, 20, 100_000)
    tokens = np.ones(20, np.int32)
    started = time.process_time()
    packed = pack_documents([tokens[:length] for length in lengths], 256)
    assert time.process_time() - started < 20  # 2 s; without windows, minutes
    assert packed.weights.sum() == (lengths - 1).sum()
    assert fill(packed.segments) > 0.99


def test_buckets_of_a_worked_example():
    # Padded to 4, 4, 8, 4, 12, 8, 4: 24 tokens are six rows of 4, three of 8, two of 12.
    batches = bucket_by_length(np.array([3, 4, 5, 1, 9, 8, 0]), tokens_per_batch=24, multiple=4)
    assert [b.tolist() for b in batches] == [[6, 3, 0, 1], [2, 5], [4]]


def test_every_sequence_is_in_one_batch_within_the_tokens(rng):
    lengths = rng.integers(0, 70, 1000)
    batches = bucket_by_length(lengths, 256, 8)
    assert all(b.dtype == np.int32 for b in batches)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(1000))
    shapes = set()
    for batch in batches:
        padded = padded_length(np.maximum(lengths[batch], 1), 8)
        assert np.ptp(padded) == 0
        assert len(batch) * padded[0] <= 256
        shapes.add((len(batch), int(padded[0])))
    # A full and a partial batch of each of nine lengths.
    assert len(shapes) <= 18
    ordered = np.concatenate([lengths[batch] for batch in batches])
    assert (np.diff(ordered) >= 0).all()


def test_a_sequence_above_a_batch_is_refused():
    assert len(bucket_by_length(np.array([16]), 16, 8)) == 1
    with pytest.raises(InputError, match="17 tokens, 24 with padding, is above the 16 tokens"):
        bucket_by_length(np.array([3, 17]), 16, 8)


def test_no_sequences_make_no_batches():
    assert bucket_by_length(np.array([], int), 16, 8) == []


@pytest.mark.parametrize(("length", "padded"), [(0, 0), (1, 8), (8, 8), (9, 16)])
def test_lengths_are_padded_upwards(length, padded):
    assert padded_length(length, 8) == padded
