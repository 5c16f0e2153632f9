"""A language model in Equinox: one layer of attention."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from aigc_jax import transformer


def init_all(key):
    k = jax.random.split(key, 4)
    embed, places = eqx.nn.Embedding(7, 16, key=k[0]), eqx.nn.Embedding(16, 16, key=k[1])
    attend, out = eqx.nn.MultiheadAttention(2, 16, key=k[2]), eqx.nn.Linear(16, 7, key=k[3])
    return embed, places, attend, out


def init(key):
    return eqx.filter(init_all(key), eqx.is_array)


def read(params, row):
    embed, places, attend, out = eqx.combine(params, static)
    x = embed.weight[row] + places.weight[: len(row)]
    causal = jnp.tril(jnp.ones((len(row), len(row)), bool))
    return jax.vmap(out)(x + attend(x, x, x, mask=causal))


static = eqx.filter(init_all(jax.random.key(0)), eqx.is_array, inverse=True)
apply, tx = jax.vmap(read, (None, 0)), optax.adam(1e-2)
networks = transformer.plain_networks(init, apply, vocabulary_size=7, context=16)
step = jax.jit(partial(transformer.step, networks=networks, tx=tx))
state = transformer.init(jax.random.key(0), networks, tx)
