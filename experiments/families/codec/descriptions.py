"""What each metric of a codec means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.fidelity.signals import FRAME

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
    "si_sdr_db": "scale-invariant signal-to-distortion ratio of reconstructed sounds, in dB; "
    "far below 0, as phases are not coded",
}
_OF_VIDEOS = {
    "mse_summed": "squared error of reconstructed pixels in [0, 1], summed over a frame; mean over "
    "frames and held-out videos",
    "psnr_db": "peak signal-to-noise ratio, mean over frames, in dB",
    "ssim": "structural similarity, Gaussian window of 11 pixels, range 1; mean over frames",
    "ssim_uniform": "the same by OpenSTL's definition: uniform window of 7 pixels, range 2; its "
    "values are not those of ssim",
}
_CONTENTS = {
    "digits_accuracy": "share of {what} of which a classifier sees the digits that are in them",
    "motion_accuracy": "share of {what} whose digits' slopes it sees in the right quarter of 90°",
}
_MOTION = {
    "speed_px": "pixels by which the light's centroid moves in a frame, mean over frames of {what}",
    "speed_deviation_px": "its standard deviation over frames and videos",
    "jumps": "share of frames and axes along which the centroid's speed changes by more than 1.5 "
    "pixels: real digits do where they turn back",
    "mass_change": "mean over frames of |light / mean light of its video − 1|: real digits keep "
    "theirs, but where two overlap",
    "black_frames": "share of frames without light",
}
_ALONE = {
    "path_error_px": "root mean squared distance of the centroid's path from the nearest path of "
    "gliding and bouncing that digits can take, pixels; real ones are at whole pixels",
    "identity_persistence": "share of later frames that a classifier of images takes for the digit "
    "of the first",
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
    if of_moving_digits(metadata):
        found |= {name: text.format(what=what) for name, text in _CONTENTS.items()}
    return {**found, **judged(metadata, what, "beside it: the held-out signals themselves")}


def _perceptual(options: Any, metadata: Mapping[str, Any]) -> str:
    medium, seen = metadata["medium"], metadata["perceived_classes"]
    if not options.config.perceptual_weight or (medium != "audio" and not seen):
        return "not used"
    return _HEARD if medium == "audio" else _SEEN


def judged(metadata: Mapping[str, Any], what: str, beside: str) -> dict[str, str]:
    """Metrics in a classifier's features, where there is one, and of how digits move."""
    judges, attributes = metadata["classifier_sha256"], dict(metadata["attributes"])
    if not judges:
        return {}
    other = "FVD, whose network was trained on films" if metadata["medium"] == "video" else "FID"
    found = {
        "fcd": f"Fréchet distance of {what} to held-out signals in a classifier's features; it is "
        f"not an {other}"
    }
    for name in attributes:
        if name in judges:
            found[f"{name}_accuracy"] = (
                f"share of {what} that a classifier takes for the {name} they are to have; {beside}"
            )
    if of_moving_digits(metadata):
        moving = _MOTION | (_ALONE if FRAME in judges else {})
        found |= {name: text.format(what=what) for name, text in moving.items()}
    return found


def of_moving_digits(metadata: Mapping[str, Any]) -> bool:
    """Whether signals are moving digits that a classifier tells apart."""
    judges = metadata["classifier_sha256"]
    return bool(judges) and metadata["medium"] == "video" and not metadata["attributes"]
