"""Texts from a language model."""

from functools import partial

from aigc_jax.transformer.sampling import ANCESTRAL, GREEDY
from experiments.families.lm.writing import _drawing


def test_the_samples_of_all_evaluations_come_from_one_program():
    sample = partial(lambda *_, **__: None)
    first = _drawing(sample, ANCESTRAL, ())
    assert _drawing(sample, ANCESTRAL, ()) is first
    assert _drawing(sample, GREEDY, ()) is not first
