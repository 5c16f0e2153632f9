"""What each metric of a codec means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

CAPTIONS = {
    "reconstructions": "Held-out signals and, to the right of each, what its codes decode to",
    "originals": "Held-out sounds, one after another",
    "decoded": "What their codes decode to, in the same order",
    "spectrograms": "Log-mels, time to the right: above, of the held-out sounds; below, of what "
    "their codes decode to",
    "codebook": "How often each code is used",
}
_SEEN = "squared distance of the unit features of a frozen classifier, summed over its layers"
_HEARD = "mean absolute difference of log-mels of six windows, in nats"
_LOSSES = {
    "reconstruction": "the distance of what was decoded from what was coded, before its weight: "
    "mean absolute or squared difference of samples",
    "adversarial": "the critics' judgement of what was decoded; 0 without critics",
    "matching": "relative distance of the critics' features; 0 without critics",
    "critic": "what the critics minimise; 0 without",
    "commitment": "squared distance of the features from their codes: mean over positions, sum "
    "over stages",
    "batch_perplexity": "exp(entropy of the codes of one batch), mean over stages",
    "revived_codes": "codes that no feature was near and that were moved in this step",
}
_OF_IMAGES = {
    "mse": "mean squared error of reconstructed pixels in [0, 1], held-out images",
    "mse_over_variance": "the same, over the variance of all their values",
}
_OF_SOUNDS = {
    "mel_distance": "mean absolute difference of log-mels of six windows, held-out sounds, in nats",
    "si_sdr_db": "scale-invariant signal-to-distortion ratio of reconstructed sounds, in dB",
}
_OF_VIDEOS = {
    "mse_summed": "squared error of reconstructed pixels in [0, 1], summed over a frame; mean over "
    "frames and held-out videos",
    "psnr_db": "peak signal-to-noise ratio, mean over frames, in dB",
    "ssim": "structural similarity, Gaussian window of 11 pixels, range 1; mean over frames",
}
_CODES = {
    "code_usage": "share of the codes that held-out signals use, mean over stages",
    "code_perplexity": "exp(entropy of the codes of held-out signals), mean over stages: this many "
    "equally frequent codes would be as hard to guess",
}


def of_codec(options: Any, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a codec."""
    medium = metadata["medium"]
    of = {"image": _OF_IMAGES, "audio": _OF_SOUNDS, "video": _OF_VIDEOS}[medium]
    what = "reconstructions of held-out signals"
    found = {**_LOSSES, "perceptual": _perceptual(options, metadata), **of, **_CODES}
    return {**found, **judged(metadata, what, "beside it: the held-out signals themselves")}


def _perceptual(options: Any, metadata: Mapping[str, Any]) -> str:
    medium, seen = metadata["medium"], metadata["perceived_classes"]
    if not options.config.perceptual_weight or (medium != "audio" and not seen):
        return "not used"
    return _HEARD if medium == "audio" else _SEEN


def judged(metadata: Mapping[str, Any], what: str, beside: str) -> dict[str, str]:
    """Metrics in a classifier's features, where there is one."""
    if metadata["medium"] == "video" or not metadata["attributes"]:
        return {}
    found = {
        "fcd": f"Fréchet distance of {what} to held-out signals in a classifier's features; it is "
        "not an FID"
    }
    for name, _ in metadata["attributes"]:
        found[f"{name}_accuracy"] = (
            f"share of {what} that a classifier takes for the {name} they are to have; {beside}"
        )
    return found
