"""Options that every experiment with a Transformer has, and what they say of its `Config`."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp

from aigc_jax import optim, transformer
from aigc_jax.errors import InputError
from experiments.cli.options import Options, option

OPTIMISERS = {"adamw": transformer.adamw, "muon": transformer.muon}
SCHEDULES = {"cosine": optim.warmup_cosine, "stable": optim.warmup_stable_decay, "constant": None}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerOptions(Options):
    """What every experiment with a Transformer can be told of its size and training."""

    layers: int = option(4, "Transformer blocks; of the encoder too, where there is one.")
    heads: int = option(4, "Attention heads in a block.")
    width: int = option(128, "Width of the model, a multiple of the heads.")
    dropout: float = option(
        0.0, "Share of activations and attention weights dropped in training.", least=0
    )
    optimiser: str = option(
        "adamw", "adamw, or muon on the blocks' matrices.", choices=tuple(OPTIMISERS)
    )
    schedule: str = option(
        "cosine",
        "Of the learning rate after its warm-up: half a cosine to a tenth; stable, then a fall to "
        "0 over the last fifth; or constant.",
        choices=tuple(SCHEDULES),
    )
    warmup_steps: int = option(100, "Steps over which the learning rate rises from 0.", least=0)
    weight_decay: float = option(0.1, "Of linear layers' matrices.", least=0)
    clip: float = option(1.0, "Global norm that gradients are clipped to; 0 for no bound.", least=0)
    smoothing: float = option(0.0, "Share of each label that is spread over all symbols.", least=0)
    z_weight: float = option(
        0.0, "Of the penalty that keeps the softmax's normaliser near 1.", least=0
    )
    microbatches: int = option(
        1, "Parts, one after another, of a batch's gradient: less memory, the same step."
    )
    chunk: int | None = option(
        None, "Positions whose logits exist at once; without it all. For large vocabularies."
    )
    dtype: str = option("float32", "Of the computation, not of parameters.", choices=tuple(DTYPES))
    scan: bool = option(False, "One program for all blocks: compiles faster.")
    remat: bool = option(False, "Recompute blocks in the backward pass: less memory.")
    ema_decay: float = option(
        0.0, "Of the averaged parameters, which are evaluated, per step; 0 keeps none.", least=0
    )


_AS_THEY_ARE = (
    "layers",
    "heads",
    "width",
    "dropout",
    "learning_rate",
    "warmup_steps",
    "weight_decay",
    "scan",
    "remat",
    "microbatches",
    "ema_decay",
)


ROWS = 64  # whose loss is computed at once at most, where training has as many


class Thrift(NamedTuple):
    """How much of an evaluation exists at once."""

    rows: int
    positions: int | None  # whose logits do; None: all, see `transformer.mean_nll`


def thrift(options: TransformerOptions) -> Thrift:
    """No more than of a step of training."""
    return Thrift(min(ROWS, options.batch_size // options.microbatches), options.chunk)


def shared_changes(options: TransformerOptions) -> dict[str, Any]:
    """The fields of a `transformer.Config` that the options of every Transformer decide.

    Raises:
      InputError: a share is not one.
    """
    for name in ("smoothing", "ema_decay"):
        if not getattr(options, name) < 1:
            raise InputError(f"--{name} must be below 1, got {getattr(options, name)}")
    if options.batch_size % options.microbatches:
        raise InputError(
            f"--microbatches={options.microbatches} does not divide "
            f"--batch_size={options.batch_size}"
        )
    changes: dict[str, Any] = {name: getattr(options, name) for name in _AS_THEY_ARE}
    changes["optimiser"] = OPTIMISERS[options.optimiser]
    changes["decay_steps"] = options.steps
    changes["schedule"] = SCHEDULES[options.schedule]
    if options.schedule == "constant":
        changes |= {"schedule": optim.warmup_cosine, "decay_steps": None}
    changes["clip_norm"] = options.clip or None
    changes["dtype"] = DTYPES[options.dtype]
    changes["objective"] = transformer.Objective(options.smoothing, options.z_weight, options.chunk)
    return changes
