"""How a VAE is evaluated: its bound and likelihood of held-out images, and trivial models'."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vae
from aigc_jax.algorithm import State
from aigc_jax.data.images import Images
from aigc_jax.metrics.pixels import independent_pixels_nll, pixel_means
from aigc_jax.parallel import example_keys
from experiments.data.images import HELDOUT, unit_interval


class Evaluator:
    """Metrics of a model on held-out images, which are prepared once.

    Args:
      images: the data set.
      config: of the model.
      k: importance samples of the likelihood.
      grey: the model is trained on the cross-entropy of grey values, as if they were binary; its
        bound is then shown on grey values too, its likelihood on binary ones.
    """

    def __init__(self, images: Images, config: vae.Config, k: int, grey: bool = False):
        values = unit_interval(images.heldout)
        key, self.key = jax.random.split(jax.random.key(HELDOUT))
        self.networks, self.config, self.k = vae.networks_of(config), config, k
        self.model: dict[str, Any] = {"networks": self.networks, "likelihood": config.likelihood}
        self.labels = jnp.int32(images.heldout_labels) if config.classes else None
        keys = example_keys(key, len(values))
        self.binary = config.likelihood is vae.BERNOULLI
        self.x = jnp.asarray(values)  # what the likelihood is of
        if self.binary:
            self.x = vae.binarise(keys, self.x)
        elif config.pixels is not None:
            self.x = config.pixels(keys, self.x)
        self.bounded = jnp.asarray(values) if grey else self.x
        self._train = images.train

    def batch(self, x: jax.Array, count: int | None = None) -> vae.Batch:
        """The first `count` held-out images, with their labels if the model is conditional."""
        return vae.Batch(x, None if self.labels is None else self.labels[:count])

    def bound(self, state: State) -> dict[str, float]:
        """The negative ELBO and its terms."""
        return vae.heldout_elbo(state.eval_params, self.batch(self.bounded), self.key, **self.model)

    def likelihood(self, state: State) -> dict[str, float]:
        """−log p by importance sampling, also in bits where it is of values, and active latents."""
        batch = self.batch(self.x)
        nll = vae.heldout_nll(state.eval_params, batch, self.key, **self.model, k=self.k)
        usage = vae.latent_usage(state.eval_params, batch, self.key, networks=self.networks)
        active = vae.active_units(usage)
        metrics = {"nll_nats_per_image": nll, **self._bits(nll)}
        return metrics if active is None else {**metrics, "active_units": float(active)}

    def latents(self, state: State) -> dict[str, np.ndarray]:
        """The divergence of each latent, a mean over the images, in the order of the networks.

        None where the prior has no closed form, so that the latents' shares are not known.
        """
        batch = self.batch(self.x)
        usage = vae.latent_usage(state.eval_params, batch, self.key, networks=self.networks)
        known = len(usage.kl_nats) == self.networks.latent_size
        return {"kl_nats_by_latent": usage.kl_nats} if known else {}

    def _bits(self, nats: float) -> dict[str, float]:
        """Bits per value of a pixel; none for a density, unless of values spread over bins."""
        density = self.config.likelihood.levels == 0
        if density and self.config.pixels is not vae.dequantise:
            return {}
        bits = vae.bits_per_dim(nats, self.config.image_shape)
        return {"bits_per_dim": bits + 8 * density}  # bins of 1 / 256

    def baselines(self) -> dict[str, dict[str, float]]:
        """Independent pixels, each with its own frequency of white."""
        if not self.binary:
            return {}
        means = pixel_means(unit_interval(self._train))
        bound, nll = (independent_pixels_nll(means, np.asarray(x)) for x in (self.bounded, self.x))
        metrics: dict[str, Any] = {"negative_elbo_nats": bound, "nll_nats_per_image": nll}
        return {"independent pixels": {**metrics, **self._bits(nll)}}
