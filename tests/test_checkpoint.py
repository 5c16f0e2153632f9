"""Checkpoints: exact, verified, and never a dead end."""

import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.checkpoint import Checkpoints
from aigc_jax.errors import InputError


class State(NamedTuple):
    step: jax.Array
    key: jax.Array
    params: dict
    half: jax.Array


def state_of(step):
    return State(
        jnp.int32(step),
        jax.random.fold_in(jax.random.key(0), step),
        {"w": jnp.arange(1000.0) + step, "b": jnp.zeros(())},
        jnp.full((3,), 1 / 3, jnp.bfloat16),
    )


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of steps 10, 20 and 30."""
    with Checkpoints(tmp_path / "c") as checkpoints:
        for step in (10, 20, 30):
            checkpoints.save(step, state_of(step))
    return tmp_path / "c"


def restore(folder, **options):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore_newest(state_of(0), **options)


def flip_a_bit(folder, step):
    files = [f for f in (folder / str(step) / "state").rglob("*") if f.parent.name == "d"]
    largest = max(files, key=lambda f: f.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def test_a_state_returns_bit_for_bit(folder, assert_identical):
    step, state = restore(folder)
    assert step == 30
    assert_identical(state, state_of(30))
    assert isinstance(state, State)
    assert jax.random.key_impl(state.key) == jax.random.key_impl(state_of(0).key)


def test_an_empty_folder_holds_none(tmp_path):
    assert restore(tmp_path / "new") is None


def test_old_checkpoints_make_room(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, state_of(step))
        checkpoints.wait()
        assert checkpoints.steps() == [2, 3]


def test_what_is_removed_is_gone_and_can_be_saved_again(folder):
    with Checkpoints(folder, keep=None) as checkpoints:
        checkpoints.save(40, state_of(40))
        checkpoints.remove(lambda step: step > 10)
        assert checkpoints.steps() == [10]
        assert {p.name for p in folder.iterdir() if p.name.isdecimal()} == {"10"}
        checkpoints.save(20, state_of(20))
        checkpoints.wait()
        assert {p.name for p in folder.iterdir() if p.name.isdecimal()} == {"10", "20"}
        assert checkpoints.restore_newest(state_of(0))[0] == 20


def test_without_a_limit_all_checkpoints_stay(tmp_path):
    with Checkpoints(tmp_path, keep=None) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(step, state_of(step))
    assert {p.name for p in tmp_path.iterdir()} == set("12345")


def test_a_write_that_failed_is_told_at_the_latest_at_the_end(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"), Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)


def test_flipped_bits_are_noticed_and_the_one_before_is_taken(folder, assert_identical):
    flip_a_bit(folder, 30)
    step, state = restore(folder)
    assert step == 20
    assert_identical(state, state_of(20))
    assert (folder / "damaged-30").is_dir()


def test_an_empty_step_folder_is_passed_over(folder):
    (folder / "40").mkdir()
    assert restore(folder)[0] == 30


@pytest.mark.parametrize("name", ["007", "٣"])
def test_a_folder_of_another_name_is_no_checkpoint(folder, name):
    (folder / name).mkdir()
    assert restore(folder)[0] == 30
    assert (folder / name).is_dir()


# Orbax gives up at the first missing array, and closes its event loop while others are read.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_missing_files_are_passed_over(folder):
    shutil.rmtree(folder / "30" / "state" / "d", ignore_errors=True)
    shutil.rmtree(folder / "30" / "state" / "ocdbt.process_0", ignore_errors=True)
    assert restore(folder)[0] == 20


def test_a_step_can_be_saved_again_after_falling_back(folder):
    flip_a_bit(folder, 30)
    with Checkpoints(folder) as checkpoints:
        checkpoints.restore_newest(state_of(0))
        checkpoints.save(30, state_of(30))
        checkpoints.wait()
        assert checkpoints.restore_newest(state_of(0))[0] == 30


def test_readers_leave_damaged_checkpoints_where_they_are(folder):
    flip_a_bit(folder, 30)
    assert restore(folder, repair=False)[0] == 20
    assert (folder / "30").is_dir()


def test_when_all_are_damaged_that_is_said_and_nothing_is_deleted(folder):
    for step in (10, 20, 30):
        flip_a_bit(folder, step)
    with pytest.raises(InputError, match="none of the checkpoints"):
        restore(folder)
    assert {p.name for p in folder.iterdir()} >= {"damaged-10", "damaged-20", "damaged-30"}


@pytest.mark.parametrize(
    "other",
    [
        state_of(0)._replace(half=jnp.zeros((3,), jnp.float32)),
        state_of(0)._replace(half=jnp.zeros((4,), jnp.bfloat16)),
        state_of(0)._replace(params={"w": jnp.zeros(1000)}),
    ],
    ids=["dtype", "shape", "structure"],
)
def test_another_models_checkpoint_is_refused_and_left_alone(folder, other):
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(InputError, match="written by another model"):
            checkpoints.restore_newest(other)
        assert checkpoints.steps() == [10, 20, 30]


def test_saving_does_not_share_memory_with_donated_buffers(tmp_path):
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros(300_000)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": x})
        for _ in range(20):
            x = increment(x)
        checkpoints.wait()
        _, restored = checkpoints.restore_newest({"x": x})
    np.testing.assert_array_equal(restored["x"], 0)
