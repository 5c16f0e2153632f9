"""The GAN's options and presets: each preset is a `gan.Config` of the package, under its flags."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from aigc_jax import gan
from aigc_jax.errors import InputError
from aigc_jax.gan import Config, Penalty
from experiments.cli.options import option
from experiments.data.images import ImageOptions

OBJECTIVES = {
    "minimax": gan.MINIMAX,
    "non_saturating": gan.NON_SATURATING,
    "least_squares": gan.LEAST_SQUARES,
    "hinge": gan.HINGE,
    "wasserstein": gan.WASSERSTEIN,
    "relativistic": gan.RELATIVISTIC,
}
PENALTIES: dict[str, tuple[Penalty, ...]] = {
    "none": (),
    "r1": (Penalty(gan.r1, 0.5),),
    "r2": (Penalty(gan.r2, 0.5),),
    "r1_r2": (Penalty(gan.r1, 0.5), Penalty(gan.r2, 0.5)),
    "wgan_gp": (Penalty(gan.wgan_gp, 10.0),),
    "dragan": (Penalty(gan.dragan, 10.0),),
}
"""With what each weighs where neither a preset that has it nor the command line says."""
AUGMENTATIONS = {"none": None, "diffaugment": gan.DIFFAUGMENT, "ada": gan.ADA}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanOptions(ImageOptions):
    """The options of every experiment on images, and the GAN's own."""

    objective: str = option(
        "non_saturating", "What the two players minimise.", choices=tuple(OBJECTIVES)
    )
    penalty: str = option(
        "none", "Gradient penalty on the discriminator.", choices=tuple(PENALTIES)
    )
    penalty_weight: float = option(
        1.0,
        "Its weight: γ of R1 and R2 (pixels in [0, 1]), or λ. Where --penalty is another than the "
        "preset's: 0.5 for γ, 10 for λ.",
    )
    penalty_every: int = option(1, "Updates of D between penalties, which then weigh as much more.")
    lecam_weight: float = option(0.0, "Weight of the LeCam penalty; 0 leaves it out.", least=0)
    augment: str = option(
        "none", "Augmentation of what the discriminator sees.", choices=tuple(AUGMENTATIONS)
    )
    packing: int = option(1, "Images that the discriminator judges together (PacGAN).")
    steps_d: int = option(1, "Updates of the discriminator, a batch each, for one of G's.")
    conditional: bool = option(False, "Tell both players the class of each image.")
    latent_size: int = option(100, "Dimensions of z.")
    width: int = option(64, "Channels next to the image (hidden units, in a perceptron).")
    learning_rate_d: float | None = option(None, "The discriminator's. Default: learning_rate.")
    decay: bool = option(False, "Bring the learning rates down to a tenth, along half a cosine.")
    ema_half_life: int = option(
        0, "Half-life of the averaged generator, in real images; 0 keeps no average.", least=0
    )
    classifier: str | None = option(
        None,
        "Folder of the run of experiments.classifier that judges; trained there first when "
        "missing. Default: runs/classifier-DATASET-default.",
        changeable=True,
        path=True,
    )
    stop_at_fcd: float | None = option(
        None,
        "End training at the first evaluation with an FCD of at most this; with --conditional, "
        "with a class_fcd of at most this: the mean of the FCDs of single classes, which is higher "
        "the fewer held-out images a class has. The best checkpoint is by the same figure.",
        changeable=True,
    )

    def suited_to(self, given: Mapping[str, Any]) -> "GanOptions":
        """The preset with the weight and the interval that suit the penalty.

        Raises:
          InputError: no penalty is left that the options given could apply to.
        """
        penalty, suited = given.get("penalty", self.penalty), self
        if penalty in PENALTIES and penalty != self.penalty:
            suited = dataclasses.replace(self, **_weight_and_interval(PENALTIES[penalty]))
        for name in ("penalty_weight", "penalty_every"):
            usual = getattr(suited, name)
            if penalty == "none" and given.get(name, usual) != usual:
                raise InputError(f"--{name} needs a --penalty, and there is none")
        return suited


def _functions(penalties: tuple[Penalty, ...]) -> tuple[Any, ...]:
    return tuple(penalty.function for penalty in penalties)


