import numpy as np
import pytest

from aigc_jax.data import batches
from aigc_jax.data.batches import drawn, order_of, shuffled, windows
from aigc_jax.errors import InputError


def epoch(order, number, batches):
    return np.concatenate([order(number * batches + i) for i in range(batches)])


@pytest.mark.parametrize(("examples", "batch_size"), [(12, 4), (12, 12), (12, 1), (13, 4), (7, 5)])
def test_an_epoch_visits_no_example_twice_and_leaves_out_the_remainder(examples, batch_size):
    order = shuffled(0, examples, batch_size)
    batches = examples // batch_size
    for number in range(3):
        visited = epoch(order, number, batches)
        assert len(visited) == batches * batch_size
        assert len(set(visited.tolist())) == len(visited)
        assert set(visited.tolist()) <= set(range(examples))


def test_the_remainder_is_another_in_another_epoch():
    order = shuffled(0, 5, 4)
    left_out = {(set(range(5)) - set(order(number).tolist())).pop() for number in range(50)}
    assert left_out == set(range(5))


def test_a_batch_is_an_int32_vector():
    assert shuffled(0, 10, 3)(0).dtype == np.int32
    assert shuffled(0, 10, 3)(0).shape == (3,)


def test_the_order_is_a_function_of_seed_and_step_alone():
    steps = [7, 0, 100, 8, 7, 3, 1, 1000]
    asked_in_turn = {step: shuffled(3, 20, 6)(step).tolist() for step in sorted(steps)}
    one = shuffled(3, 20, 6)
    for step in steps:
        assert one(step).tolist() == asked_in_turn[step]


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = [
        tuple(epoch(shuffled(seed, 20, 5), number, 4)) for seed in range(4) for number in range(4)
    ]
    assert len(set(orders)) == len(orders)


def test_every_example_is_as_likely_at_every_place():
    # 4,000 epochs of 4 examples: a cell's count is binomial, 1,000 ± 27 (one standard deviation).
    order = shuffled(0, 4, 4)
    visited = np.stack([order(step) for step in range(4000)])
    counts = np.stack([np.bincount(visited[:, place], minlength=4) for place in range(4)])
    assert np.abs(counts - 1000).max() < 5 * 27.4


@pytest.mark.parametrize(
    ("batch_size", "reason"),
    [(0, "at least 1, got 0"), (-1, "at least 1, got -1"), (11, "11 is above the data set's 10")],
)
@pytest.mark.parametrize("order", [shuffled, drawn])
def test_a_batch_size_that_cannot_be_is_named(batch_size, reason, order):
    with pytest.raises(InputError, match="batch_size") as caught:
        order(0, 10, batch_size)
    assert reason in str(caught.value)


def test_draws_are_a_function_of_seed_and_step_alone():
    order = drawn(3, 10**12, 6)
    later = order(7).tolist()
    assert order(6).tolist() != later
    assert drawn(3, 10**12, 6)(7).tolist() == later
    assert drawn(4, 10**12, 6)(7).tolist() != later


def test_every_example_is_drawn_as_often():
    # 4,000 batches of 4 examples: a cell's count is binomial, 1,000 ± 27 (one standard deviation).
    order = drawn(0, 4, 4)
    visited = np.stack([order(step) for step in range(4000)])
    counts = np.stack([np.bincount(visited[:, place], minlength=4) for place in range(4)])
    assert np.abs(counts - 1000).max() < 5 * 27.4


def test_more_examples_than_an_int32_holds_are_all_in_reach():
    examples = drawn(0, 2**40, 1000)(0)
    assert (examples.shape, examples.dtype) == ((1000,), np.int64)
    assert examples.min() >= 0
    assert 2**39 < examples.max() < 2**40


def test_examples_are_drawn_where_a_permutation_would_be_too_large(monkeypatch):
    monkeypatch.setattr(batches, "MOST_SHUFFLED", 20)
    assert order_of(1, 20, 5)(3).tolist() == shuffled(1, 20, 5)(3).tolist()
    assert order_of(1, 21, 5)(3).tolist() == drawn(1, 21, 5)(3).tolist()


def test_windows_of_a_worked_example():
    inputs_and_targets, weights = windows(np.array([5, 6, 7, 8, 9, 4]), 3)
    assert inputs_and_targets.tolist() == [[5, 6, 7, 8], [8, 9, 4, 0]]
    assert weights.tolist() == [[1, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize(("length", "context"), [(2, 1), (7, 3), (8, 3), (9, 3), (4, 10), (11, 10)])
def test_every_token_but_the_first_is_a_target_exactly_once(length, context):
    tokens = np.arange(100, 100 + length)
    cut, weights = windows(tokens, context)
    count = -(-(length - 1) // context)
    assert (cut.shape, cut.dtype) == ((count, context + 1), np.int32)
    assert (weights.shape, weights.dtype) == ((count, context), np.float32)
    counted = weights == 1
    assert cut[:, 1:][counted].tolist() == tokens[1:].tolist()
    assert cut[:, :-1][counted].tolist() == tokens[:-1].tolist()
    assert (weights[~counted] == 0).all()
    assert (cut[:, 1:][~counted] == 0).all()


@pytest.mark.parametrize("length", [2, 7, 8, 9, 30])
def test_some_of_the_windows_are_those_of_all(length):
    tokens = np.arange(100, 100 + length, dtype=np.uint16)
    whole = windows(tokens, 3)
    for size in (1, 2, 4):
        parts = [windows(tokens, 3, i, i + size) for i in range(0, len(whole[0]), size)]
        for expected, *some in zip(whole, *parts, strict=True):
            assert np.concatenate(some).tolist() == expected.tolist()
            assert some[0].dtype == expected.dtype
