import dataclasses

import pytest

from aigc_jax.errors import InputError
from aigc_jax.settings import Settings, setting
from experiments.cli.options import (
    Options,
    from_flags,
    from_stored,
    refuse_changes,
    stored_options,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyOptions(Options):
    learning_rate: float = setting(1e-3, "Step size.")
    loss: str = setting("plain", "What to minimise.", choices=("plain", "fancy"))
    size: int = setting(4, "How large.")
    file: str | None = setting(None, "Where from.", changeable=True)


PRESETS = {
    "default": ToyOptions(steps=7),
    "textbook": ToyOptions(preset="textbook", steps=9, loss="fancy", size=2),
}


def test_without_values_the_first_preset_is_taken():
    assert from_flags(PRESETS, {}) == PRESETS["default"]
    assert from_flags(PRESETS, {"steps": None, "preset": None}) == PRESETS["default"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_taken_by_its_name_and_knows_it(name):
    options = from_flags(PRESETS, {"preset": name})
    assert options == PRESETS[name]
    assert options.preset == name


def test_a_value_takes_the_place_of_the_presets():
    options = from_flags(PRESETS, {"preset": "textbook", "steps": 3, "loss": "plain"})
    assert options == dataclasses.replace(PRESETS["textbook"], steps=3, loss="plain")


def test_values_that_are_no_options_are_passed_over():
    assert from_flags(PRESETS, {"helpfull": True, "v": -1}) == PRESETS["default"]


def test_a_false_flag_is_a_value():
    presets = {"default": ToyOptions(profile=True)}
    assert not from_flags(presets, {"profile": False}).profile


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ({"preset": "defaults"}, "default, textbook"),
        ({"preset": "Textbook"}, "default, textbook"),
        ({"loss": "hinge"}, "plain, fancy"),
        ({"loss": ""}, "plain, fancy"),
    ],
)
def test_an_unknown_choice_lists_the_known_ones(values, listed):
    (name, value) = next(iter(values.items()))
    with pytest.raises(InputError) as caught:
        from_flags(PRESETS, values)
    assert str(caught.value) == f"unknown {name} {value!r}; choose one of {listed}"


INTEGERS = ["steps", "batch_size", "eval_every", "checkpoint_every", "log_every"]
INTEGERS += ["steps_per_dispatch", "size"]


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [0, -1, -(10**30)])
def test_a_number_below_one_is_named(name, value):
    with pytest.raises(InputError, match=f"{name} must be at least 1, got {value}$"):
        from_flags(PRESETS, {name: value})


@pytest.mark.parametrize("value", [0.0, -0.0, -1e-3, float("nan"), float("inf"), -float("inf")])
def test_a_rate_that_is_not_positive_and_finite_is_named(value):
    with pytest.raises(InputError, match="learning_rate must be positive and finite"):
        from_flags(PRESETS, {"learning_rate": value})


@pytest.mark.parametrize(
    "values",
    [{"seed": 0}, {"seed": 2**31}, {"steps": 1}, {"size": 1}, {"learning_rate": 1e-30}],
)
def test_the_edge_of_a_range_is_in_it(values):
    (name, value) = next(iter(values.items()))
    assert getattr(from_flags(PRESETS, values), name) == value


@pytest.mark.parametrize(
    "values",
    [{"size": v} for v in (True, 1.0, "1", [[]])]
    + [{"learning_rate": v} for v in (True, "1", [1.0])]
    + [{"file": v} for v in (True, 1, ["a"])]
    + [{"profile": v} for v in (0, "no")]
    + [{"preset": ["default"]}, {"preset": {"a": 1}}],
)
def test_a_value_of_another_type_is_named(values):
    """As a config.json may hold them that somebody has edited."""
    (name,) = values
    with pytest.raises(InputError, match=f"^(unknown )?{name}"):
        from_flags(PRESETS, values)


@dataclasses.dataclass(frozen=True)
class Small(Settings):
    width: int = setting(2, "How wide.", formerly="breadth")


@dataclasses.dataclass(frozen=True)
class Deep(Small):
    depth: int = setting(3, "How deep.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NestedOptions(Options):
    network: Small = setting(Small(), "Which.", choices={"small": Small(), "deep": Deep()})


NESTED = {"default": NestedOptions(), "wide": NestedOptions(preset="wide", network=Small(9))}


def test_the_settings_of_what_is_chosen_are_options_too():
    assert from_flags(NESTED, {"width": 5}).network == Small(5)
    assert from_flags(NESTED, {"network": "deep", "depth": 1}).network == Deep(2, 1)
    # What both have is kept from the preset.
    assert from_flags(NESTED, {"preset": "wide", "network": "deep"}).network == Deep(9, 3)


def test_what_has_no_effect_is_refused_and_its_owner_named():
    with pytest.raises(InputError, match=r"--depth=4 has no effect .*it belongs to --network=deep"):
        from_flags(NESTED, {"depth": 4})


@pytest.mark.parametrize("values", [{}, {"network": "deep", "depth": 7}, {"preset": "wide"}])
def test_stored_options_come_back(values):
    options = from_flags(NESTED, values)
    stored = stored_options(options)
    assert from_stored(NESTED, stored) == options
    old = {"breadth" if name == "width" else name: value for name, value in stored.items()}
    assert from_stored(NESTED, {**old, "depth": 7, "gone": 1}) == options
    assert refusal(options, old) is None
    assert "--width" in refusal(options, {**old, "breadth": 77})


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_that_no_key_can_be_made_from_is_named(seed):
    with pytest.raises(InputError, match="seed"):
        from_flags(PRESETS, {"seed": seed})


STORED = stored_options(PRESETS["default"])


def refusal(options, stored):
    """What is said of a run continued under these options; None where it may be."""
    try:
        refuse_changes(options, stored, "runs/a")
    except InputError as error:
        return str(error)
    return None


def test_a_run_goes_on_under_its_own_options():
    assert refusal(PRESETS["default"], STORED) is None


@pytest.mark.parametrize(
    "change",
    [{name: 1} for name in INTEGERS if name not in ("batch_size", "size")]
    + [
        {"file": "b"},
        {"data_dir": "b"},
        {"workdir": "b"},
        {"profile": True},
        {"tensorboard": True},
    ],
)
def test_what_does_not_decide_the_result_may_change(change):
    assert refusal(dataclasses.replace(PRESETS["default"], **change), STORED) is None


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "textbook"},
        {"dataset": "other"},
        {"batch_size": 5},
        {"learning_rate": 0.5},
        {"seed": 1},
        {"loss": "fancy"},
        {"size": 5},
    ],
)
def test_what_decides_the_result_may_not_change_and_is_named(change):
    options = dataclasses.replace(PRESETS["default"], **change)
    (name, value) = next(iter(change.items()))
    said = refusal(options, STORED)
    assert f"--{name}={value}" in said
    assert f"{name}={STORED[name]}" in said
    assert "runs/a" in said


def test_an_option_newer_than_the_run_is_no_change():
    stored = {k: v for k, v in STORED.items() if k != "size"}
    assert refusal(dataclasses.replace(PRESETS["default"], size=99), stored) is None
