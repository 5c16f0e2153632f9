"""Samples of a prior as the command line asks for them: by labels or captions, after a prompt, into
a file.

Dimensions: N signals, S a signal's sides, C channels, A attributes, G the grid's sides, n stages.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.data.attributes import Attribute
from aigc_jax.data.video import write_mp4
from aigc_jax.data.video_decoders import package
from aigc_jax.errors import InputError
from aigc_jax.transformer import Source
from experiments.data import captions
from experiments.data.images import grid
from experiments.data.signals import attributes_of, floats
from experiments.data.videos import side_by_side
from experiments.families.codec import showing
from experiments.families.codec.filing import read_signal, span
from experiments.families.prior.drawing import in_turn
from experiments.families.prior.options import codec_of
from experiments.runs.restore import Restored

SUFFIXES = {
    "image": (".png", ".npz"),
    "audio": (".wav", ".npz"),
    "video": (".gif", ".mp4", ".npz"),
}
_ARRAYS = {"image": "images", "audio": "sounds", "video": "videos"}
_MOST_COLUMNS = 8


def labels_of(run: Restored, asked: Sequence[str] | None, num: int) -> np.ndarray | None:
    """int32 `[num, A]`: what --labels names, or all values, in turn; None of a prior without any.

    A label is a value of each attribute, by name or number, such as `7` or `7:jackson`; `?` is any.

    Raises:
      InputError: the prior was not told labels, or a label is not of its data.
    """
    attributes = attributes_of(run.metadata) if run.options.labelled else ()
    if asked is None:
        return in_turn(num, tuple(len(a.values) for a in attributes)) if attributes else None
    if not attributes:
        raise InputError(
            f"--labels is for priors that were told labels; not the run in {run.folder.path}"
            + ("; give it a --caption" if run.options.captions else "")
        )
    rows = [_label(text, attributes) for text in asked or [""]]
    return np.asarray(rows, np.int32)[np.arange(num) % len(rows)]


def _label(text: str, attributes: tuple[Attribute, ...]) -> list[int]:
    parts = text.split(":")
    if len(parts) != len(attributes):
        wanted = ":".join(a.name.upper() for a in attributes)
        example = ":".join(a.values[0] for a in attributes)
        raise InputError(f"--labels takes {wanted}, such as {example}; got {text!r}")
    return [_value(part, of) for part, of in zip(parts, attributes, strict=True)]


def _value(text: str, of: Attribute) -> int:
    if text == "?":
        return -1
    if text in of.values:
        return of.values.index(text)
    if text.isdecimal() and len(text) < 10 and int(text) < len(of.values):
        return int(text)
    shown = ", ".join(of.values[:12]) + (", …" if len(of.values) > 12 else "")
    raise InputError(f"--labels: {text!r} is no {of.name}; choose one of {shown}")


def captions_of(run: Restored, asked: Sequence[str] | None, num: int) -> tuple[str, ...] | None:
    """`num` captions: those of --caption in turn, or of held-out data; None of a prior without.

    Raises:
      InputError: the prior was told none.
    """
    if "captions" not in run.metadata:
        if asked is not None:
            place = run.folder.path
            raise InputError(
                f"--caption is for priors that were told captions; not the run in {place}"
            )
        return None
    known = asked or run.metadata["captions"]["examples"]
    return tuple(known[i % len(known)] for i in range(num))


def source_of(run: Restored, asked: Sequence[str] | None) -> Source | None:
    """Captions as the run's prior takes them.

    Raises:
      InputError: one is too long, or is not UTF-8.
    """
    if asked is None:
        return None
    try:
        return captions.source_of(asked, run.metadata["captions"]["tokens"])
    except InputError as error:
        raise InputError(f"--caption: {error}") from None


def check_weights(run: Restored, guidance: float | None, passes: int | None, told: bool) -> None:
    """Refuses --guidance and --passes that cannot be used, or that a prior has no use for.

    Args:
      run: of the prior.
      guidance, passes: as they are asked for; None: the run's own.
      told: whether the prior is told labels or captions.

    Raises:
      InputError: says why.
    """
    place = run.folder.path
    if guidance is not None and not 0 <= guidance < math.inf:
        raise InputError(f"--guidance must be at least 0 and finite, got {guidance}")
    if guidance not in (None, 1.0) and not told:
        raise InputError(
            f"--guidance is for priors that were told labels or captions; not the run in {place}"
        )
    if passes is not None and passes < 1:
        raise InputError(f"--passes must be at least 1, got {passes}")
    if passes is not None and run.options.config.order is None:
        raise InputError(
            f"--passes is for priors that write in any order; the run in {place} writes from the "
            "left"
        )


def prompt_of(run: Restored, path: str, num: int) -> np.ndarray:
    """Codes int32 `[num, P, …, n]` of what a file holds, to be continued.

    Raises:
      InputError: the prior makes images; or the file cannot be read, is of another size, or leaves
        nothing to continue.
    """
    medium, (time, *frame) = run.metadata["medium"], run.metadata["sides"]
    if medium == "image":
        raise InputError("--prompt_file is for sounds and videos, and this run makes images")
    signal = read_signal(Path(path), run.metadata)
    if list(signal.shape[1:-1]) != frame:
        shown, wanted = ("×".join(map(str, sides)) for sides in (signal.shape[1:-1], frame))
        raise InputError(f"--prompt_file={path} has frames of {shown}, and the model of {wanted}")
    unit = "samples" if medium == "audio" else "frames"
    if len(signal) >= time:
        raise InputError(
            f"--prompt_file={path} has {len(signal)} {unit}, and the model writes {time} in all; "
            "give it fewer to continue"
        )
    coding = codec_of(run.metadata)
    per_position = span(coding.networks, tuple(frame))
    whole = len(signal) // per_position
    if not whole:
        raise InputError(
            f"--prompt_file={path} is shorter than a code, which is {per_position} {unit}"
        )
    begun = floats(jnp.asarray(signal[None, : whole * per_position]))
    codes = np.asarray(jax.jit(coding.encode)(run.state.coder, begun))
    return np.repeat(codes, num, axis=0)


def encoded(
    signals: np.ndarray,
    metadata: dict[str, Any],
    suffix: str,
    labels: np.ndarray | None = None,
    asked: Sequence[str] | None = None,
) -> bytes:
    """The contents of a file of signals; an .npz also has what they were drawn for.

    Args:
      signals: integers `[N, *S, C]`.
      metadata: of the run.
      suffix: of the file.
      labels: int `[N, A]`, if any.
      asked: captions, if any.

    Raises:
      InputError: signals of this medium are not written to such files.
    """
    medium, rate = metadata["medium"], metadata["rate"]
    check_suffix(medium, suffix)
    if suffix == ".npz":
        arrays: dict[str, Any] = {
            _ARRAYS[medium]: signals[..., 0] if medium == "audio" else signals
        }
        if rate is not None:
            arrays["rate"] = rate
        if labels is not None:
            arrays["labels"] = labels
        if asked is not None:
            arrays["captions"] = np.array(asked, str)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()
    columns = min(int(np.ceil(np.sqrt(len(signals)))), _MOST_COLUMNS)
    if medium == "image":
        return grid(signals.astype(np.float32) / np.float32(255), columns).encode()
    if medium == "audio":
        return showing.joined(signals, rate).encode()
    wall = side_by_side(signals, rate, columns)
    return wall.encode() if suffix == ".gif" else write_mp4(wall.frames, rate)


def check_suffix(medium: str, suffix: str) -> None:
    """Refuses files that signals of a medium are not written to, or not on this machine.

    Raises:
      InputError: names those that they are, or the package that is missing.
    """
    if suffix not in SUFFIXES[medium]:
        kinds = " or ".join(SUFFIXES[medium])
        raise InputError(
            f"--out: {_ARRAYS[medium]} go to {kinds}, not {suffix or 'a file with no suffix'}"
        )
    if suffix == ".mp4":
        package()  # or all would be drawn in vain
