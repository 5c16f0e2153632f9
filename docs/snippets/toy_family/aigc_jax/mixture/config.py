"""The configuration of a mixture, its preset, and the algorithm it makes."""

from dataclasses import dataclass
from functools import partial

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.mixture.step import init, sample, step
from aigc_jax.settings import Preset, Run, Settings, configuration, setting


@dataclass(frozen=True, repr=False)
class Config(Settings):
    """A mixture on images; each `setting` becomes a flag."""

    image_shape: tuple[int, int, int] = (28, 28, 1)
    components: int = setting(20, "Components of the mixture.")
    learning_rate: float = setting(0.2, "Step size of Adam.")


DEFAULT = Preset(
    "default",
    "Twenty components.",
    Config(),
    Run(steps=1000, eval_every=500),
    command="python -m experiments.mixture",
    time="not measured",
    reaches="not measured",
)
PRESETS = (DEFAULT,)


def make(config: Config | Preset[Config]) -> Algorithm:
    """Closes `init`, `step` and `sample` over optimiser and constants of `config`."""
    config = configuration(config)
    tx = optim.adam(config.learning_rate)
    return Algorithm(
        init=partial(init, image_shape=config.image_shape, components=config.components, tx=tx),
        step=partial(step, image_shape=config.image_shape, tx=tx),
        sample=sample,
    )
