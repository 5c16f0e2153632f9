"""What a VAE shows of itself: samples, reconstructions, and what its latents mean."""

from typing import Any

import jax
import numpy as np

from aigc_jax import vae
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.artefacts import Artefact, Picture, Text
from aigc_jax.parallel import example_keys
from experiments.data import images as shared
from experiments.families.vae.evaluator import Evaluator

_COLUMNS = 10
_TRAVERSED = 10  # latents
_REACH = 3.0  # standard deviations of the prior, either way

CAPTIONS = {
    "samples": "Samples",
    "interpolations": "Interpolations: each row a straight line between the latents of two images",
    "reconstructions": "Held-out images and, to the right of each, its reconstruction",
    "manifold": "The 2-D latent space, decoded at equally spaced quantiles of the prior",
    "traversals": f"One image, each row with one of its latents moved from −{_REACH:g} to "
    f"{_REACH:g}: first the latent that varies most between images",
    "latents": "How much each latent tells about held-out images",
}


def artefacts(state: State, evaluator: Evaluator, algorithm: Algorithm) -> dict[str, Artefact]:
    """By name: grids of images, and a table of the latents.

    Args:
      state: of the algorithm.
      evaluator: of the run: its networks, and the images to show.
      algorithm: for samples.
    """
    params, networks, likelihood = (
        state.eval_params,
        evaluator.networks,
        evaluator.config.likelihood,
    )
    shown = evaluator.batch(evaluator.bounded[: 5 * _COLUMNS], 5 * _COLUMNS)
    context = jax.jit(networks.encode)(params, *shown)

    @jax.jit
    def decode(z: Any, labels: jax.Array | None) -> jax.Array:
        return likelihood.mean(networks.decode(params, z, labels))

    flat = isinstance(context, vae.Context)
    keys = example_keys(evaluator.key, len(shown.images))
    z = context.q.mean if flat else jax.jit(networks.draw)(params, context, keys).z
    pairs = np.stack([np.clip(shown.images, 0, 1), decode(z, shown.labels)], 1)
    found: dict[str, Artefact] = {
        "samples": shared.grid(_samples(state, evaluator, algorithm), _COLUMNS),
        "reconstructions": shared.grid(pairs.reshape(-1, *pairs.shape[2:]), _COLUMNS),
    }
    usage = vae.latent_usage(
        params, evaluator.batch(evaluator.bounded), evaluator.key, networks=networks
    )
    found["latents"] = Text(latents_text(usage))
    if usage.variance is None:
        return found

    def rows(z: np.ndarray, labels: np.ndarray | None) -> Picture:
        """Decodes `[rows, _COLUMNS, Z]`, the labels `[rows]`."""
        every = None if labels is None else np.repeat(labels, _COLUMNS)
        return shared.grid(decode(z.reshape(-1, z.shape[-1]), every), _COLUMNS)

    means, labels = np.asarray(z), None if shown.labels is None else np.asarray(shown.labels)
    count = min(10, len(means) // 2)
    if count:
        ends = between(means[:count], means[count : 2 * count])
        found["interpolations"] = rows(ends, _first(labels, count))
    normal = evaluator.config.prior == vae.StandardNormal()  # the manifold assumes N(0, I)
    if evaluator.config.latent_size == 2 and labels is None and normal:
        found["manifold"] = shared.grid(decode(shared.normal_quantiles(15), None), 15)
    else:
        found["traversals"] = rows(*traversals(means[0], usage.variance, _first(labels, 1)))
    return found


def _samples(state: State, evaluator: Evaluator, algorithm: Algorithm) -> np.ndarray:
    return np.asarray(jax.jit(algorithm.sample, static_argnums=2)(state, evaluator.key, 100))


def _first(labels: np.ndarray | None, count: int) -> np.ndarray | None:
    return None if labels is None else labels[:count]


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Straight lines from latents to latents, at even steps: `[N, Z]` twice → `[N, 10, Z]`."""
    share = np.linspace(0, 1, _COLUMNS, dtype=np.float32)[None, :, None]
    return (1 - share) * start[:, None] + share * end[:, None]


def latents_text(usage: vae.Usage, most: int = 100) -> str:
    """The information in each latent, largest first: a line each, up to `most`."""
    if usage.variance is not None and len(usage.variance) != len(usage.kl_nats):
        return _variances_text(usage, most)
    order = np.argsort(-usage.kl_nats)[:most]
    lines = ["latent  KL nats  variance of its posterior mean"]
    for j in order:
        variance = "" if usage.variance is None else f"{usage.variance[j]:9.4f}"
        lines.append(f"{j:6d}  {usage.kl_nats[j]:7.4f}  {variance}".rstrip())
    rest = len(usage.kl_nats) - len(order)
    if rest:
        lines.append(f"and {rest} more, of {np.sort(usage.kl_nats)[:rest].sum():.4f} nats in all")
    return "\n".join(lines) + "\n"


def _variances_text(usage: vae.Usage, most: int) -> str:
    """The same where only the KL divergence of all latents together is known."""
    assert usage.variance is not None
    lines = [f"KL nats of all latents: {usage.kl_nats.sum():.4f}"]
    lines += ["latent  variance of its posterior mean"]
    order = np.argsort(-usage.variance)[:most]
    lines += [f"{j:6d}  {usage.variance[j]:9.4f}" for j in order]
    if len(usage.variance) > len(order):
        lines.append(f"and {len(usage.variance) - len(order)} more")
    return "\n".join(lines) + "\n"


def traversals(
    z: np.ndarray, variance: np.ndarray, label: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """One image's latents `[Z]`; in each row one of them moves through the prior.

    Args:
      z: the latents.
      variance: of the posterior mean of each latent over some images, `[Z]`.
      label: of the image, `[1]`, in class-conditional networks.

    Returns:
      `[rows, 10, Z]`, by decreasing variance of the latent that moves, and its labels.
    """
    order = np.argsort(-variance)[:_TRAVERSED]
    moved = np.tile(z, (len(order), _COLUMNS, 1))
    for row, latent in enumerate(order):
        moved[row, :, latent] = np.linspace(-_REACH, _REACH, _COLUMNS)
    return moved, None if label is None else np.repeat(label, len(order))
