"""A GAN of networks in Equinox."""

from functools import partial

import equinox as eqx
import jax
import optax

from aigc_jax import gan


def both(key):
    key_g, key_d = jax.random.split(key)
    return eqx.nn.MLP(8, 36, 32, 1, key=key_g), eqx.nn.MLP(36, "scalar", 32, 1, key=key_d)


def init(key):
    return eqx.filter(both(key), eqx.is_array)


static_g, static_d = eqx.filter(both(jax.random.key(0)), eqx.is_array, inverse=True)


def generate(params, z):
    return jax.nn.sigmoid(jax.vmap(eqx.combine(params, static_g))(z)).reshape(-1, 6, 6, 1)


def discriminate(params, images):
    return jax.vmap(eqx.combine(params, static_d))(images.reshape(-1, 36))


networks, tx = gan.plain_networks(init, generate, discriminate, latent_size=8), optax.adam(1e-2)
step = jax.jit(partial(gan.step, networks=networks, tx_g=tx, tx_d=tx))
state = gan.init(jax.random.key(0), networks, tx, tx)
