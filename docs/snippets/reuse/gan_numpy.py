"""A GAN of networks in plain jax.numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from aigc_jax import gan


def two_layers(key, inputs, outputs, hidden=32):
    first, second = jax.random.split(key)
    w1 = jax.random.normal(first, (inputs, hidden)) / inputs**0.5
    return w1, jnp.zeros((1, hidden)), jax.random.normal(second, (hidden, outputs)) / hidden**0.5


def init(key):
    key_g, key_d = jax.random.split(key)
    return two_layers(key_g, 8, 36), two_layers(key_d, 36, 1)


def apply(params, x):
    w1, b1, w2 = params
    return jax.nn.relu(x @ w1 + b1) @ w2


def generate(params, z):
    return jax.nn.sigmoid(apply(params, z)).reshape(-1, 6, 6, 1)


def discriminate(params, images):
    return apply(params, images.reshape(-1, 36))[:, 0]


networks, tx = gan.plain_networks(init, generate, discriminate, latent_size=8), optax.adam(1e-2)
step = jax.jit(partial(gan.step, networks=networks, tx_g=tx, tx_d=tx))
state = gan.init(jax.random.key(0), networks, tx, tx)
