"""The prior's options and presets: those of the package, and what an experiment adds."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from aigc_jax import codec
from aigc_jax.codec import prior_config
from aigc_jax.codec.prior_config import ORDERS
from aigc_jax.data.captions import SYMBOLS
from aigc_jax.errors import InputError
from aigc_jax.settings import from_json, name_of, setting
from experiments.cli.options import Options, checked, presets_of
from experiments.data import captions
from experiments.families.codec.filing import span


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class PriorOptions(Options):
    """The options of every experiment, and the prior's own."""

    config: prior_config.Config = prior_config.DEFAULT.config
    codec: str | None = setting(
        None,
        "Folder of a run of experiments.codec, whose codes and data these are. Required.",
        changeable=True,
        path=True,
    )
    dataset: str | None = setting(  # type: ignore[assignment]
        None, "Other data of the codec's medium and channels. Default: the codec's."
    )
    images: str | None = setting(
        None, "Images of your own, where they have moved.", changeable=True, path=True
    )
    sounds: str | None = setting(
        None, "Sounds of your own, where they have moved.", changeable=True, path=True
    )
    videos: str | None = setting(
        None, "Videos of your own, where they have moved.", changeable=True, path=True
    )
    conditional: bool = setting(True, "Tell the prior the labels, where the data have some.")
    captions: str | None = setting(
        None,
        "Tell the prior captions in place of labels: the text NAME.txt beside each file of your "
        "own, or sentences made of the labels. Default: none.",
        choices=captions.KINDS,
    )
    guidance: float = setting(
        1.5,
        "Weight of the labels, or of captions, in the samples of evaluations: 1 as learned, more "
        "for clearer ones.",
        least=0,
        changeable=True,
    )
    passes: int | None = setting(
        None,
        "Passes in which a prior that writes in any order fills in all codes. Default: 12 for "
        "maskgit; for diffusion one for each code, which is exact.",
        changeable=True,
    )
    noise: float = setting(
        4.5,
        "How much chance there is in which codes such a prior decides first.",
        least=0,
        changeable=True,
    )
    given: int = setting(
        0,
        "Of videos: frames that evaluations give and that are to be continued; 0: none.",
        least=0,
        changeable=True,
    )
    classifier: str | None = setting(
        None,
        "Of images: folder of a run of experiments.classifier, for the metrics; trained there "
        "first if missing. Default: runs/classifier-DATASET-default.",
        changeable=True,
        path=True,
    )

    digits: int | None = setting(
        None, "Digits in a video of moving_mnist. Default: as the codec was trained on."
    )
    judges: bool | None = setting(
        None, "Have classifiers judge the samples. Default: as the codec's run."
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is named after: the codec's run."""
        return Path(os.path.abspath(self.codec or "codec")).name.removeprefix("codec-")

    @property
    def labelled(self) -> bool:
        """Whether the prior is told labels as they are, where the data have some."""
        return self.conditional and self.captions is None


PRESETS = presets_of(PriorOptions, prior_config.PRESETS)


def codec_of(metadata: dict[str, Any]) -> codec.Codec:
    """The codec that a run's metadata describe."""
    return codec.make(from_json(codec.Config, metadata["codec_config"]))


def check_use(options: PriorOptions, metadata: dict[str, Any]) -> None:
    """Refuses options that have no effect, or that ask for what the data do not have.

    Raises:
      InputError: says why.
    """
    order = name_of(options.config.order, ORDERS)
    unused = {"left": ("noise", "passes"), "diffusion": ("noise",)}.get(str(order), ())
    for name in unused:
        value = getattr(options, name)
        if value != getattr(PriorOptions, name):
            raise InputError(f"--{name}={value} has no effect with --order={order}")
    context = options.config.network.context
    if context != prior_config.Config().network.context:
        raise InputError(f"--context={context} has no effect: codes and labels decide it")
    if options.captions and not options.conditional:
        raise InputError(f"--noconditional has no effect with --captions={options.captions}")
    told = options.captions or (options.conditional and metadata["attributes"])
    if not told and options.guidance not in (1, PriorOptions.guidance):
        raise InputError(f"--guidance={options.guidance} has no effect: the prior knows no labels")
    if not options.given:
        return
    if metadata["medium"] != "video":
        raise InputError(f"--given={options.given} is for videos, and these are not")
    time, *frame = metadata["sides"]
    if options.given >= time:
        raise InputError(f"--given={options.given} leaves nothing of {time} frames to predict")
    each = span(codec_of(metadata).networks, tuple(frame))
    if options.given % each:
        raise InputError(
            f"--given={options.given}: a code is for {each} frames; give a multiple of that"
        )


def _of_captions(metadata: dict[str, Any]) -> dict[str, Any]:
    if "captions" not in metadata:
        return {}
    return {"caption_symbols": SYMBOLS, "caption_length": metadata["captions"]["tokens"]}


def to_config(options: PriorOptions, metadata: dict[str, Any]) -> prior_config.Config:
    """The config for codes with this `metadata`.

    Raises:
      InputError: options exclude each other, or do not fit the codes.
    """

    def build() -> prior_config.Config:
        check_use(options, metadata)
        made = codec_of(metadata)
        sizes = tuple(len(values) for _, values in metadata["attributes"])
        network = dataclasses.replace(options.config.network, decay_steps=options.steps)
        config = dataclasses.replace(
            options.config,
            grid=made.networks.grid(tuple(metadata["sides"])),
            stages=made.quantiser.stages,
            codes=made.quantiser.codes,
            sizes=sizes if options.labelled else (),
            **_of_captions(metadata),
            network=network,
        )
        prior_config.make(config)  # which builds the networks, and nothing else
        return config

    return checked(build)
