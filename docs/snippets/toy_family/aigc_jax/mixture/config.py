"""A configuration, and the algorithm it makes."""

from dataclasses import dataclass
from functools import partial

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.mixture.step import init, sample, step


@dataclass(frozen=True)
class Config:
    """A mixture on binary images.

    Attributes:
      image_shape: (H, W, C) of the images.
      components: K.
      learning_rate: Adam's.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    components: int = 20
    learning_rate: float = 0.2


def make(config: Config) -> Algorithm:
    """Closes `init`, `step` and `sample` over optimiser and constants of `config`."""
    tx = optim.adam(config.learning_rate)
    return Algorithm(
        init=partial(init, image_shape=config.image_shape, components=config.components, tx=tx),
        step=partial(step, image_shape=config.image_shape, tx=tx),
        sample=sample,
    )
