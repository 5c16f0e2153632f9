"""Configurations as data: settings by name, names of constants, JSON and back."""

import json
import math
from dataclasses import dataclass, replace

import pytest

from aigc_jax import classifier, gan, vae, vq
from aigc_jax.settings import (
    Partial,
    Preset,
    Run,
    Settings,
    configuration,
    constant,
    from_json,
    setting,
    settings,
    to_json,
    with_settings,
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Power(Partial):
    function = staticmethod(math.pow)


@dataclass(frozen=True, repr=False)
class Flat(Settings):
    width: int = setting(2, "How wide.")


@dataclass(frozen=True, repr=False)
class Steep(Settings):
    width: int = setting(3, "How wide.")
    slope: float = setting(0.5, "How steep.", below=90)
    root: object = constant({"square": math.sqrt, "none": None}, math.sqrt)


@dataclass(frozen=True, repr=False)
class Config(Settings):
    shape: tuple[int, int] = (4, 4)
    hill: Flat | Steep = setting(
        Flat(), "Which.", name="form", choices={"flat": Flat(), "steep": Steep()}
    )
    hills: tuple[Flat | Steep, ...] = ()
    levels: tuple[int, ...] = setting((8, 5), "How high.")
    function: object = setting(math.exp, "Of what.", choices={"exp": math.exp, "log": math.log})
    note: str | None = setting(None, "Whatever.")


@dataclass(frozen=True, repr=False)
class Unnamed(Settings):
    function: object = setting(math.sin, "Of what.", choices={"exp": math.exp})


def plain(config):
    return {name: leaf.value for name, leaf in settings(config).items()}


def test_settings_are_found_however_deep_they_are():
    assert plain(Config()) == {
        "form": "flat",
        "levels": "8,5",
        "function": "exp",
        "note": None,
        "width": 2,
    }
    kinds = {name: leaf.kind for name, leaf in settings(Config(hill=Steep())).items()}
    assert kinds == {
        "form": str,
        "levels": str,
        "function": str,
        "note": str,
        "width": int,
        "slope": float,
    }


def test_settings_are_changed_by_name():
    changed = with_settings(Config(), {"width": 7, "levels": "3,3,9", "function": "log"})
    assert changed == replace(Config(), hill=Flat(7), levels=(3, 3, 9), function=math.log)
    assert with_settings(Config(), {"unknown": 1}) == Config()


def test_a_choice_is_made_before_its_settings_and_keeps_what_both_have():
    assert with_settings(Config(hill=Flat(9)), {"form": "steep"}).hill == Steep(9)
    assert with_settings(Config(), {"form": "steep", "slope": 2.0, "width": 1}).hill == Steep(
        1, 2.0
    )
    # The same choice again changes nothing.
    assert with_settings(Config(hill=Steep(9, 0.1)), {"form": "steep"}).hill == Steep(9, 0.1)


def test_the_settings_of_a_tuple_are_those_of_all_its_parts():
    config = Config(hills=(Flat(1), Flat(2)))
    assert with_settings(config, {"width": 5}).hills == (Flat(5), Flat(5))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"form": "round"}, "unknown form 'round'; choose one of flat, steep"),
        ({"levels": "3,x"}, "--levels=3,x must be whole numbers"),
        ({"function": "exp2"}, "choose one of exp, log"),
        ({"form": "steep", "slope": 90.0}, "--slope must be below 90, got 90.0"),
    ],
)
def test_what_cannot_be_set_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        with_settings(Config(), values)


def test_constants_are_printed_by_name():
    assert repr(Config(hill=Steep())) == (
        "Config(shape=(4, 4), hill=Steep(width=3, slope=0.5, root=square), hills=(), "
        "levels=(8, 5), function=exp, note=None)"
    )


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config((1, 2), Steep(4, 0.25, None), (Flat(1), Steep(2)), (9,), math.log, "a"),
        *(p.configured() for family in (classifier, gan, vae, vq) for p in family.PRESETS),
    ],
    ids=lambda config: type(config).__module__,
)
def test_a_config_goes_to_json_and_comes_back(config):
    stored = json.loads(json.dumps(to_json(config), allow_nan=False))
    assert from_json(type(config), stored) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Flat"}, "not a Config"),
        ({"height": 1}, "not a Config"),
        ({"hill": {"kind": "Cliff"}}, "hill: unknown kind 'Cliff'"),
        ({"function": "sin"}, "function: unknown 'sin'"),
    ],
)
def test_json_of_something_else_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        from_json(Config, {**to_json(Config()), **change})


def test_what_has_no_name_does_not_go_to_json():
    with pytest.raises(ValueError, match=r"function: .* has no name"):
        to_json(Unnamed())


def test_a_partial_is_called_with_its_fields():
    @dataclass(frozen=True, kw_only=True, repr=False)
    class Log(Partial):
        function = staticmethod(lambda x, base: math.log(x, base))
        base: int = setting(2, "Of the logarithm.")

    assert Log(base=3)(81) == pytest.approx(4)
    assert Power()(2, 3) == 8


def test_a_preset_is_configured_for_a_run_of_its_length():
    config = gan.Config(learning_rate_g=0.5)
    preset = Preset("p", "about", config, Run(steps=77, decay=True), "command", "1 s", "nothing")
    assert configuration(preset) == preset.configured() == replace(config, decay_steps=77)
    assert preset.configured(classes=3, decay_steps=5) == replace(config, decay_steps=5, classes=3)
    assert replace(preset, run=Run(steps=77)).configured() == config
    assert configuration(config) is config
