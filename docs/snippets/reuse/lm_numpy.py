"""A language model in plain jax.numpy: one layer of attention."""

from functools import partial

import jax
import optax

from aigc_jax import transformer


def init(key):
    shapes = {"tokens": (7, 16), "places": (16, 16), "qkv": (16, 48), "out": (16, 7)}
    keys = zip(shapes.items(), jax.random.split(key, len(shapes)), strict=True)
    return {name: 0.3 * jax.random.normal(k, shape) for (name, shape), k in keys}


def apply(params, tokens):
    rows, length = tokens.shape
    x = params["tokens"][tokens] + params["places"][None, :length]
    q, k, v = (x @ params["qkv"]).reshape(rows, length, 3, 2, 8).transpose(2, 0, 1, 3, 4)
    attended = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    return (x + attended.reshape(x.shape)) @ params["out"]


networks, tx = transformer.plain_networks(init, apply, 7, context=16), optax.adam(1e-2)
step = jax.jit(partial(transformer.step, networks=networks, tx=tx))
state = transformer.init(jax.random.key(0), networks, tx)
