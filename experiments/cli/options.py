"""The options of an experiment, and their absl flags.

An experiment's options are a subclass of `Options`; its presets are instances of it, made from the
package's `Preset`s. The flags, their types, defaults and help are read off the settings, those of
the model's config too, so that each is declared once.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from absl import flags

from aigc_jax.errors import InputError
from aigc_jax.settings import Leaf, Preset, Run, setting, settings, with_settings
from experiments.cli.paths import local

T = TypeVar("T", bound="Options")
B = TypeVar("B")


@dataclass(frozen=True, kw_only=True)
class Options(Run):
    """Options of every training experiment, beside the settings of its model's config.

    Attributes:
      config: of the family; a subclass says which.
      declared: the package's preset that these started from.
    """

    config: Any = None
    declared: Preset | None = None
    preset: str = setting("default", "The configuration that the other options start from.")
    dataset: str = setting("mnist5k", "What to train on.")
    data_dir: str | None = setting(
        None,
        "Folder of the data set's files; without it they are downloaded once.",
        changeable=True,
        path=True,
    )
    workdir: str | None = setting(
        None,
        "Folder of the run, created if missing; a run found there is continued. "
        "Without it: runs/EXPERIMENT-DATASET-PRESET.",
        changeable=True,
        path=True,
    )
    seed: int = setting(0, "Random seed of initialisation, data order and all sampling.")
    profile: bool = setting(
        False, "Trace dispatches 3 to 5 with jax.profiler into WORKDIR/profile.", changeable=True
    )
    tensorboard: bool = setting(
        False, "Also write TensorBoard files into WORKDIR/tensorboard.", changeable=True
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is named after by default."""
        return self.dataset

    def suited_to(self, given: Mapping[str, Any]) -> Self:
        """The preset, changed where the given options decide the defaults of others."""
        return self


def presets_of(
    options: type[T], presets: Iterable[Preset], **own: Mapping[str, Any]
) -> dict[str, T]:
    """The options of each preset, by its name.

    Args:
      options: the class.
      presets: of the package.
      own: by name of a preset, values of options that the package does not have.
    """
    return {
        p.name: options(
            preset=p.name, config=p.config, declared=p, **vars(p.run), **own.get(p.name, {})
        )
        for p in presets
    }


def stored_options(options: Options) -> dict[str, Any]:
    """Every option by its flag's name, as config.json holds it."""
    return {name: leaf.value for name, leaf in settings(options).items()}


_DEFINE: dict[type, Callable] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}


def define_flags(presets: Mapping[str, Options], flag_values: flags.FlagValues) -> None:
    """One absl flag for each setting; one not given leaves the preset's value.

    Args:
      presets: by name; their values are shown in the help.
      flag_values: where the flags are defined.
    """
    for name, leaf in every_setting(presets).items():
        text, known = leaf.setting.help, leaf.setting
        choices = presets if name == "preset" else known.choices
        if choices:
            text += f" One of: {', '.join(choices)}."
        text += f" Default: {next(iter(presets))}." if name == "preset" else _default(name, presets)
        _DEFINE[leaf.kind](name, None, text, flag_values=flag_values)
        if known.formerly:
            flags.DEFINE_alias(known.formerly, name, flag_values=flag_values)


def every_setting(presets: Mapping[str, Options]) -> dict[str, Leaf]:
    """By name, the settings of all presets, and those of choices that no preset makes."""
    found: dict[str, Leaf] = {}
    chosen = [choice for options in presets.values() for choice in _choices(options).values()]
    for part in (*presets.values(), *chosen):
        found = {**settings(part), **found}
    first = settings(next(iter(presets.values())))
    return {**{name: found[name] for name in first}, **found}  # in the order of the first


def _choices(options: Options) -> dict[str, Any]:
    """By flag, such as `--penalty=r1`, the available choices."""
    return {
        f"--{name}={choice}": value
        for name, leaf in settings(options).items()
        for choice, value in (leaf.setting.choices or {}).items()
    }


