"""A VAE of networks in Equinox."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from aigc_jax import vae


def both(key):
    key_e, key_d = jax.random.split(key)
    return eqx.nn.MLP(36, 4, 32, 1, key=key_e), eqx.nn.MLP(2, 36, 32, 1, key=key_d)


static = eqx.filter(both(jax.random.key(0)), eqx.is_array, inverse=True)


def encode(params, x):
    encoder, _ = eqx.combine(params, static)
    return jnp.split(jax.vmap(encoder)(x.reshape(-1, 36)), 2, axis=-1)


def decode(params, z):
    _, decoder = eqx.combine(params, static)
    shape = (*z.shape[:-1], 6, 6, 1)
    return jax.vmap(decoder)(z).reshape(shape)


networks = vae.one_layer(lambda key: eqx.filter(both(key), eqx.is_array), encode, decode, 2)
tx = optax.adam(1e-2)
step = jax.jit(partial(vae.step, networks=networks, tx=tx))
state = vae.init(jax.random.key(0), networks, tx)
