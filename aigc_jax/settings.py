"""Configurations as data: what can be set in them by name, presets, and JSON.

A config is a tree of frozen dataclasses, each of them `Settings`. Its leaves are numbers, strings,
booleans, None, tuples of integers, and constants that have a name among the `choices` of their
field. So it prints, compares, goes to JSON and comes back. A field made by `setting` can be set by
name from outside, by a command line, say: `settings` lists them, however deep they are, and
`with_settings` changes them. The other fields are decided by the data, or by whoever writes a
config in Python.

    @dataclass(frozen=True, kw_only=True, repr=False)
    class MLP(Settings):
        width: int = setting(128, "Hidden units.")

    @dataclass(frozen=True, kw_only=True, repr=False)
    class Config(Settings):
        image_shape: tuple[int, int, int] = (28, 28, 1)
        architecture: MLP = MLP()
        rate: float = setting(1e-3, "Step size.", name="learning_rate")

    with_settings(Config(), {"width": 8, "learning_rate": 1e-2})

Names are unique within a tree.
"""

import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known about a field that can be set by name.

    Attributes:
      help: what it is, in a sentence, with the unit where there is one.
      name: where that is not the field's.
      choices: the values that it may take, by name. Where they are dataclasses, or tuples of such,
        a name stands for that value whatever its own settings are; on a change to another class,
        settings that both classes have are kept.
      least: the smallest number it may be. Default: 1 for whole numbers, above 0 for others.
      below: what it must stay below, which every `Settings` checks when it is made.
      changeable: whether a run may be continued under another value, because the result does not
        depend on it.
      path: whether it names a file or folder.
      formerly: the name it had in earlier versions.
    """

    help: str
    name: str | None = None
    choices: Mapping[str, Any] | None = None
    least: int | None = None
    below: float | None = None
    changeable: bool = False
    path: bool = False
    formerly: str | None = None


def setting(
    default: Any, help: str, choices: Mapping[str, Any] | Sequence[str] | None = None, **known: Any
) -> Any:
    """A field of a dataclass that can be set by name; see `Setting`.

    Choices that are a sequence of names stand for themselves.
    """
    if choices is not None and not isinstance(choices, Mapping):
        choices = dict(zip(choices, choices, strict=True))
    metadata = {"setting": Setting(help=help, choices=choices, **known)}
    return field(default=default, metadata=metadata)


def constant(choices: Mapping[str, Any], default: Any = MISSING) -> Any:
    """A field that holds one of these values, so that JSON can store it, and is not a setting."""
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, repr=False)
class Settings:
    """What configs and their parts inherit from: printed, a constant is its name."""

    def __post_init__(self) -> None:
        """Refuses numbers that are not below their bound; a subclass's own must call this.

        Raises:
          ValueError: says which.
        """
        for f in fields(self):
            known, value = f.metadata.get("setting"), getattr(self, f.name)
            if known and known.below is not None and not value < known.below:
                raise ValueError(
                    f"--{known.name or f.name} must be below {known.below}, got {value}"
                )

    def __repr__(self) -> str:
        def shown(value: Any, choices: Mapping[str, Any] | None) -> str:
            name = name_of(value, choices) if choices and not _parts(value) else None
            return repr(value) if name is None else name

        every = (f"{f.name}={shown(getattr(self, f.name), _choices(f))}" for f in fields(self))
        return f"{type(self).__name__}({', '.join(every)})"


class Partial(Settings):
    """A function with some of its arguments given, as `functools.partial` has them, but data.

    The fields of a subclass are those arguments, and `function` is the function:

        @dataclass(frozen=True, kw_only=True, repr=False)
        class MLP(Partial):
            function = staticmethod(mlp)
            width: int = setting(128, "Hidden units.")
    """

    function: ClassVar[Callable[..., Any]]

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """What the function returns for these and the fields."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return self.function(*arguments, **more, **own)


class Leaf(NamedTuple):
    """One setting of a config."""

    setting: Setting
    kind: type  # bool, int, float or str: of the value
    value: Any  # plain: the name of a choice, "8,5,5,5" for a tuple of integers


