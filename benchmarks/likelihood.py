"""The likelihood of 1,000 images by importance sampling with K = 5,000, beside a loop over images.

    python -m benchmarks.likelihood

    log p(x) ≈ log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

The VAE is that of Burda et al., 784 → 200 → 200 → 50 latents and back by tanh, with random weights;
binarised digits, float32, on the CPU with all its cores. A "step" is all of it: 1,000 images.

  pytorch, image by image  one image after another, with all its samples in one pass
  ours (scan)              aigc_jax.vae.heldout_nll: all images at once, sample after sample

Both are checked to give the same mean likelihood, each with its own draws, before they are timed.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vae
from benchmarks.harness import machine, ours, side_by_side
from benchmarks.harness.turns import Check, Row, counted
from experiments.cli import launch

PEER = "peers.torch.likelihood"
IMAGES, SAMPLES = 1_000, 5_000
ROWS = ("pytorch, image by image", side_by_side.OURS)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """The mean that all rows must come close to, and a factory of each."""
    networks = vae.networks_of(vae.IWAE)
    params = vae.make(vae.IWAE).init(jax.random.key(0)).params
    # With full-size random weights x would tell so much about z that 5,000 draws do not suffice.
    params = {**params, "decoder": jax.tree.map(lambda p: 0.5 * p, params["decoder"])}
    images = jnp.asarray(ours.digits()[:IMAGES] > 0.5, jnp.float32)

    def mean_nll(seed: int) -> np.ndarray:
        key = jax.random.key(seed)
        return np.array(vae.heldout_nll(params, images, key, networks=networks, k=SAMPLES))

    nothing, calls = np.zeros((1, IMAGES)), iter(range(1, 1_000_000))
    check = Check(nothing, nothing, mean_nll(0)[None, None])
    weights = {name: ours.layers(params[name]) for name in ("encoder", "decoder")}
    made = (
        lambda: machine.import_peer("peers.torch.likelihood").row(
            weights, np.array(images), SAMPLES
        ),
        lambda: counted(lambda: mean_nll(next(calls))),
    )
    return check, dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    side_by_side.main(__doc__, "Likelihood of 1,000 images, K = 5,000", prepare, ROWS)