def _weight_and_interval(penalties: tuple[Penalty, ...]) -> dict[str, Any]:
    first = penalties[0] if penalties else Penalty(gan.r1, 1.0)
    return {"penalty_weight": first.weight, "penalty_every": first.every}


def _name(choices: dict[str, Any], value: Any) -> str:
    return next(name for name, choice in choices.items() if choice == value)


def _preset(name: str, config: Config, width: int, **schedule: Any) -> GanOptions:
    """The options that describe `config`: `to_config` leads back to it."""
    same = config.learning_rate_d == config.learning_rate_g
    functions = {name: _functions(penalties) for name, penalties in PENALTIES.items()}
    return GanOptions(
        preset=name,
        objective=_name(OBJECTIVES, config.objective),
        penalty=_name(functions, _functions(config.penalties)),
        **_weight_and_interval(config.penalties),
        lecam_weight=config.lecam_weight,
        augment=_name(AUGMENTATIONS, config.augmentation),
        packing=config.packing,
        steps_d=config.steps_d,
        latent_size=config.latent_size,
        width=width,
        learning_rate=config.learning_rate_g,
        learning_rate_d=None if same else config.learning_rate_d,
        ema_half_life=int(config.ema_half_life),
        **schedule,
    )


_PERCEPTRON = {"steps": 16_000, "eval_every": 2000, "checkpoint_every": 2000, "log_every": 200}
_CONVOLUTIONAL = {
    "steps": 4000,
    "batch_size": 64,
    "eval_every": 500,
    "checkpoint_every": 500,
    "log_every": 50,
    "steps_per_dispatch": 10,
}
# As many real images as the others see: five batches at each step.
_FIVE_TO_ONE = _CONVOLUTIONAL | {"steps": 800, "eval_every": 100, "checkpoint_every": 100}
CONFIGS = {
    "r3gan": gan.R3GAN,
    "sngan": gan.SNGAN,
    "wgan_gp": gan.WGAN_GP,
    "dcgan": gan.DCGAN,
    "mlp": gan.MLP,
    "textbook": gan.TEXTBOOK,
}
PRESETS = {
    "r3gan": _preset("r3gan", gan.R3GAN, 32, **_CONVOLUTIONAL),
    "sngan": _preset("sngan", gan.SNGAN, 32, **_CONVOLUTIONAL),
    "wgan_gp": _preset("wgan_gp", gan.WGAN_GP, 32, **_FIVE_TO_ONE),
    "dcgan": _preset("dcgan", gan.DCGAN, 32, **_CONVOLUTIONAL),
    "mlp": _preset("mlp", gan.MLP, 128, **_PERCEPTRON),
    "textbook": _preset("textbook", gan.TEXTBOOK, 128, **_PERCEPTRON),
}


def to_config(options: GanOptions, metadata: dict[str, Any]) -> Config:
    """The `gan.Config` that the options describe, for data of which `metadata` are known.

    Raises:
      InputError: options exclude each other, or do not fit the data.
    """
    if options.conditional and not metadata.get("classes"):
        raise InputError(
            "--conditional needs labelled images of two classes at least, and these have none"
        )
    if options.batch_size % options.packing:
        raise InputError(
            f"--packing={options.packing} does not divide --batch_size={options.batch_size}"
        )
    preset = CONFIGS[options.preset]
    try:
        config = dataclasses.replace(
            preset,
            image_shape=tuple(metadata["image_shape"]),
            classes=metadata["classes"] if options.conditional else 0,
            architecture=partial(preset.architecture, width=options.width),
            latent_size=options.latent_size,
            objective=OBJECTIVES[options.objective],
            penalties=tuple(
                Penalty(function, options.penalty_weight, options.penalty_every)
                for function in _functions(PENALTIES[options.penalty])
            ),
            lecam_weight=options.lecam_weight,
            augmentation=AUGMENTATIONS[options.augment],
            packing=options.packing,
            steps_d=options.steps_d,
            learning_rate_g=options.learning_rate,
            learning_rate_d=options.learning_rate_d or options.learning_rate,
            decay_steps=options.steps if options.decay else None,
            ema_half_life=options.ema_half_life,
        )
        gan.make(config)  # which builds the networks, and nothing else
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
    return config
