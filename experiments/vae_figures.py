"""What each figure of a VAE means, in the words of the run that it is of."""

from collections.abc import Mapping
from typing import Any

from experiments.vae_options import DISCRETE, VaeOptions


def of_vae(options: VaeOptions, facts: Mapping[str, Any]) -> dict[str, str]:
    """By name, the texts of all figures that a run with these options has."""
    if options.preset in DISCRETE:
        return _of_codes(options)
    return {
        "loss_nats": f"what is descended: {_loss(options)}; nats per image",
        "negative_elbo_nats": "reconstruction + KL, nats per image" + _baseline(options),
        "reconstruction_nats": f"{_reconstruction(options)} under z ~ q(z|x), nats per image; "
        "held-out: of one z",
        "kl_nats": f"{_divergence(options)}, nats per image",
        "nll_nats_per_image": f"−log p({_told(options)}) of {_judged(options)}, by importance "
        f"sampling with k = {options.k}",
        **_bits(options),
        **_active(options),
    }


_BINARY = "each pixel drawn with its grey value as the chance of white"
_PIXELS = {
    "continuous_bernoulli": "grey values taken as real numbers in [0, 1], whose density may be "
    "above 1",
    "gaussian": "grey values spread over their 256ths by uniform noise, whose density may be "
    "above 1",
    "logistic_mixture": "grey values, of 256 each",
}


def _told(options: VaeOptions) -> str:
    return "x | its class" if options.conditional else "x"


def _judged(options: VaeOptions) -> str:
    """What the likelihood of held-out images is a likelihood of."""
    if options.likelihood == "bernoulli":
        return f"binary held-out images, {_BINARY}, once"
    return _PIXELS[options.likelihood]


def _reconstruction(options: VaeOptions) -> str:
    if options.likelihood != "bernoulli":
        return f"−log p(x|z) of {_PIXELS[options.likelihood]},"
    drawn = {"dynamic": "anew at every step, for held-out images once", "static": "once for all"}
    if options.binarisation in drawn:
        return f"−log p(x|z) of binary images, {_BINARY}, {drawn[options.binarisation]},"
    return "cross-entropy of grey values, taken as if they were binary,"


def _baseline(options: VaeOptions) -> str:
    if options.likelihood != "bernoulli":
        return ""
    bound = ", which bounds no likelihood" if options.binarisation == "none" else ""
    return f"{bound}. Beside it: every pixel on its own, at its training mean"


def _divergence(options: VaeOptions) -> str:
    if options.preset == "ladder":
        return (
            f"KL divergences of the posteriors of {options.layers} layers of latents from their "
            "priors, each given the layers above, summed"
        )
    if options.prior == "vamp":
        return (
            "log q(z|x) − log p(z) under z ~ q(z|x), an estimate of the KL divergence from the "
            f"VampPrior, which is the mean of q(z|u) over {options.pseudo_inputs} learned images u"
        )
    return "KL(q(z|x) ‖ N(0, I))"


def _loss(options: VaeOptions) -> str:
    beta = f"β = {options.beta:g}"
    if options.warmup_steps:
        beta += f" from step {options.warmup_steps} on, rising from 0 before"
    if options.objective == "elbo":
        text = f"reconstruction + β KL, {beta}"
        if options.samples > 1:
            text += f", means over {options.samples} samples of z"
        if options.sampled_kl:
            text += ", the KL being log q(z|x) − log p(z) of each z"
        if options.free_nats:
            text += f", the KL of each layer of latents being at least {options.free_nats:g} nats"
        return text
    gradient = ", by the doubly reparameterised gradient" if options.objective == "dreg" else ""
    return (
        f"−log 1/S Σ w over S = {options.samples} samples of z, "
        f"log w = log p(x|z) + β (log p(z) − log q(z|x)), {beta}{gradient}"
    )


def _bits(options: VaeOptions) -> dict[str, str]:
    """None of a density of values that are no intervals."""
    texts = {
        "bernoulli": "the same, in bits for each binary value of an image",
        "gaussian": "the same, in bits for each value of an image, and 8 for the width of a 256th: "
        "at least the bits of the grey values themselves",
        "logistic_mixture": "the same, in bits for each grey value of an image",
    }
    found = texts.get(options.likelihood)
    return {"bits_per_dim": found} if found else {}


def _active(options: VaeOptions) -> dict[str, str]:
    """None of several layers of latents, whose posteriors' means are not known."""
    if options.preset == "ladder":
        return {}
    text = "latents whose posterior mean varies over held-out images, by a variance above 0.01; of "
    return {"active_units": f"{text}{options.latent_size}"}


def _of_codes(options: VaeOptions) -> dict[str, str]:
    weight = f"{options.commitment:g} × commitment"
    loss = f"reconstruction + {weight}" if options.preset == "vq" else "the reconstruction alone"
    beside = "beside it: the mean of the training images, for all"
    pixels = "grey values as they are, whose density may be above 1"
    if options.likelihood == "logistic_mixture":
        pixels = _PIXELS["logistic_mixture"]
    elif options.likelihood == "bernoulli":
        pixels = (
            "grey values, taken as if they were binary, a cross-entropy"
            if options.binarisation == "none"
            else f"binary images, {_BINARY}"
        )
    return {
        "loss_nats": f"what is descended: {loss}; nats per image",
        "reconstruction_nats": f"−log p(x|z) of {pixels}; z the codes of x; nats per image",
        "commitment": "squared distance of the features of an image from their codes, summed",
        "batch_perplexity": "exp(entropy of the codes of one batch): below that of all images",
        "revived_codes": "codes that nothing was near to and that were moved, in this step",
        "mse": "mean squared error of reconstructed grey values in [0, 1], held-out images; "
        + beside,
        "mse_over_variance": "the same, over the variance of all their values",
        "code_usage": "share of the codes that held-out images use at all",
        "code_perplexity": "exp(entropy of the codes of all held-out images): as many codes, "
        "equally frequent, would be as hard to guess",
    }
