"""Which classes `experiments.sample --labels` draws."""

from types import SimpleNamespace

import pytest

from aigc_jax.errors import InputError
from experiments import sample


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