def _default(name: str, presets: Mapping[str, Options]) -> str:
    every = {preset: settings(options) for preset, options in presets.items()}
    values = {preset: found[name].value for preset, found in every.items() if name in found}
    if len(set(values.values())) == 1 and len(values) == len(presets):
        value = next(iter(values.values()))
        return "" if value is None else f" Default: {_show(value)}."
    listed = ", ".join(f"{_show(value)} ({preset})" for preset, value in values.items())
    return f" Default: {listed}." if listed else ""


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def from_flags(presets: Mapping[str, T], values: Mapping[str, Any]) -> T:
    """The chosen preset with the given values in place of its own, checked.

    Args:
      presets: by name; the first is the default.
      values: by flag; None leaves the preset's. Names that are not settings of any preset are
        ignored: they are other flags of the program.

    Raises:
      InputError: the preset or a choice is unknown, a value is of another type or out of range, it
        has no effect with the others, or a path is not on this machine.
    """
    options, foreign = _made(presets, values)
    for name in foreign:
        raise InputError(f"--{name}={values[name]} has no effect {_where(name, presets, options)}")
    return options


def from_stored(presets: Mapping[str, T], values: Mapping[str, Any]) -> T:
    """The same for the options in a config.json; what has no effect is ignored.

    Raises:
      InputError: see `from_flags`.
    """
    former = {leaf.setting.formerly: name for name, leaf in every_setting(presets).items()}
    return _made(presets, {former.get(name, name): value for name, value in values.items()})[0]


def _made(presets: Mapping[str, T], values: Mapping[str, Any]) -> tuple[T, list[str]]:
    """The options, and which of the values have no effect in them."""
    name = values.get("preset") or next(iter(presets))
    if not isinstance(name, str) or name not in presets:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(presets)}")
    known = every_setting(presets)
    given = {k: v for k, v in values.items() if k in known and v is not None}
    for k, v in given.items():
        _check_type(k, v, known[k].kind)
        if known[k].setting.path:
            given[k] = local(v, f"--{k}")
        # Before a config divides by it.
        if k != "seed":
            _check_number(k, v, known[k].setting.least)
    suited = presets[name].suited_to(given)
    options = checked(lambda: with_settings(suited, {**given, "preset": name}))
    found = settings(options)
    for k, leaf in found.items():
        if k == "seed":
            check_seed(leaf.value)
        else:
            _check_number(k, leaf.value, leaf.setting.least)
    return options, [k for k in given if k not in found]


def _where(name: str, presets: Mapping[str, Options], options: Options) -> str:
    """`with --preset=vq; it belongs to --preset=fsq`."""
    choices = [flag for flag, value in _choices(options).items() if name in settings(value)]
    others = [f"--preset={preset}" for preset, o in presets.items() if name in settings(o)]
    owners = " or ".join(choices or others)
    return f"with --preset={options.preset}" + (f"; it belongs to {owners}" if owners else "")


def _check_type(name: str, value: Any, wanted: type) -> None:
    """Checks a value that no flag has parsed, such as one of a config.json."""
    if type(value) is not wanted and not (type(value) is int and wanted is float):
        raise InputError(f"{name} must be {wanted.__name__}, not {type(value).__name__}")


def _check_number(name: str, value: Any, least: int | None) -> None:
    if isinstance(value, float) and least is None and not 0 < value < math.inf:
        raise InputError(f"--{name} must be positive and finite, got {value}")
    if isinstance(value, float) and least is not None and not least <= value < math.inf:
        raise InputError(f"--{name} must be at least {least} and finite, got {value}")
    if type(value) is int and value < (1 if least is None else least):
        raise InputError(f"--{name} must be at least {1 if least is None else least}, got {value}")


def checked(build: Callable[[], B]) -> B:
    """What `build` returns; what the package refuses is an error of the user's.

    Raises:
      InputError: in place of any other ValueError.
    """
    try:
        return build()
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error


def check_seed(seed: int) -> None:
    """Refuses a seed that JAX, which keeps 32 bits, would take for another one.

    Raises:
      InputError: it is negative or too large.
    """
    if not 0 <= seed < 2**32 - 1:  # the next one up seeds the evaluation
        raise InputError(f"--seed must be between 0 and 2**32 - 2, got {seed}")


def refuse_changes(options: Options, stored: Mapping[str, Any], workdir: str) -> None:
    """Checks that a run found in a folder can be continued under these options.

    Args:
      options: of this command.
      stored: the options in the run's config.json.
      workdir: its folder, for the message.

    Raises:
      InputError: an option that decides the result differs; names it.
    """
    for name, leaf in settings(options).items():
        then = stored.get(name, stored.get(leaf.setting.formerly or name))
        known = name in stored or leaf.setting.formerly in stored
        if leaf.setting.changeable or not known or then == leaf.value:
            continue
        raise InputError(
            f"--{name}={leaf.value} does not fit the run in {workdir}, which has {name}={then}; "
            "give that value or another --workdir"
        )
