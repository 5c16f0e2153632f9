"""A VAE that begins with the parameters of another run."""

import shutil

import jax
import numpy as np
import pytest

from aigc_jax.errors import InputError
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.families.vae import experiment as vae
from experiments.families.vae.options import PRESETS
from experiments.runs import training

SMALL = {"width": 4, "batch_size": 8, "steps": 2, "steps_per_dispatch": 1, "k": 2, "log_every": 2}
CADENCE = {"eval_every": 2, "checkpoint_every": 2}


pytestmark = pytest.mark.xdist_group("vae-start")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with 20 images, of which 16 are for training."""
    folder = tmp_path_factory.mktemp("start")
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
    np.savez(folder / "images.npz", images=images)
    return folder


@pytest.fixture(scope="module")
def train(place):
    """`train(name, **options)` → the finished run."""

    def run(name, **options):
        values = {**SMALL, **CADENCE, "images": str(place / "images.npz"), **options}
        options = from_flags(PRESETS, {**values, "workdir": str(place / name)})
        training.train(vae.EXPERIMENT, options, "")
        return open_any(str(place / name))

    return run


@pytest.fixture(scope="module")
def first(train):
    return train("first", steps=4)


def test_it_begins_with_the_averages_of_that_run_and_an_optimiser_of_its_own(
    first, assert_identical
):
    options = from_flags(PRESETS, {**SMALL, "start_from": str(first.folder.path), "seed": 5})
    fresh = jax.jit(first.algorithm.init)(jax.random.key(5))
    begun = vae.begin(options, fresh)
    assert_identical(begun.params, first.state.ema)
    assert_identical(begun.ema, first.state.ema)
    others = (begun.step, begun.key, begun.opt_state)
    assert_identical(others, (fresh.step, fresh.key, fresh.opt_state))


def test_training_goes_on_from_there_and_once_begun_needs_the_other_run_no_more(
    train, first, place
):
    shutil.copytree(first.folder.path, place / "lent")
    start = {"start_from": str(place / "lent"), "objective": "iwae", "samples": 3}
    second = train("second", **start, learning_rate=1e-9)
    assert second.step == 2
    assert all(jax.tree.leaves(jax.tree.map(np.allclose, second.state.params, first.state.ema)))
    shutil.rmtree(place / "lent")
    assert train("second", **start, learning_rate=1e-9, steps=4).step == 4


def test_a_run_that_dies_before_its_first_checkpoint_begins_again_with_the_same_parameters(
    train, first, place, monkeypatch, assert_identical
):
    shutil.copytree(first.folder.path, place / "trained-further")
    options = {"start_from": str(place / "trained-further"), "samples": 3}
    whole = train("whole", **options)

    class Killed(Exception):
        pass

    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training.loop, "train", kill)
        with pytest.raises(Killed):
            train("killed", **options)
    shutil.rmtree(place / "trained-further")
    assert_identical(train("killed", **options).state, whole.state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_from": "nowhere"}, "nowhere"),
        ({"start_from": "first", "width": 5}, "other networks.*differ in .* arrays"),
    ],
)
def test_what_cannot_be_begun_with_is_refused_before_anything_is_written(
    train, first, place, monkeypatch, options, message
):
    monkeypatch.chdir(place)
    with pytest.raises(InputError, match=message):
        train("third", **options)
    assert not (place / "third").exists()
