"""Priors of tiny grids, all of whose codes can be enumerated."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aigc_jax import transformer
from aigc_jax.codec import prior, prior_config
from aigc_jax.codec.layouts import delay
from aigc_jax.transformer.masking import diffusion, maskgit

SGD = optax.sgd(0.1)
NETWORK = transformer.Config(layers=1, heads=2, width=8)


def config_of(grid, stages, codes, sizes=(), **changes):
    return prior_config.Config(grid, stages, codes, sizes, network=NETWORK, **changes)


def made_of(*sizes, **changes):
    return prior_config.make(config_of(*sizes, **changes), tx=SGD)


TINY = (2,), 2, 3, (2, 3)
APART = {"layout": delay}
PRIORS = {
    "raster": made_of(*TINY),
    "delay": made_of(*TINY, **APART),
    # Continued from prompts: codes of one side, of three, and in time.
    "sound": made_of((4,), 2, 5),
    "video": made_of((3, 2, 2), 2, 3, (4,)),
    "music": made_of((5,), 3, 4, (4,), **APART),
}
# The networks of the first two, of tokens.
NETWORKS = {
    "raster": prior_config.networks_of(config_of(*TINY)),
    "delay": prior_config.networks_of(config_of(*TINY, **APART)),
}
LEFT = pytest.mark.parametrize("name", NETWORKS)
# Of the same networks as "raster" and "video".
MASKED, VIDEO = made_of(*TINY, order=diffusion), made_of((3, 2, 2), 2, 3, (4,), order=maskgit)
GRIDS = np.array(list(itertools.product(range(3), repeat=4))).reshape(81, 2, 2)
LABELS, SOME = np.array([1, 2]), np.array([5, 22, 61, 80])


def begun(made):
    """Parameters so large that what a code is depends on the others."""
    state = jax.device_get(jax.jit(made.init)(jax.random.key(0)))
    params = jax.tree.map(lambda x: 6 * x, state.params)
    return state._replace(trained=state.trained._replace(params=params))


@cache
def state_of(name):
    return begun(PRIORS[name])


def undropped(made):
    """Its step, with all labels kept."""
    return partial(prior.step, **{**made.step.keywords, "label_dropout": 0.0})


@cache
def stepped(name):
    """That compiled."""
    return jax.jit(undropped(PRIORS[name]))


def log_softmax(x):
    x = np.float64(x)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@cache
def raw_logits(name):
    """Of the network for all 81 grids: told LABELS, and told nothing, `[81, R, L, V]` each."""
    made, networks, state = PRIORS[name], NETWORKS[name], state_of(name)
    # After six codes, the delay pattern's padding, and a mask: two values and ∅, three and ∅.
    offset = 8 if name == "delay" else 7

    @jax.jit
    def read(params, tokens):
        return networks.logits(params, networks.hidden(params, transformer.next_tokens(tokens)))

    def logits(*told):
        tokens = prior.tokens_of(made.of, GRIDS, jnp.tile(jnp.array([told], jnp.int32), (81, 1)))
        found = np.float64(read(state.params, tokens))
        return found.reshape(81, made.of.layout.sequences, -1, offset + 7)[:, :, 1:]

    return logits(offset + 1, offset + 5), logits(offset + 2, offset + 6)


def enumerated(name, weight=1.0):
    """log p of all 81 grids, each code's among those of its stage alone."""
    told, untold = raw_logits(name)
    return log_p_of(name, untold + weight * (told - untold))


def log_p_of(name, mixed):
    """log p of all 81 grids by their logits, each code's among those of its stage alone."""
    total = np.zeros(81)
    for t, i in itertools.product(range(2), range(2)):
        row, place = (i, t + i) if name == "delay" else (0, 2 * t + i)
        own = log_softmax(mixed[:, row, place, 3 * i : 3 * i + 3])
        total += own[np.arange(81), GRIDS[:, t, i]]
    return total
