"""Options as frozen dataclasses, and their absl flags.

A launcher's options are a subclass of `Options`; its presets are instances of it. The flags, their
types, defaults and help are read off the fields, so an option is declared once.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from absl import flags

from aigc_jax.errors import InputError
from experiments.cli.paths import local

T = TypeVar("T", bound="Options")


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] | None = None,
    changeable: bool = False,
    least: int | None = None,
    path: bool = False,
) -> Any:
    """A field that is a flag.

    Args:
      default: where neither the preset nor the command line says otherwise.
      help: one sentence, with the unit where there is one.
      choices: the values it may take.
      changeable: whether a run may be continued under another value, because the result does not
        depend on it.
      least: the smallest number it may be. Default: 1 for whole numbers, above 0 for others.
      path: whether it names a file or folder; see `paths.local`.
    """
    metadata = {"help": help, "choices": choices, "changeable": changeable, "least": least}
    metadata["path"] = path
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What every training experiment can be told."""

    preset: str = option("default", "The configuration that the other options start from.")
    dataset: str = option("mnist5k", "What to train on.")
    data_dir: str | None = option(
        None,
        "Folder of the data set's files; without it they are downloaded once.",
        changeable=True,
        path=True,
    )
    workdir: str | None = option(
        None,
        "Folder of the run, made when missing; a run found there is continued. "
        "Without it: runs/EXPERIMENT-DATASET-PRESET.",
        changeable=True,
        path=True,
    )
    steps: int = option(1000, "Updates to train for in all.", changeable=True)
    batch_size: int = option(128, "Examples in an update.")
    learning_rate: float = option(
        1e-3, "Step size of the optimiser; the peak, where it has a schedule."
    )
    seed: int = option(0, "Decides initialisation, order of the data and all sampling.")
    eval_every: int = option(1000, "Steps between evaluations on held-out data.", changeable=True)
    checkpoint_every: int = option(1000, "Steps between checkpoints.", changeable=True)
    log_every: int = option(100, "Steps between logged lines.", changeable=True)
    steps_per_dispatch: int = option(
        50, "Steps that the device does in one program before it reports.", changeable=True
    )
    profile: bool = option(
        False, "Trace dispatches 3 to 5 with jax.profiler into WORKDIR/profile.", changeable=True
    )
    tensorboard: bool = option(
        False, "Also write TensorBoard files into WORKDIR/tensorboard.", changeable=True
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is called after, where no other name is given."""
        return self.dataset

    def suited_to(self, given: Mapping[str, Any]) -> Self:
        """The preset beside these options, where they decide what others should be."""
        return self


def _plain_type(hint: Any) -> type:
    """`str` for `str | None`, and so on."""
    if isinstance(hint, types.UnionType):
        (hint,) = (t for t in typing.get_args(hint) if t is not types.NoneType)
    return hint


_DEFINE: dict[type, Callable] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}


def define_flags(presets: Mapping[str, Options], flag_values: flags.FlagValues) -> None:
    """One absl flag for each field; one not given leaves the preset's value.

    Args:
      presets: by name; their values are shown in the help.
      flag_values: where the flags are defined.
    """
    first = next(iter(presets.values()))
    hints = typing.get_type_hints(type(first))
    for field in dataclasses.fields(first):
        text = field.metadata["help"]
        choices = tuple(presets) if field.name == "preset" else field.metadata["choices"]
        if choices:
            text += f" One of: {', '.join(choices)}."
        values = {name: getattr(preset, field.name) for name, preset in presets.items()}
        if field.name == "preset":
            text += f" Default: {next(iter(presets))}."
        elif len(set(values.values())) == 1:
            value = next(iter(values.values()))
            text += "" if value is None else f" Default: {_show(value)}."
        else:
            listed = ", ".join(f"{_show(v)} ({name})" for name, v in values.items())
            text += f" Default: {listed}."
        define = _DEFINE[_plain_type(hints[field.name])]
        define(field.name, None, text, flag_values=flag_values)


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def from_flags(presets: Mapping[str, T], values: Mapping[str, Any]) -> T:
    """The chosen preset with the given values in place of its own, checked.

    Args:
      presets: by name; the first is the default.
      values: by field; None leaves the preset's.

    Raises:
      InputError: the preset or a choice is unknown, a value is of another type or out of range, or
        a path leads off this machine.
    """
    name = values.get("preset") or next(iter(presets))
    if not isinstance(name, str) or name not in presets:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(presets)}")
    fields = {f.name: f for f in dataclasses.fields(presets[name])}
    given = {k: v for k, v in values.items() if k in fields and v is not None}
    hints = typing.get_type_hints(type(presets[name]))
    for k, v in given.items():
        _check_type(k, v, _plain_type(hints[k]))
    for k in (k for k in given if fields[k].metadata["path"]):
        given[k] = local(given[k], f"--{k}")
    suited = presets[name].suited_to(given)
    options = dataclasses.replace(suited, **{**given, "preset": name})
    for field in fields.values():
        value, choices = getattr(options, field.name), field.metadata["choices"]
        if choices and value not in choices:
            raise InputError(f"unknown {field.name} {value!r}; choose one of {', '.join(choices)}")
        if field.name == "seed":
            check_seed(value)
        else:
            _check_number(field.name, value, field.metadata["least"])
    return options


def _check_type(name: str, value: Any, wanted: type) -> None:
    """Of a value that no flag has parsed, as those of a config.json."""
    if type(value) is not wanted and not (type(value) is int and wanted is float):
        raise InputError(f"{name} must be {wanted.__name__}, not {type(value).__name__}")


def _check_number(name: str, value: Any, least: int | None) -> None:
    if isinstance(value, float) and least is None and not 0 < value < math.inf:
        raise InputError(f"--{name} must be positive and finite, got {value}")
    if isinstance(value, float) and least is not None and not least <= value < math.inf:
        raise InputError(f"--{name} must be at least {least} and finite, got {value}")
    if type(value) is int and value < (1 if least is None else least):
        raise InputError(f"--{name} must be at least {1 if least is None else least}, got {value}")


def check_seed(seed: int) -> None:
    """Refuses a seed that JAX would take for another one, as it keeps 32 bits.

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
    for field in dataclasses.fields(options):
        now = getattr(options, field.name)
        if field.metadata["changeable"] or field.name not in stored or stored[field.name] == now:
            continue
        raise InputError(
            f"--{field.name}={now} does not fit the run in {workdir}, which has "
            f"{field.name}={stored[field.name]}; give that value or another --workdir"
        )
