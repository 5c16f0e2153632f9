"""What each metric of a prior means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.families.codec.descriptions import judged

CAPTIONS = {
    "samples": "Samples",
    "spectrograms": "Log-mels of the samples",
    "predictions": "Held-out videos and, to the right of each, its first frames as they are coded "
    "and what the prior has follow them",
}

_OF_PRIORS = {
    "nll_nats": "−log p of a code given those before it, or given those that are not masked: nats, "
    "a mean over the codes that count",
    "tokens": "codes that count in a step",
    "gradient_norm": "global L2 norm of the gradient, before clipping",
    "code_nll_nats": "−log p of the codes of held-out signals, nats per code; for a prior that "
    "writes in any order an upper bound of it",
    "signal_bits": "the same in bits for all codes of a signal: what an ideal coder would take. It "
    "says nothing of what the codes leave out, so it is no likelihood of the signal",
    "nearest_train_distance": "mean distance of samples to the nearest training signal: memorised "
    "ones would be at 0; pixels, or log-mels over their range, in [0, 1]",
    "inception_score": "exp(mutual information of sound and class), in a classifier's eyes",
    "modified_inception_score": "exp(E KL) between the class distributions of two sounds: how sure "
    "the classifier is, and how different sounds are; compare with the real ones only",
    "am_nats": "KL(classes in training ‖ classes of samples) + mean entropy, nats; lower is better",
    "ndb_share": "share of 50 clusters of training features whose frequency differs at 5 %",
    "prediction_mse_summed": "squared error of the frames after those given, summed over a frame; "
    "mean over frames and 64 held-out videos, one sample each",
    "prediction_ssim": "structural similarity of the same frames",
}


def of_prior(options: Any, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a prior."""
    beside = "beside it: held-out signals by their own labels"
    return {**_OF_PRIORS, **judged(metadata, "samples", beside)}
