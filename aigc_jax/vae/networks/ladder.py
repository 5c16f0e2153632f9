"""A hierarchical VAE: several layers of latents on grids, inferred from the top down.

    q(z|x) = Π_l q(z_l | z_{>l}, x)        p(z) = Π_l p(z_l | z_{>l})

One deterministic path h runs down through all layers. The prior of each layer is read off h, its
posterior off h and the features of x at that resolution, and its sample is added to h.

Dimensions: B batch, H W C image, h w a grid, D features, c latents of a cell.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.convolution import conv, conv_down, conv_up, grid_after, halvings_to_small_grid
from aigc_jax.density import gaussian_log_density
from aigc_jax.layers import Convolution
from aigc_jax.nn.classes import append_class, append_features
from aigc_jax.nn.outputs import Shared
from aigc_jax.nn.trunk import ResidualBlock
from aigc_jax.vae.losses import gaussian_kl
from aigc_jax.vae.model import Draw, Gaussian, Networks, reparameterise
from aigc_jax.vae.networks.common import Path, Shape

_BOUNDS = (-6.0, 2.0)  # of log σ²


class Latents(NamedTuple):
    """A draw of all layers."""

    layers: tuple[jax.Array, ...]  # from the top, [B, h, w, c] each
    path: jax.Array  # h below the last of them, [B, H / 2, W / 2, D]: what is decoded


def _layers_on(layers: int, resolutions: int, index: int) -> int:
    """How many of the layers are at a resolution, the lowest first, which take any that remain."""
    return layers // resolutions + (index < layers % resolutions)


class BottomUp(nn.Module):
    """x → features on each resolution, the lowest first."""

    width: int
    halvings: int

    @nn.compact
    def __call__(self, x: jax.Array, *given: jax.Array) -> tuple[jax.Array, ...]:
        h = 2.0 * x - 1.0
        for one_hot in given:
            h = append_features(h, one_hot)
        found = []
        for i in range(self.halvings):
            h = Convolution(conv_down, self.width * 2**i, 4)(nn.elu(h) if i else h)
            h = ResidualBlock()(h)
            found.append(h)
        return tuple(reversed(found))


class TopDown(nn.Module):
    """The path from the top, with the samples of q where features are given, and of p where not.

    Attributes:
      grid: (h, w) of the top.
      width: D of the highest resolution; it doubles with each below.
      resolutions: how many.
      layers: of latents.
      channels: c.
    """

    grid: tuple[int, int]
    width: int
    resolutions: int
    layers: int
    channels: int

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...] | None, keys: Keys) -> Draw:
        size, widest = len(keys), self.width * 2 ** (self.resolutions - 1)
        start = self.param("top", nn.initializers.zeros_init(), (*self.grid, widest), jnp.float32)
        h = jnp.broadcast_to(start, (size, *start.shape))
        samples: list[jax.Array] = []
        divergences: list[jax.Array] = []
        log_q: list[jax.Array] = []
        log_p: list[jax.Array] = []
        for i in range(self.resolutions):
            if i:
                h = Convolution(conv_up, h.shape[-1] // 2, 4)(nn.elu(h))
            for _ in range(_layers_on(self.layers, self.resolutions, i)):
                number = len(samples)
                p = self._gaussian(h, f"prior_{number}")
                q = p
                if features is not None:
                    both = jnp.concatenate([h, features[i]], axis=-1)
                    q = self._gaussian(both, f"posterior_{number}")
                own = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
                z = reparameterise(own, *q)
                log_q.append(_log_density(z, q))
                log_p.append(_log_density(z, p))
                divergences.append(gaussian_kl(q, p).reshape(size, -1))
                samples.append(z)
                h = ResidualBlock()(h + Convolution(conv, h.shape[-1], 1)(z))
        return Draw(
            Latents(tuple(samples), h),
            sum(log_q[1:], log_q[0]),
            sum(log_p[1:], log_p[0]),
            tuple(divergences),
            tuple(q - p for q, p in zip(log_q, log_p, strict=True)),
        )

    def _gaussian(self, h: jax.Array, name: str) -> Gaussian:
        outputs = Convolution(conv, h.shape[-1], 1, name=f"{name}_hidden")(nn.elu(h))
        # All layers begin with q = p = N(0, I), so that thousands of latents cost nothing yet.
        final = Convolution(
            conv,
            2 * self.channels,
            3,
            kernel_init=nn.initializers.zeros_init(),
            name=name,
        )(nn.elu(outputs))
        mean, log_variance = jnp.split(final, 2, axis=-1)
        return Gaussian(mean, jnp.clip(log_variance, *_BOUNDS))


def _log_density(z: jax.Array, p: Gaussian) -> jax.Array:
    rows = (a.reshape(len(z), -1) for a in (z, *p))
    return gaussian_log_density(*rows)


class Head(nn.Module):
    """h of the highest resolution → F outputs for each pixel of twice its size."""

    outputs: int
    shared: int

    @nn.compact
    def __call__(self, path: jax.Array) -> jax.Array:
        h = nn.elu(ResidualBlock()(path))
        return Shared(self.shared)(Convolution(conv_up, self.outputs, 4)(h))


def ladder(
    image_shape: Shape = (28, 28, 1),
    latent_size: int = 8,
    classes: int = 0,
    outputs: int = 1,
    shared: int = 0,
    width: int = 32,
    layers: int = 4,
) -> Networks:
    """A convolutional ladder.

    The layers of latents are spread evenly over the resolutions, from half the image's down to a
    grid of 4 to 7 pixels, the lowest ones taking any that remain. The posterior takes labels as
    further channels of x, and the decoder as further channels of h.

    Args:
      image_shape: (H, W, C), of sides that halve to 4 to 7 pixels.
      latent_size: c, latents of a cell in each layer.
      classes: how many; 0 for networks without labels.
      outputs: F.
      shared: further outputs, the same for all pixels and images.
      width: features on half the image's resolution; they double with each halving.
      layers: of latents.

    Raises:
      InputError: images of this size cannot be halved so.

    Source: top-down inference and a shared path: Sønderby et al. 2016,
    https://arxiv.org/abs/1602.02282; Kingma et al. 2016, https://arxiv.org/abs/1606.04934.
    """
    count = halvings_to_small_grid(image_shape)
    rows, columns = grid_after(image_shape, count)
    height, breadth, _ = image_shape
    up = BottomUp(width, count)
    down = TopDown((rows, columns), width, count, layers, latent_size)
    head = Head(outputs, shared)
    cells = sum(
        _layers_on(layers, count, i) * (rows * 2**i) * (columns * 2**i) for i in range(count)
    )

    def one_hot(labels: jax.Array | None) -> tuple[jax.Array, ...]:
        return (jax.nn.one_hot(labels, classes, dtype=jnp.float32),) if classes else ()

    def init(key: Key) -> Params:
        key_u, key_d, key_h = jax.random.split(key, 3)
        given = (jnp.zeros((1, classes), jnp.float32),) if classes else ()
        image = jnp.zeros((1, *image_shape), jnp.float32)
        up_params = up.init(key_u, image, *given)
        features = up.apply(up_params, image, *given)
        path = jnp.zeros((1, height // 2, breadth // 2, width + classes), jnp.float32)
        return {
            "up": up_params,
            "down": down.init(key_d, features, key[None]),
            "head": head.init(key_h, path),
        }

    def encode(params: Params, x: jax.Array, labels: jax.Array | None = None) -> Any:
        return up.apply(params["up"], x, *one_hot(labels))

    def draw(params: Params, context: Any, keys: Keys, path: Path | None = None) -> Draw:
        if path is not None:
            raise ValueError("DReG's gradient needs a single layer of latents; use ELBO or IWAE")
        drawn: Any = down.apply(params["down"], context, keys)
        return drawn

    def decode(params: Params, z: Latents, labels: jax.Array | None = None) -> Any:
        return head.apply(params["head"], append_class(z.path, labels, classes))

    def prior(params: Params, keys: Keys) -> Any:
        drawn: Any = down.apply(params["down"], None, keys)
        return drawn.z

    return Networks(init, encode, draw, decode, prior, cells * latent_size, classes, image_shape)
