"""What each figure means: the text beside it on a run's page."""

MEANINGS = {
    # GAN
    "loss_d": "the discriminator's loss, nats; 1.386 where it cannot tell real from generated",
    "loss_g": "the generator's loss, nats",
    "probability_real": "mean D(x) on real images",
    "probability_fake": "mean D(G(z)) on generated images",
    "precision": "share of samples within the 5-nearest-neighbour balls of held-out images, in "
    "pixel space; as many samples as held-out images, 2,000 at most. Beside it: training images "
    "in place of samples (the most to be hoped for), and images whose pixels are each drawn from "
    "that pixel's training histogram (no shape)",
    "recall": "share of held-out images within the samples' balls",
    "density": "held-out balls that a sample lies in, over 5; above 1 where samples are smoother "
    "than images",
    "coverage": "share of held-out images with a sample within their own ball",
    # VAE
    "negative_elbo_nats": "reconstruction + KL, nats per image; held-out images are binarised once "
    "(preset textbook: grey values, where it bounds no likelihood). Beside it: every pixel on its "
    "own, at its training mean",
    "reconstruction_nats": "−log p(x|z) under one z ~ q(z|x), nats per image",
    "kl_nats": "KL(q(z|x) ‖ N(0, I)), nats per image",
    "nll_nats_per_image": "−log p(x) of binarised images, by importance sampling with k = 100",
    # Language model
    "nll_nats": "−log p of the next token, nats per token; held-out: every token but the first, in "
    "windows of one context. Beside it: models that count tokens, and pairs of tokens",
    "bits_per_byte": "the same, in bits per byte of UTF-8",
    "tokens": "tokens in an update",
    "gradient_norm": "global norm of the gradient before clipping",
}