def settings(config: Any) -> dict[str, Leaf]:
    """Every setting by name, outer ones first; a constant has none."""
    found: dict[str, Leaf] = {}
    parts: list[Any] = []
    for part in _parts(config)[:1]:  # those of a tuple share their names
        for name, hint, value, known in _fields(part):
            if known:
                found[known.name or name] = Leaf(known, _kind(hint, known), _plain(value, known))
            parts.append(value)
    for part in parts:
        found |= settings(part)
    return found


def with_settings(config: T, values: Mapping[str, Any]) -> T:
    """The config with other values of its settings; names that it does not have are ignored.

    Args:
      config: see above.
      values: by name, plain as in `Leaf`. Choices are applied before the settings of what is
        chosen.

    Raises:
      ValueError: a name is not a choice, a text not a tuple of integers, or a value is refused.
    """
    changes: dict[str, Any] = {}
    for name, hint, value, known in _fields(config):
        new = value
        if known and (given := known.name or name) in values:
            new = _from_plain(given, values[given], hint, known, value)
        if isinstance(new, Settings):
            new = with_settings(new, values)
        elif isinstance(new, tuple) and _parts(new):
            new = tuple(with_settings(part, values) for part in new)
        if new is not value:
            changes[name] = new
    return replace(config, **changes) if changes else config  # type: ignore[type-var]


def _fields(config: Any) -> Iterator[tuple[str, Any, Any, Setting | None]]:
    hints = _hints(type(config))
    for f in fields(config):
        yield f.name, hints[f.name], getattr(config, f.name), f.metadata.get("setting")


_hints: Callable[[Any], dict[str, Any]] = cache(typing.get_type_hints)


def _parts(value: Any) -> tuple[Any, ...]:
    """The parts of a config that a value is made of."""
    every = value if isinstance(value, tuple) else (value,)
    return tuple(part for part in every if isinstance(part, Settings))


def _kind(hint: Any, known: Setting) -> type:
    """`str` for `str | None`, for choices and for tuples."""
    if known.choices is not None:
        return str
    if isinstance(hint, types.UnionType):
        hint = next(t for t in typing.get_args(hint) if t is not types.NoneType)
    return hint if hint in (bool, int, float, str) else str


def _plain(value: Any, known: Setting) -> Any:
    if known.choices is not None:
        return name_of(value, known.choices)
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _from_plain(name: str, plain: Any, hint: Any, known: Setting, before: Any) -> Any:
    if known.choices is not None:
        if plain not in known.choices:
            raise ValueError(f"unknown {name} {plain!r}; choose one of {', '.join(known.choices)}")
        return _chosen(known.choices[plain], before, plain == _plain(before, known))
    if typing.get_origin(hint) is tuple and isinstance(plain, str):
        if not all(part.isdecimal() for part in plain.split(",")):
            raise ValueError(f"--{name}={plain} must be whole numbers, such as 8,5,5,5")
        return tuple(int(part) for part in plain.split(","))
    return plain


def _chosen(value: Any, before: Any, same: bool) -> Any:
    if same:
        return before
    if not (isinstance(value, Settings) and isinstance(before, Settings)):
        return value
    if type(value) is type(before):
        return value
    common = {f.name for f in fields(value)} & {f.name for f in fields(before)}
    return replace(value, **{name: getattr(before, name) for name in common})


def name_of(value: Any, choices: Mapping[str, Any]) -> str | None:
    """The name of a value among choices, whatever its settings; None for one that has none."""
    for name, choice in choices.items():
        if value is choice or _alike(value, choice):
            return name
    return None


