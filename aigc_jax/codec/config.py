"""The configuration of a codec, its presets, and the functions that it makes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from aigc_jax import classifier, optim, vq
from aigc_jax.algorithm import Key
from aigc_jax.codec import losses
from aigc_jax.codec.coding import decode, encode
from aigc_jax.codec.model import Critics, Info, Networks, Perception, State
from aigc_jax.codec.networks import critics as critic_networks
from aigc_jax.codec.networks import image, sound, video
from aigc_jax.codec.perception import of_classifier, of_sounds
from aigc_jax.codec.residual import ResidualQuantiser, residual_quantiser
from aigc_jax.codec.step import Weights, init, step
from aigc_jax.gan.losses import HINGE, OBJECTIVES, Objective
from aigc_jax.settings import Partial, Preset, Run, Settings, configuration, constant, setting

RECONSTRUCTIONS = {"absolute": losses.absolute, "squared": losses.squared}


_CODEBOOK = vq.Codebook(codes=512, features=16)


@dataclass(frozen=True, kw_only=True, repr=False)
class Images(Partial):
    """See `image.convolutional`."""

    function = staticmethod(image.convolutional)
    width: int = setting(32, "Channels next to the pixels, or of the blocks.")
    halvings: int = setting(2, "How often height and width are halved to the grid of codes.")
    blocks: int = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class Sounds(Partial):
    """See `sound.frames`."""

    function = staticmethod(sound.frames)
    width: int = setting(128, "Channels next to the pixels, or of the blocks.")
    blocks: int = 4
    decoder_blocks: int = 6
    hop: int = setting(128, "Samples for one position of the grid of codes.")
    window: int | None = setting(
        None,
        "Samples of a frame that the decoder tells: longer ones tell close pitches apart, shorter "
        "ones close times. Default: twice --hop.",
    )
    iterations: int = setting(
        16, "Iterations by which Griffin-Lim finds phases.", name="griffin_lim", least=0
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class Videos(Partial):
    """See `video.causal`."""

    function = staticmethod(video.causal)
    width: int = setting(16, "Channels next to the pixels, or of the blocks.")
    halvings: int = setting(4, "How often height and width are halved to the grid of codes.")
    blocks: int = 1
    stride: int = setting(1, "Frames for one position of the grid of codes.")


@dataclass(frozen=True, kw_only=True, repr=False)
class OfImages(Partial):
    """See `critics.of_images`."""

    function = staticmethod(critic_networks.of_images)
    width: int = 32
    halvings: int = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class OfVideos(Partial):
    """See `critics.of_videos`."""

    function = staticmethod(critic_networks.of_videos)
    width: int = 32
    halvings: int = 3
    span: int = 3


@dataclass(frozen=True, kw_only=True, repr=False)
class OfSounds(Partial):
    """See `critics.of_sounds`."""

    function = staticmethod(critic_networks.of_sounds)
    periods: tuple[int, ...] = (2, 5, 11)
    windows: tuple[int, ...] = (256,)
    width: int = 8


@dataclass(frozen=True, repr=False)
class Config(Settings):
    """A codec of images, sounds or videos, and its training.

    Attributes:
      sides: S of the signals that it is trained on; others are coded as well.
      channels: C.
      rate: samples or frames per second, where the medium has a time.
      architecture: encoder and decoder.
      quantiser: of one stage.
      stages: N.
      critics: what judges the decoder, where their weights are above 0; None for nothing.
      classes: of the frozen classifier whose features are compared; 0 for none. Sounds are
        compared in log-mels instead.
      reconstruction: the distance of a signal from its decoding.
      objective: of critics and decoder.
      decay_steps: the step at which the learning rates have come down to a hundredth, along half a
        cosine; None keeps them.
    """

    sides: tuple[int, ...] = (28, 28)
    channels: int = 1
    rate: int | None = None
    architecture: Images | Sounds | Videos = Images()
    quantiser: vq.Codebook | vq.FiniteScalar = _CODEBOOK
    stages: int = setting(1, "Stages of residual quantisation.")
    stage_dropout: float = setting(
        0.0, "Share of examples that use fewer stages than there are.", least=0
    )
    critics: OfImages | OfSounds | OfVideos | None = None
    classes: int = 0
    reconstruction: Callable[..., jax.Array] = constant(RECONSTRUCTIONS, losses.squared)
    reconstruction_weight: float = setting(1.0, "Weight of the distance in samples.", least=0)
    perceptual_weight: float = setting(
        1.0, "Weight of the distance in features, or in log-mels.", least=0
    )
    adversarial_weight: float = setting(0.0, "Weight of the critics' judgement.", least=0)
    matching_weight: float = setting(0.0, "Weight of the distance in critics' features.", least=0)
    adversary_from: int = setting(0, "The step from which the critics act.", least=0)
    objective: Objective = constant(OBJECTIVES, HINGE)
    commitment: float = setting(0.25, "Weight of the loss that keeps features near their codes.")
    learning_rate: float = setting(
        1e-3, "Step size of the optimiser; the peak, where it has a schedule."
    )
    critic_rate: float = setting(3e-4, "Step size of the critics' optimiser.")
    clip_norm: float = setting(
        0.0, "Global norm that gradients are clipped to; 0 for no bound.", name="clip", least=0
    )
    decay_steps: int | None = None
    # Short, as the codebook follows the newest encoder and not the averaged one.
    ema_decay: float = setting(
        0.99,
        "Decay per step of the averaged parameters, for evaluation; 0: none.",
        least=0,
        below=1,
    )

    @property
    def medium(self) -> str:
        """image, audio or video."""
        kinds = {Images: "image", Sounds: "audio", Videos: "video"}
        return kinds[type(self.architecture)]


class Codec(NamedTuple):
    """The pure functions of a codec; `init` and `step` are those of an `Algorithm`.

    Attributes:
      init: `(key) -> state`.
      step: `(state, signals, axis_name=None) -> (state, info)`.
      encode: `(coder, signals [B, *S, C]) -> codes [B, *G, N]`; see `coding.coder_of`.
      decode: `(coder, codes [B, *G, n], sides S) -> signals [B, *S, C]`.
      networks: of encoder and decoder.
      quantiser: between them.
    """

    init: Callable[[Key], State]
    step: Callable[..., tuple[State, Info]]
    encode: Callable[..., jax.Array]
    decode: Callable[..., jax.Array]
    networks: Networks
    quantiser: ResidualQuantiser


_PROCESSOR = "of processor time on 2 cores of an AMD EPYC"
_RUN = Run(
    steps=3000,
    batch_size=64,
    eval_every=1000,
    checkpoint_every=1000,
    log_every=50,
    steps_per_dispatch=10,
    decay=True,
)

IMAGE = Preset(
    "image",
    "512 codes for squares of 4 × 4 pixels, compared in a classifier's features too.",
    Config(critics=OfImages()),
    _RUN,
    command="python -m experiments.codec --medium=image",
    time=f"204 s {_PROCESSOR}",
    reaches="FCD 0.50 and 99.1 % of classes in reconstructions (mnist, seed 0)",
)

AUDIO = Preset(
    "audio",
    "Four stages of 256 codes for 128 samples, compared in log-mels; phases by Griffin-Lim.",
    Config(
        sides=(8192,),
        rate=8000,
        architecture=Sounds(),
        quantiser=vq.Codebook(codes=256, features=64),
        stages=4,
        stage_dropout=0.5,
        reconstruction=losses.absolute,
        critics=OfSounds(),
        reconstruction_weight=0.0,
        commitment=0.002,
        learning_rate=6e-4,
        clip_norm=0.1,
    ),
    replace(_RUN, batch_size=16),
    command="python -m experiments.codec --medium=audio",
    time=f"301 s {_PROCESSOR}",
    reaches="97.7 % of digits and 99.0 % of speakers in reconstructions (fsdd, seed 0)",
)

VIDEO = Preset(
    "video",
    "Four stages of 512 codes for squares of 16 × 16 pixels of each frame, causal in time.",
    Config(
        sides=(20, 64, 64),
        rate=10,
        architecture=Videos(),
        quantiser=vq.Codebook(codes=512, features=32),
        stages=4,
        critics=OfVideos(),
        perceptual_weight=0.0,
    ),
    replace(_RUN, steps=2500, batch_size=4, eval_every=2500, checkpoint_every=500),
    command="python -m experiments.codec --medium=video",
    time=f"773 s {_PROCESSOR}",
    reaches="squared error 14.6 a frame, SSIM 0.959 (moving_mnist, seed 0)",
)

PRESETS = (IMAGE, AUDIO, VIDEO)
"""The first is the default."""


def quantiser_of(config: Config) -> ResidualQuantiser:
    """The quantiser that a config describes."""
    return residual_quantiser(config.quantiser(), config.stages)


def networks_of(config: Config) -> Networks:
    """Encoder and decoder that a config describes."""
    of = {} if isinstance(config.architecture, Sounds) else {"channels": config.channels}
    return config.architecture(features=quantiser_of(config).features, **of)


def critics_of(config: Config) -> Critics | None:
    """The critics that a config describes; None too where their judgement weighs nothing."""
    if config.critics is None or not (config.adversarial_weight or config.matching_weight):
        return None
    of = {} if isinstance(config.critics, OfSounds) else {"channels": config.channels}
    return config.critics(**of)


def perceiving(config: Config) -> classifier.Config | None:
    """The frozen classifier's config; None where there is none."""
    if config.medium != "image" or not config.classes or not config.perceptual_weight:
        return None
    height, width = config.sides
    shape = height, width, config.channels
    return replace(classifier.PERCEPTUAL.config, image_shape=shape, classes=config.classes)


