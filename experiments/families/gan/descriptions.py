"""What each metric of a GAN means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from aigc_jax.settings import settings
from experiments.families.gan.options import GanOptions

_GAN = {
    "penalty_d": "gradient and LeCam penalties on the discriminator, weighted",
    "logit_real": "mean logit of D on real images",
    "logit_fake": "mean logit of D on generated images",
    "augment_probability": "probability of each transform of what D sees",
    "fcd": "Fréchet distance between Gaussians fitted to a classifier's features of held-out and "
    "of generated images, the same number of each; not an FID, and comparable only for the same "
    "classifier and number. Beside it, here and below: what a perfect sampler can be expected to "
    "reach, to first order in 1 / number (none where that does not hold); training images in place "
    "of samples, which the classifier itself was trained on; and images of shuffled pixels, each "
    "drawn from that pixel's values in the training set (no shape; not the worst possible)",
    "class_fcd": "mean over the classes of the FCD between held-out images and samples of one "
    "class: the score of a conditional model, for the best checkpoint and --stop_at_fcd. It is "
    "above the FCD of all images, the more so the fewer images a class has: with fewer images than "
    "features, a class's covariances are singular; compare only at equal numbers, and "
    "with the training images beside it",
    "label_accuracy": "share of samples that the classifier assigns to the requested class; beside "
    "it that of held-out images, for their labels",
    "kid": "squared maximum mean discrepancy of the same features (here and below: pixels, where "
    "images have no labels), cubic kernel, unbiased: about 0 for equal distributions",
    "precision": "share of samples within the 5-nearest-neighbour balls of held-out images",
    "recall": "share of held-out images within the samples' balls",
    "density": "held-out balls that a sample lies in, over 5",
    "coverage": "share of held-out images with a sample within their own ball",
    "class_kl_nats": "KL(classes of samples ‖ classes of held-out images), by the classifier, nats",
    "nearest_train_distance": "mean distance of 1,000 samples, or of as many as are held out, to "
    "their nearest training image, in pixels of [0, 1]; for a perfect sampler, that of held-out "
    "images: samples that are much nearer are copies",
    "modes": "how many of the 1,000 triples of digits occur among 26,000 samples",
    "modes_kl_nats": "KL(triples of samples ‖ uniform), nats; 0.019 for a perfect sampler",
}
_OBJECTIVES = {
    "minimax": (
        "−log D(x) − log(1 − D(G(z))), nats: 1.386 where D cannot tell real from generated",
        "log(1 − D(G(z))), nats: −0.693 where D cannot tell",
    ),
    "non_saturating": (
        "−log D(x) − log(1 − D(G(z))), nats: 1.386 where D cannot tell real from generated",
        "−log D(G(z)), nats: 0.693 where D cannot tell",
    ),
    "least_squares": (
        "half the squared distances of D's scores from 1 on real images and 0 on generated ones: "
        "0.25 where it cannot tell",
        "half the squared distance of D's score of a generated image from 1",
    ),
    "hinge": (
        "how far D's scores fall short of 1 on real images and of −1 on generated ones: 2 where "
        "all scores are 0",
        "minus D's score of a generated image",
    ),
    "wasserstein": (
        "D's score of a generated image less that of a real one",
        "minus D's score of a generated image",
    ),
    "relativistic": (
        "log(1 + exp(D(G(z)) − D(x))), nats: 0.693 where D cannot tell real from generated",
        "log(1 + exp(D(x) − D(G(z)))), nats: 0.693 where D cannot tell",
    ),
}
_BY_PIXELS = (
    "squared maximum mean discrepancy of the pixels, here and below in place of features as there "
    "is no classifier, cubic kernel, unbiased: about 0 for equal distributions. Beside it, here "
    "and below: what a perfect sampler can be expected to reach; training images in place of "
    "samples; and images whose pixels are each drawn from that pixel's training histogram (no "
    "shape)"
)
_OF_LABELS = {"class_fcd", "label_accuracy"}  # of a conditional model
_OF_CLASSES = {"fcd", "class_kl_nats"} | _OF_LABELS  # by a classifier
_OF_MODES = {"modes", "modes_kl_nats"}  # of triples of digits


def of_gan(options: GanOptions, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a GAN, evaluated by a classifier or, where `metadata` has no hash of one, by pixels."""
    loss_d, loss_g = _OBJECTIVES[settings(options)["objective"].value]
    found = {
        "loss_d": f"the discriminator's objective, without penalties: {loss_d}",
        "loss_g": f"the generator's objective: {loss_g}",
        **_GAN,
    }
    absent = set() if options.dataset == "stacked_mnist" and not options.images else _OF_MODES
    if not options.conditional:
        absent = absent | _OF_LABELS
    if not metadata["classifier_sha256"]:
        absent = absent | _OF_CLASSES
        found["kid"] = _BY_PIXELS
    return {name: text for name, text in found.items() if name not in absent}