def _alike(a: Any, b: Any) -> bool:
    """Whether two values differ in their settings alone."""
    if isinstance(a, tuple) and isinstance(b, tuple) and (_parts(a) or _parts(b)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if not isinstance(a, Settings):
        return type(a) is type(b) and bool(a == b)
    return type(a) is type(b) and all(
        known or getattr(b, name) == value for name, _, value, known in _fields(a)
    )


def to_json(config: Any) -> dict[str, Any]:
    """A config as JSON values: an object for each dataclass, its class under `kind`.

    Raises:
      ValueError: it holds a value that has no name among the choices of its field.
    """
    found = {"kind": type(config).__name__}
    for f in fields(config):
        found[f.name] = _encoded(f.name, getattr(config, f.name), _choices(f))
    return found


def from_json(cls: type[T], stored: Mapping[str, Any]) -> T:
    """The config that `to_json` was given.

    Args:
      cls: of the config; those of its parts are found in the types of its fields.
      stored: what `to_json` returned.

    Raises:
      ValueError: it is not such a config.
    """
    hints = _hints(cls)
    choices = {f.name: _choices(f) for f in fields(cls)}  # type: ignore[arg-type]
    values = {name: value for name, value in stored.items() if name != "kind"}
    if stored.get("kind") != cls.__name__ or values.keys() - choices.keys():
        raise ValueError(f"not a {cls.__name__}: {dict(stored)!r}")
    return cls(**{k: _decoded(k, v, hints[k], choices[k]) for k, v in values.items()})


def _choices(f: Any) -> Mapping[str, Any] | None:
    known = f.metadata.get("setting")
    return known.choices if known else f.metadata.get("choices")


def _encoded(name: str, value: Any, choices: Mapping[str, Any] | None) -> Any:
    if isinstance(value, Settings):
        return to_json(value)
    if isinstance(value, tuple) and _parts(value):
        return [to_json(part) for part in value]
    if choices is not None:
        if (found := name_of(value, choices)) is None:
            raise ValueError(f"{name}: {value!r} has no name, as {', '.join(choices)} have")
        return found
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return list(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{name}: {value!r} cannot be stored as JSON")


def _decoded(name: str, value: Any, hint: Any, choices: Mapping[str, Any] | None) -> Any:
    if isinstance(value, Mapping):
        kinds = {cls.__name__: cls for cls in _dataclasses(hint)}
        if value.get("kind") not in kinds:
            raise ValueError(f"{name}: unknown kind {value.get('kind')!r}")
        return from_json(kinds[value["kind"]], value)
    if isinstance(value, list):
        return tuple(_decoded(name, part, hint, None) for part in value)
    if choices is not None:
        if value not in choices:
            raise ValueError(f"{name}: unknown {value!r}")
        return choices[value]
    if isinstance(value, str) and isinstance(hint, type) and issubclass(hint, Enum):
        return hint[value]
    return value


def _dataclasses(hint: Any) -> Iterator[type]:
    """Those within a type such as `A | B` or `tuple[A, ...]`."""
    if isinstance(hint, type) and issubclass(hint, Settings):
        yield hint
    for part in typing.get_args(hint):
        yield from _dataclasses(part)


@dataclass(frozen=True, kw_only=True, repr=False)
class Run(Settings):
    """What a run of a preset takes.

    The result depends on `steps`, `batch_size` and `decay`; the others say when things are shown,
    saved and evaluated.
    """

    steps: int = setting(1000, "Updates to train for in total.", changeable=True)
    batch_size: int = setting(128, "Examples in an update.")
    eval_every: int = setting(1000, "Steps between evaluations on held-out data.", changeable=True)
    checkpoint_every: int = setting(1000, "Steps between checkpoints.", changeable=True)
    log_every: int = setting(100, "Steps between logged lines.", changeable=True)
    steps_per_dispatch: int = setting(
        50, "Steps that the device runs in one program before it reports.", changeable=True
    )
    decay: bool = False  # whether the learning rate's schedule ends where the run does


@dataclass(frozen=True)
class Preset(Generic[C]):
    """A configuration that was tried, with what a run of it takes and reaches.

    Attributes:
      name: on the command line.
      about: what it is, in a line, with its source.
      config: of its family.
      run: steps and how often things happen.
      command: that trains it.
      time: of the command, with the hardware.
      reaches: the metric to expect, with its conditions.
    """

    name: str
    about: str
    config: C
    run: Run
    command: str
    time: str
    reaches: str

    def configured(self, **changes: Any) -> C:
        """Its config for a run of its length, with other values, such as those the data decide."""
        schedule = {"decay_steps": self.run.steps} if self.run.decay else {}
        return replace(self.config, **{**schedule, **changes})  # type: ignore[type-var]


def configuration(config: C | Preset[C]) -> C:
    """A config itself, or that of a preset."""
    return config.configured() if isinstance(config, Preset) else config
