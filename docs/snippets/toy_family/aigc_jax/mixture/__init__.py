"""Mixtures of products of Bernoullis. Begin with `make(Config())`; `step` is the algorithm."""

from aigc_jax.mixture.config import DEFAULT, PRESETS, Config, make
from aigc_jax.mixture.model import Params, init_params, nll
from aigc_jax.mixture.step import Info, init, sample, step

__all__ = [
    "DEFAULT",
    "PRESETS",
    "Config",
    "Info",
    "Params",
    "init",
    "init_params",
    "make",
    "nll",
    "sample",
    "step",
]
