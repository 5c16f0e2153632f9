"""What each metric of a VAE means, for a run's options: the text beside it on its page."""

from collections.abc import Mapping
from typing import Any

from experiments.cli.options import stored_options
from experiments.families.vae.options import VaeOptions

Chosen = Mapping[str, Any]  # options by name


def of_vae(options: VaeOptions, metadata: Mapping[str, Any]) -> dict[str, str]:
    """By name, the texts of all metrics that a run with these options has."""
    chosen = stored_options(options)
    return {
        "loss_nats": f"the objective that is minimised: {_loss(chosen)}; nats per image",
        "negative_elbo_nats": "reconstruction + KL, nats per image" + _baseline(chosen),
        "reconstruction_nats": f"{_reconstruction(chosen)} under z ~ q(z|x), nats per image; "
        "held-out: for one z",
        "kl_nats": f"{_divergence(chosen)}, nats per image",
        "nll_nats_per_image": f"−log p({_told(chosen)}) of {_evaluated(chosen)}, by importance "
        f"sampling with k = {chosen['k']}",
        **_bits(chosen),
        **_active(chosen),
    }


_BINARY = "each pixel drawn with its grey value as the probability of white"
_PIXELS = {
    "continuous_bernoulli": "grey values taken as real numbers in [0, 1], whose density may be "
    "above 1",
    "gaussian": "grey values spread over their 256ths by uniform noise, whose density may be "
    "above 1",
    "logistic_mixture": "grey values, 256 of them",
}


def _told(chosen: Chosen) -> str:
    return "x | its class" if chosen["conditional"] else "x"


def _evaluated(chosen: Chosen) -> str:
    """What the likelihood of held-out images is a likelihood of."""
    if chosen["likelihood"] == "bernoulli":
        return f"binary held-out images, {_BINARY}, once"
    return _PIXELS[chosen["likelihood"]]


def _reconstruction(chosen: Chosen) -> str:
    if chosen["likelihood"] != "bernoulli":
        return f"−log p(x|z) of {_PIXELS[chosen['likelihood']]},"
    drawn = {"dynamic": "again at every step, for held-out images once", "static": "once for all"}
    if chosen["binarisation"] in drawn:
        return f"−log p(x|z) of binary images, {_BINARY}, {drawn[chosen['binarisation']]},"
    return "cross-entropy of grey values, taken as if they were binary,"


def _baseline(chosen: Chosen) -> str:
    if chosen["likelihood"] != "bernoulli":
        return ""
    bound = ", which bounds no likelihood" if chosen["binarisation"] == "none" else ""
    return f"{bound}. Beside it: independent pixels, each at its training mean"


def _divergence(chosen: Chosen) -> str:
    if "layers" in chosen:
        return (
            f"KL divergences of the posteriors of {chosen['layers']} layers of latents from their "
            "priors, each given the layers above, summed"
        )
    if chosen["prior"] == "vamp":
        return (
            "log q(z|x) − log p(z) under z ~ q(z|x), an estimate of the KL divergence from the "
            "VampPrior, which is the mean of q(z|u) over "
            f"{chosen['pseudo_inputs']} learned images u"
        )
    return "KL(q(z|x) ‖ N(0, I))"


def _loss(chosen: Chosen) -> str:
    beta = f"β = {chosen['beta']:g}"
    if chosen["warmup_steps"]:
        beta += f" from step {chosen['warmup_steps']} on, rising from 0 before"
    if chosen["objective"] == "elbo":
        text = f"reconstruction + β KL, {beta}"
        if chosen["samples"] > 1:
            text += f", means over {chosen['samples']} samples of z"
        if chosen["sampled_kl"]:
            text += ", the KL being log q(z|x) − log p(z) of each z"
        if chosen["free_nats"]:
            text += f", the KL of each layer of latents being at least {chosen['free_nats']:g} nats"
        return text
    gradient = ", by the doubly reparameterised gradient" if chosen["objective"] == "dreg" else ""
    return (
        f"−log 1/S Σ w over S = {chosen['samples']} samples of z, "
        f"log w = log p(x|z) + β (log p(z) − log q(z|x)), {beta}{gradient}"
    )


def _bits(chosen: Chosen) -> dict[str, str]:
    """Nothing for a density of values that are not intervals."""
    texts = {
        "bernoulli": "the same, in bits per binary value of an image",
        "gaussian": "the same, in bits per value of an image, plus 8 for the width of a 256th: "
        "at least the bits of the grey values themselves",
        "logistic_mixture": "the same, in bits per grey value of an image",
    }
    found = texts.get(chosen["likelihood"])
    return {"bits_per_dim": found} if found else {}


def _active(chosen: Chosen) -> dict[str, str]:
    """Nothing for several layers of latents, whose posteriors' means are not known."""
    if "layers" in chosen:
        return {}
    text = "latents whose posterior mean has a variance above 0.01 over held-out images; of "
    return {"active_units": f"{text}{chosen['latent_size']}"}
