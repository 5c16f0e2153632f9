"""A language model in Flax NNX: one layer of attention."""

from functools import partial

import jax
import optax
from flax import nnx

from aigc_jax import transformer


class Model(nnx.Module):
    def __init__(self, rngs):
        self.embed, self.places = nnx.Embed(7, 16, rngs=rngs), nnx.Embed(16, 16, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(2, 16, decode=False, rngs=rngs)
        self.out = nnx.Linear(16, 7, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens) + self.places.embedding[None, : tokens.shape[1]]
        return self.out(x + self.attend(x, mask=nnx.make_causal_mask(tokens)))


def init(key):
    return nnx.state(Model(nnx.Rngs(key)))


def apply(params, tokens):
    return nnx.merge(graph, params)(tokens)


graph, tx = nnx.graphdef(Model(nnx.Rngs(0))), optax.adam(1e-2)
networks = transformer.plain_networks(init, apply, vocabulary_size=7, context=16)
step = jax.jit(partial(transformer.step, networks=networks, tx=tx))
state = transformer.init(jax.random.key(0), networks, tx)
