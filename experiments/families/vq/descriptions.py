"""What each metric of a VQ-VAE means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.cli.options import stored_options
from experiments.families.vq.options import VqOptions


def of_codes(options: VqOptions, metadata: Mapping[str, Any]) -> dict[str, str]:
    """By name, the texts of all metrics that a run with these options has."""
    chosen = stored_options(options)
    weight = f"{chosen['commitment']:g} × commitment"
    loss = f"reconstruction + {weight}" if options.preset == "vq" else "the reconstruction alone"
    beside = "beside it: the mean of the training images as every reconstruction"
    pixels = "grey values as they are, whose density may be above 1"
    if chosen["likelihood"] == "logistic_mixture":
        pixels = "grey values, 256 of them"
    elif chosen["likelihood"] == "bernoulli":
        pixels = (
            "grey values, taken as if they were binary, a cross-entropy"
            if options.binarisation == "none"
            else "binary images, each pixel drawn with its grey value as probability of white"
        )
    return {
        "loss_nats": f"the objective that is minimised: {loss}; nats per image",
        "reconstruction_nats": f"−log p(x|z) of {pixels}; z the codes of x; nats per image",
        "commitment": "squared distance of the features of an image from their codes, summed",
        "batch_perplexity": "exp(entropy of the codes of one batch): below that of all images",
        "revived_codes": "codes that no feature was near and that were moved in this step",
        "mse": "mean squared error of reconstructed grey values in [0, 1], held-out images; "
        + beside,
        "mse_over_variance": "the same, over the variance of all their values",
        "code_usage": "share of the codes that held-out images use",
        "code_perplexity": "exp(entropy of the codes of all held-out images): this many equally "
        "frequent codes would be as hard to guess",
    }
