"""What each figure means: the text beside it on a run's page."""

MEANINGS = {
    # GAN
    "loss_d": "the discriminator's objective, without penalties; minimax and non-saturating: nats, "
    "1.386 where it cannot tell real from generated; relativistic: 0.693",
    "loss_g": "the generator's objective",
    "penalty_d": "gradient and LeCam penalties on the discriminator, weighted",
    "logit_real": "mean logit of D on real images",
    "logit_fake": "mean logit of D on generated images",
    "augment_probability": "with which each transform is applied to what D sees",
    "fcd": "Fréchet distance between Gaussians fitted to a classifier's features of held-out and "
    "of generated images, as many of either; not an FID, and comparable only under the same "
    "classifier and number. Beside it, here and below: what a perfect sampler can be expected to "
    "reach, to first order in 1 / number (none where that does not hold); training images in place "
    "of samples, which the classifier itself was trained on; and images of shuffled pixels, each "
    "drawn from that pixel's values in the training set (no shape; not the worst there is)",
    "class_fcd": "mean over the classes of the FCD between held-out images and samples of one "
    "class: what a conditional model is judged by, for the best checkpoint and --stop_at_fcd. It "
    "is above the FCD of all, the more so the fewer images a class has: with fewer than there are "
    "features, 64, the covariances of a class are singular; compare at equal numbers alone, and "
    "with the training images beside it",
    "label_accuracy": "share of samples that the classifier takes for the class asked for; beside "
    "it that of held-out images, under their labels",
    "kid": "squared maximum mean discrepancy of the same features (here and below: pixels, where "
    "images have no labels), cubic kernel, unbiased: about 0 for equal distributions",
    "precision": "share of samples within the 5-nearest-neighbour balls of held-out images",
    "recall": "share of held-out images within the samples' balls",
    "density": "held-out balls that a sample lies in, over 5",
    "coverage": "share of held-out images with a sample within their own ball",
    "class_kl_nats": "KL(classes of samples ‖ classes of held-out images), by the classifier, nats",
    "nearest_train_distance": "mean distance of 1,000 samples to their nearest training image, in "
    "pixels of [0, 1]; of a perfect sampler, that of held-out images: samples that lie much nearer "
    "are copies",
    "modes": "how many of the 1,000 triples of digits occur among 26,000 samples",
    "modes_kl_nats": "KL(triples of samples ‖ uniform), nats; 0.019 for a perfect sampler",
    # VAE
    "negative_elbo_nats": "reconstruction + KL, nats per image; held-out images are binarised once "
    "(preset textbook: grey values, where it bounds no likelihood). Beside it: every pixel on its "
    "own, at its training mean",
    "reconstruction_nats": "−log p(x|z) under one z ~ q(z|x), nats per image",
    "kl_nats": "KL(q(z|x) ‖ N(0, I)), nats per image",
    "nll_nats_per_image": "−log p(x) of binarised images, by importance sampling with k = 100",
    # Classifier
    "loss_nats": "cross-entropy of the labels on augmented training images, with dropout, nats",
    "accuracy": "share of images whose likeliest class is their label; held-out: under averaged "
    "weights. Beside it: the most frequent training class for all, and the class whose mean image "
    "is the nearest",
    "label_nll_nats": "−log p(label | image), nats per held-out image",
    # Language model
    "nll_nats": "−log p of the next token, nats per token; held-out: of a text, every token but "
    "the first, in windows of one context, beside models that count tokens, and pairs of tokens; "
    "of translations, every token and the end, given the source",
    "bits_per_byte": "the same, in bits per byte of UTF-8: comparable between tokenisers",
    "perplexity": "exp of the nats per token, comparable only under the same tokeniser",
    # Translation
    "exact_match": "share of held-out translations that are the reference, character by character",
    "chrf": "F-score of character n-grams, 0 to 100, by sacreBLEU",
    "bleu": "share of the reference's word n-grams, 0 to 100, by sacreBLEU",
    "tokens": "tokens in an update",
    "gradient_norm": "global norm of the gradient before clipping",
}
