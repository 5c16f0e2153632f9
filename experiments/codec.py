"""Trains a codec, which turns images, sounds or videos into codes and back.

    python -m experiments.codec                               # images: 49 codes for 28 × 28 pixels
    python -m experiments.codec --medium=audio                # sounds: 4 codes for 128 samples
    python -m experiments.codec --medium=video                # videos: 64 codes for 64 × 64 pixels
    python -m experiments.codec --medium=audio --sounds=FOLDER

A prior over the codes generates: see experiments.prior. Run the same command again to continue a
run that was stopped.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from absl import flags

from aigc_jax.errors import InputError
from experiments.data.signals import MEDIA
from experiments.families.codec.experiment import EXPERIMENT
from experiments.families.codec.options import PRESETS
from experiments.runs import launcher


def define(values: flags.FlagValues) -> None:
    """Defines --medium."""
    flags.DEFINE_enum(
        "medium",
        None,
        MEDIA,
        "What is coded; chooses the preset where --preset does not. Default: image.",
        flag_values=values,
    )


def chosen(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, with the medium's preset.

    Raises:
      InputError: the preset is of another medium.
    """
    medium, preset = given.get("medium"), given.get("preset")
    if medium is None:
        return given
    if preset is None:
        return {**given, "preset": medium}
    if preset in PRESETS and PRESETS[preset].medium != medium:
        raise InputError(
            f"--preset={preset} is of --medium={PRESETS[preset].medium}, not of {medium}"
        )
    return given


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program."""
    launcher.main(EXPERIMENT, __doc__, arguments, define=define, chosen=chosen)


if __name__ == "__main__":
    main()
