"""Which classes `experiments.sample --labels` draws, and what it asks of a prior."""

from types import SimpleNamespace

import pytest

from aigc_jax.errors import InputError
from experiments import sample
from experiments.families.prior import sampling


@pytest.fixture
def asked():
    """`asked(labels, conditional=True)`: the classes drawn of a run that knows ten."""

    def ask(labels, conditional=True):
        options = SimpleNamespace(conditional=conditional)
        folder = SimpleNamespace(path="runs/mine")
        run = SimpleNamespace(options=options, metadata={"classes": 10}, folder=folder)
        return sample.classes(run, labels)

    return ask


def test_the_classes_named_are_drawn(asked):
    assert asked(["3", "3", "7"]) == [3, 3, 7]
    assert asked(None) == []


@pytest.mark.parametrize(
    "labels", [["3", "10"], ["-1"], ["1.0"], ["x"], [], ["9" * 5000], ["1", ""]]
)
def test_what_is_no_class_of_the_run_is_refused(asked, labels):
    with pytest.raises(InputError, match="--labels takes classes from 0 to 9"):
        asked(labels)


def test_a_model_that_knows_no_classes_is_not_asked_for_one(asked):
    with pytest.raises(InputError, match="not the run in runs/mine"):
        asked(["3"], conditional=False)


@pytest.fixture
def weights():
    """`weights(told, order, guidance=…, passes=…)`: as flags give them, of a prior's run."""

    def check(told=True, order=None, guidance=None, passes=None):
        options = SimpleNamespace(config=SimpleNamespace(order=order))
        run = SimpleNamespace(options=options, folder=SimpleNamespace(path="runs/mine"))
        sampling.check_weights(run, guidance, passes, told)

    return check


def test_what_a_prior_can_use_is_not_refused(weights):
    weights()
    weights(guidance=0.0)
    weights(guidance=7.5)
    weights(told=False, guidance=1.0)  # as it is without
    weights(order="maskgit", passes=1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"guidance": -0.1}, "--guidance must be at least 0 and finite, got -0.1"),
        ({"guidance": float("inf")}, "--guidance must be at least 0 and finite, got inf"),
        ({"guidance": float("nan")}, "--guidance must be at least 0 and finite, got nan"),
        ({"told": False, "guidance": 2.0}, "were told labels or captions; not the run in"),
        ({"told": False, "guidance": 0.0}, "were told labels or captions; not the run in"),
        ({"order": "maskgit", "passes": 0}, "--passes must be at least 1, got 0"),
        ({"passes": 4}, "the run in runs/mine writes from the left"),
    ],
)
def test_what_a_prior_has_no_use_for_is_refused(weights, asked, message):
    with pytest.raises(InputError, match=message):
        weights(**asked)