def perception_of(config: Config) -> Perception | None:
    """In what signals are compared, by a config."""
    own = config.architecture
    if isinstance(own, Sounds):
        assert config.rate is not None
        return of_sounds(config.rate, sound.window_of(own.hop, own.window))
    frozen = perceiving(config)
    return None if frozen is None else of_classifier(classifier.networks_of(frozen))


def make(
    config: Config | Preset[Config],
    *,
    tx: optax.GradientTransformation | None = None,
    tx_d: optax.GradientTransformation | None = None,
) -> Codec:
    """Closes the functions of a codec over networks, optimisers and constants of `config`.

    Args:
      config: see `Config`; or a preset, for a run of its length.
      tx, tx_d: optimisers to use in place of Adam, of the codec and of the critics.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from aigc_jax import codec
      >>> made = codec.make(codec.Config())
      >>> state, images = made.init(jax.random.key(0)), jnp.zeros((8, 28, 28, 1))
      >>> state, info = jax.jit(made.step)(state, images)
      >>> codes = made.encode(codec.coder_of(state), images)
      >>> codes.shape, made.decode(codec.coder_of(state), codes, (28, 28)).shape
      ((8, 7, 7, 1), (8, 28, 28, 1))
    """
    config = configuration(config)
    critics, perception = critics_of(config), perception_of(config)
    weights = Weights(
        config.reconstruction_weight,
        config.perceptual_weight if perception else 0.0,
        config.adversarial_weight if critics else 0.0,
        config.matching_weight if critics else 0.0,
    )
    parts: dict[str, Any] = {"networks": networks_of(config), "quantiser": quantiser_of(config)}

    def optimiser(peak: float) -> optax.GradientTransformation:
        adam = optim.adam(optim.cosine(peak, config.decay_steps, 0.01, 100), b1=0.8, b2=0.99)
        return optim.clipped(adam, config.clip_norm) if config.clip_norm else adam

    trained: dict[str, Any] = {
        **parts,
        "critics": critics,
        "perception": perception,
        "tx": tx or optimiser(config.learning_rate),
        "tx_d": tx_d or optimiser(config.critic_rate),
    }
    return Codec(
        init=partial(init, **trained),
        step=partial(
            step,
            **trained,
            reconstruction=config.reconstruction,
            weights=weights,
            objective=config.objective,
            adversary_from=config.adversary_from,
            commitment=config.commitment,
            stage_dropout=config.stage_dropout if config.stages > 1 else 0.0,
            ema_decay=config.ema_decay,
        ),
        encode=partial(encode, **parts),
        decode=partial(decode, **parts),
        **parts,
    )
