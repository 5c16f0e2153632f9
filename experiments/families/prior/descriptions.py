"""What each metric of a prior means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.families.codec.descriptions import judged
from experiments.families.prior.predictions import PREDICTED, SAMPLES
from experiments.fidelity.signals import FRAME

CAPTIONS = {
    "samples": "Samples, of all labels in turn where the prior is told some, or of captions of "
    "held-out signals; sounds come one after another",
    "sample_captions": "The samples' captions, in their order",
    "spectrograms": "Log-mels of the samples, time to the right, row by row in their order",
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
}
_NEAREST = {
    "nearest_train_distance": "mean Euclidean distance of samples to the nearest training signal: "
    "memorised ones would be at 0; of pixels, or of sounds' log-mels over their range, in [0, 1]",
}
_OF_SOUNDS = {
    "inception_score": "exp(mutual information of sound and class), in a classifier's eyes",
    "modified_inception_score": "exp(E KL) between the class distributions of two sounds: how sure "
    "the classifier is, and how different sounds are; compare with the real ones only",
    "am_nats": "KL(classes in training ‖ classes of samples) + mean entropy, nats; lower is better",
    "ndb_share": "share of at most 50 clusters of training features whose frequency differs at 5 %",
}
_OF_PITCHES = {
    "pitch_within_50_cents": "share of samples whose pitch is at most 50 cents from the key that "
    "was asked, by YIN; a sound without a pitch is a miss",
}
_OF_PREDICTIONS = {
    "prediction_mse_summed": "squared error of the frames after those given, summed over a frame; "
    f"mean over frames and at most {PREDICTED} held-out videos, one sample each",
    "prediction_psnr_db": "peak signal-to-noise ratio of the same frames, mean over frames, in dB",
    "prediction_ssim": "structural similarity of the same frames, Gaussian window of 11 pixels",
    "prediction_ssim_uniform": "the same by OpenSTL's definition: uniform window of 7 pixels, "
    "range 2; its values are not those of prediction_ssim",
    f"prediction_mse_summed_best_of_{SAMPLES}": "the squared error of the best of so many samples "
    "of each video, for which the future is not certain; it rewards spread",
    f"prediction_mse_summed_mean_of_{SAMPLES}": "the squared error of the mean of so many samples "
    "of each video: one prediction, to compare with those of models trained on squared error",
}
_OF_ONE_DIGIT = {
    "prediction_persistence": "share of the frames after those given that a classifier of images "
    "takes for the digit of the true first frame",
    "prediction_path_error_px": "path_error_px of the videos so continued, the given frames among "
    "them",
}


def of_prior(options: Any, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a prior."""
    medium, attributes = metadata["medium"], [name for name, _ in metadata["attributes"]]
    found = {**_OF_PRIORS, **({} if medium == "video" else _NEAREST)}
    if medium == "audio" and attributes:
        found |= _OF_SOUNDS
        if options.conditional and "pitch" in attributes:
            found |= _OF_PITCHES
    if medium == "video" and options.given:
        found |= _OF_PREDICTIONS | (_OF_ONE_DIGIT if FRAME in metadata["classifier_sha256"] else {})
    told = judged(metadata, "samples", "beside it: held-out signals by their own labels")
    asked = options.conditional
    return found | {k: v for k, v in told.items() if asked or not k.endswith("_accuracy")}
