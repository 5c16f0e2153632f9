"""Options that every experiment with a Transformer has, and what they say of its `Config`."""

import dataclasses
from typing import Any, NamedTuple

from aigc_jax import optim, transformer
from aigc_jax.errors import InputError
from experiments.cli.options import Options, checked

ROWS = 64  # whose loss is computed at once, at most, and no more than in training


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class TransformerOptions(Options):
    """The settings of a `transformer.Config` and of a run."""

    config: transformer.Config = transformer.DEFAULT.config

    @property
    def context(self) -> int:
        """Tokens that the model sees at once."""
        return self.config.context


class Thrift(NamedTuple):
    """How much of an evaluation is in memory at once."""

    rows: int
    positions: int | None  # whose logits do; None: all, see `transformer.mean_nll`


def thrift(options: TransformerOptions) -> Thrift:
    """No more than in a training step."""
    config = options.config
    return Thrift(min(ROWS, options.batch_size // config.microbatches), config.objective.chunk)


def extendable(options: TransformerOptions) -> bool:
    """Whether --steps may grow later: a schedule ends where it says."""
    return options.config.schedule is optim.constant


def configured(options: TransformerOptions, **data: Any) -> transformer.Config:
    """The config of a run of `steps` steps, with what the data decide.

    Raises:
      InputError: options do not fit each other.
    """
    microbatches = options.config.microbatches
    if options.batch_size % microbatches:
        raise InputError(
            f"--microbatches={microbatches} does not divide --batch_size={options.batch_size}"
        )
    return checked(lambda: dataclasses.replace(options.config, decay_steps=options.steps, **data))
