"""The VAE on images, and compression with it."""
