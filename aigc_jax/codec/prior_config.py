"""The configuration of a prior over codes, its presets, and the functions that it makes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from aigc_jax import transformer
from aigc_jax.algorithm import Key
from aigc_jax.codec import prior, writing
from aigc_jax.codec.layouts import LAYOUTS, Layout, raster
from aigc_jax.codec.model import Coder
from aigc_jax.codec.networks.streams import streams
from aigc_jax.codec.prior import Sequences, sequences
from aigc_jax.errors import InputError
from aigc_jax.settings import Preset, Run, Settings, configuration, setting
from aigc_jax.transformer import Networks
from aigc_jax.transformer.masking import Schedule, diffusion, maskgit

_NETWORK = transformer.Config(dropout=0.1, ema_decay=0.998)
ORDERS = {"left": None, "maskgit": maskgit, "diffusion": diffusion}


@dataclass(frozen=True, repr=False)
class Config(Settings):
    """A prior over the codes of a codec.

    Attributes:
      grid: G of the codes.
      stages: N.
      codes: K.
      sizes: how many values each attribute has that the prior is told; empty for none.
      caption_symbols: how many tokens captions are written in, the last of which ends one; 0 for
        a prior that is told no captions.
      caption_length: S, the most tokens of a caption, its end included.
      network: the Transformer and its training; vocabulary and context follow from the codes, and
        captions have an encoder of as many layers.
      order: in which codes are written: None from the left, else what is masked in training.
      layout: how the codes of several stages become tokens.
      label_dropout: the share of examples that are trained on without their labels and captions.
    """

    grid: tuple[int, ...] = (7, 7)
    stages: int = 1
    codes: int = 512
    sizes: tuple[int, ...] = ()
    caption_symbols: int = 0
    caption_length: int = 0
    network: transformer.Config = _NETWORK
    order: Schedule | None = setting(
        None, "In which codes are written: from the left, or in any order.", choices=ORDERS
    )
    layout: Callable[..., Layout] = setting(
        raster, "How the codes of several stages are put in sequence.", choices=LAYOUTS
    )
    label_dropout: float = setting(
        0.1,
        "Share of examples trained on without their labels or captions, for guidance.",
        least=0,
        below=1,
    )


class Prior(NamedTuple):
    """The pure functions of a prior; `step` is that of an `Algorithm`.

    Attributes:
      init: `(key, coder=None) -> state`; the coder is what its codes are decoded by.
      step: `(state, codes, axis_name=None) -> (state, info)`; see `prior.Codes`.
      sample: `(state, key, n, labels=, captions=, prompt=, guidance=, …) -> codes [n, *G, N]`; see
        `writing.sample`.
      nll: `(state, codes, keys) -> [B]` nats, or of a masked prior a bound.
      of: how codes become tokens.
    """

    init: Callable[..., prior.State]
    step: Callable[..., Any]
    sample: Callable[..., jax.Array]
    nll: Callable[..., jax.Array]
    of: Sequences


_PROCESSOR = "of processor time on 2 cores of an AMD EPYC"
_RUN = Run(
    steps=6000,
    batch_size=64,
    eval_every=1500,
    checkpoint_every=1500,
    log_every=100,
    steps_per_dispatch=10,
    decay=True,
)

DEFAULT = Preset(
    "default",
    "A Transformer of four layers of width 128 that writes codes from the left.",
    Config(),
    _RUN,
    command="python -m experiments.prior --codec=RUN",
    time=f"1,095 s {_PROCESSOR}",
    reaches="FCD 3.38, asked class 99.3 % (mnist, seed 0)",
)

MASKGIT = Preset(
    "maskgit",
    "MaskGIT, Chang et al. 2022: the same network fills in codes, the surest first.",
    Config(order=maskgit),
    _RUN,
    command="python -m experiments.prior --preset=maskgit --codec=RUN",
    time=f"1,379 s {_PROCESSOR}",
    reaches="FCD 8.2, asked class 96.6 % (fashion_mnist, seed 0)",
)

DIFFUSION = Preset(
    "diffusion",
    "Masked diffusion, Sahoo et al. 2024: the same with a bound on the likelihood as its loss.",
    Config(order=diffusion),
    _RUN,
    command="python -m experiments.prior --preset=diffusion --codec=RUN",
    time="not measured",
    reaches="not measured",
)

PRESETS = (DEFAULT, MASKGIT, DIFFUSION)
"""The first is the default."""


def sequences_of(config: Config) -> Sequences:
    """How the codes of a config become tokens.

    Raises:
      InputError: the layout does not fit, or captions have no length.
    """
    if config.caption_symbols and config.caption_length < 1:
        raise InputError("a prior that is told captions needs a caption_length of at least 1")
    if config.order is not None and config.layout is not raster:
        raise InputError("a prior that writes in any order needs --layout=raster")
    layout = config.layout(config.grid, config.stages, config.codes)
    return sequences(layout, config.sizes, config.caption_symbols, config.caption_length)


def networks_of(config: Config) -> Networks:
    """The Transformer that a config describes."""
    of = sequences_of(config)
    sized = replace(config.network, vocabulary_size=of.vocabulary_size, context=max(of.length, 2))
    if len(config.grid) > 2:  # a video's
        apart = of.layout.sequences > 1
        sized = replace(sized, axes=config.grid if apart else of.layout.shape)
    if of.captions.symbols:
        sized = replace(sized, encoder_layers=sized.layers, source_context=of.captions.length)
    if of.layout.sequences > 1:
        return streams(sized, of.layout.sequences)
    return transformer.networks_of(sized)


def make(
    config: Config | Preset[Config],
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Prior:
    """Closes the functions of a prior over network, optimiser and constants of `config`.

    Args:
      config: see `Config`; or a preset.
      nets: a network to use in place of the one that `config` describes.
      tx: an optimiser to use in place of the one that `config` describes.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from aigc_jax.codec import prior, prior_config
      >>> made = prior_config.make(prior_config.Config(grid=(2, 2), codes=8, sizes=(10,)))
      >>> state = made.init(jax.random.key(0))
      >>> batch = prior.Codes(jnp.zeros((4, 2, 2, 1), int), jnp.zeros((4, 1), int))
      >>> state, info = jax.jit(made.step)(state, batch)
      >>> made.sample(state, jax.random.key(1), 3, guidance=2.0).shape
      (3, 2, 2, 1)
    """
    config = configuration(config)
    of, network = sequences_of(config), config.network
    parts: dict[str, Any] = {"networks": nets or networks_of(config), "of": of}
    tx = tx or transformer.optimizer(network)

    def init(key: Key, coder: Coder | None = None) -> prior.State:
        return prior.init(
            key,
            networks=parts["networks"],
            tx=tx,
            coder=coder or Coder((), ()),
            ema_decay=network.ema_decay,
        )

    return Prior(
        init=init,
        step=partial(
            prior.step,
            **parts,
            tx=tx,
            schedule=config.order,
            objective=network.objective,
            label_dropout=config.label_dropout if of.told else 0.0,
            microbatches=network.microbatches,
            ema_decay=network.ema_decay,
        ),
        sample=partial(writing.sample, **parts, schedule=config.order),
        nll=partial(prior.nll, **parts, schedule=config.order),
        of=of,
    )
