"""The GAN on images."""
