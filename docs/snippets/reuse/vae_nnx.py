"""A VAE of networks in Flax NNX."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from aigc_jax import vae


class Autoencoder(nnx.Module):
    def __init__(self, rngs):
        self.down, self.q = nnx.Linear(36, 32, rngs=rngs), nnx.Linear(32, 4, rngs=rngs)
        self.up, self.pixels = nnx.Linear(2, 32, rngs=rngs), nnx.Linear(32, 36, rngs=rngs)

    def encode(self, x):
        return jnp.split(self.q(nnx.relu(self.down(x.reshape(-1, 36)))), 2, axis=-1)

    def decode(self, z):
        return self.pixels(nnx.relu(self.up(z))).reshape(-1, 6, 6, 1)


def init(key):
    return nnx.state(Autoencoder(nnx.Rngs(key)))


def encode(params, x):
    return nnx.merge(graph, params).encode(x)


def decode(params, z):
    return nnx.merge(graph, params).decode(z)


graph, tx = nnx.graphdef(Autoencoder(nnx.Rngs(0))), optax.adam(1e-2)
networks = vae.one_layer(init, encode, decode, latent_size=2)
step = jax.jit(partial(vae.step, networks=networks, tx=tx))
state = vae.init(jax.random.key(0), networks, tx)
