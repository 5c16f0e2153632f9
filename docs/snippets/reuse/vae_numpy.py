"""A VAE of networks in plain jax.numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from aigc_jax import vae


def init(key):
    shapes = {"in": (36, 32), "out": (32, 4), "up": (2, 32), "pixels": (32, 36)}
    keys = zip(shapes.items(), jax.random.split(key, len(shapes)), strict=True)
    return {name: 0.1 * jax.random.normal(k, shape) for (name, shape), k in keys}


def encode(params, x):
    h = jax.nn.relu(x.reshape(-1, 36) @ params["in"])
    return jnp.split(h @ params["out"], 2, axis=-1)  # the mean and the log variance of z


def decode(params, z):
    return (jax.nn.relu(z @ params["up"]) @ params["pixels"]).reshape(-1, 6, 6, 1)  # logits


networks, tx = vae.one_layer(init, encode, decode, latent_size=2), optax.adam(1e-2)
step = jax.jit(partial(vae.step, networks=networks, tx=tx))
state = vae.init(jax.random.key(0), networks, tx)
