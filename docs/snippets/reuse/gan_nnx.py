"""A GAN of networks in Flax NNX."""

from functools import partial

import jax
import optax
from flax import nnx

from aigc_jax import gan


def generator(rngs):
    layers = nnx.Linear(8, 32, rngs=rngs), nnx.relu, nnx.Linear(32, 36, rngs=rngs), nnx.sigmoid
    return nnx.Sequential(*layers, lambda x: x.reshape(-1, 6, 6, 1))


def discriminator(rngs):
    layers = nnx.Linear(36, 32, rngs=rngs), nnx.relu, nnx.Linear(32, 1, rngs=rngs)
    return nnx.Sequential(lambda x: x.reshape(-1, 36), *layers, lambda x: x[:, 0])


def init(key):
    return tuple(nnx.state(make(nnx.Rngs(key))) for make in (generator, discriminator))


g, d = (nnx.graphdef(make(nnx.Rngs(0))) for make in (generator, discriminator))
functions = (lambda params, x, graph=graph: nnx.merge(graph, params)(x) for graph in (g, d))
networks, tx = gan.plain_networks(init, *functions, latent_size=8), optax.adam(1e-2)
step = jax.jit(partial(gan.step, networks=networks, tx_g=tx, tx_d=tx))
state = gan.init(jax.random.key(0), networks, tx, tx)
