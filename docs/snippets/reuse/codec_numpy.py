"""A codec of networks in plain jax.numpy, and a prior over its codes."""

from functools import partial

import jax
import optax

from aigc_jax import codec, gan, transformer, vq
from aigc_jax.codec import losses, prior_config


def init(key):
    shapes = {"encode": (4, 8), "decode": (8, 4)}
    keys = zip(shapes.items(), jax.random.split(key, len(shapes)), strict=True)
    return {name: 0.3 * jax.random.normal(k, shape) for (name, shape), k in keys}


def encode(params, x):  # 6 × 6 pixels in [0, 1] → 3 × 3 patches of four → 3 × 3 features
    patches = (x - 0.5).reshape(-1, 3, 2, 3, 2).swapaxes(2, 3)
    return patches.reshape(-1, 3, 3, 4) @ params["encode"]


def decode(params, vectors, sides):
    patches = jax.nn.sigmoid(vectors @ params["decode"]).reshape(-1, 3, 3, 2, 2)
    return patches.swapaxes(2, 3).reshape(-1, *sides, 1)


networks = codec.Networks(init, encode, decode, grid=lambda sides: (3, 3), channels=1, axes=2)
quantiser = codec.residual_quantiser(vq.Codebook(codes=4, features=8)(), stages=2)
parts = {"networks": networks, "quantiser": quantiser, "critics": None, "perception": None}
parts |= {"tx": optax.adam(1e-2), "tx_d": optax.identity()}
aims = {"reconstruction": losses.squared, "weights": codec.Weights(), "objective": gan.HINGE}
step, state = jax.jit(partial(codec.step, **parts, **aims)), codec.init(jax.random.key(0), **parts)
read = jax.jit(partial(codec.encode, networks=networks, quantiser=quantiser))

network = transformer.Config(layers=1, width=32, heads=2, dropout=0.0)
config = prior_config.Config(grid=(3, 3), stages=2, codes=4, network=network)
prior = prior_config.make(config, tx=optax.adam(1e-2))
